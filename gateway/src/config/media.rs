//! Section `media`: the bytes that people upload.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, require_range};

/// Where media is kept and how much of it is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MediaConfig {
    /// The folder that media is kept in. All gateways of a cluster need the same one, such as a
    /// shared file system; it is made when the first upload comes.
    pub directory: PathBuf,
    /// What answers call the place: `bucket` of an upload.
    pub bucket: String,
    /// Largest file; a larger one is answered 413.
    pub size_bytes_max: u64,
    /// Whether finalizing an upload needs its bytes. Off, as the public conformance checks finalize
    /// without any.
    pub require_bytes: bool,
    /// Uploads and downloads under way; more are answered 503.
    pub transfers_max: usize,
    /// How often bytes are looked for that belong to nothing any more.
    pub sweep_interval_seconds: u64,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("axp-media"),
            bucket: "media".to_owned(),
            size_bytes_max: 104_857_600,
            require_bytes: false,
            transfers_max: 64,
            sweep_interval_seconds: 3_600,
        }
    }
}

impl MediaConfig {
    #[must_use]
    pub fn sweep_interval(&self) -> Duration {
        Duration::from_secs(self.sweep_interval_seconds)
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.directory.as_os_str().is_empty() {
            let (key, problem) = ("media.directory", "is empty".to_owned());
            return Err(Error::Invalid { key, problem, fix: "set a folder" });
        }
        let length = self.bucket.chars().count() as u64;
        if !(3..=255).contains(&length) {
            let problem = format!("is {:?}", self.bucket);
            return Err(Error::Invalid {
                key: "media.bucket",
                problem,
                fix: "set 3 to 255 characters",
            });
        }
        let fix = "set 1 to 2147483648";
        require_range("media.size-bytes-max", self.size_bytes_max, 1 << 31, fix)?;
        let fix = "set 1 to 100000";
        require_range("media.transfers-max", self.transfers_max as u64, 100_000, fix)?;
        let fix = "set 1 to 604800";
        let interval = self.sweep_interval_seconds;
        require_range("media.sweep-interval-seconds", interval, 604_800, fix)
    }
}
