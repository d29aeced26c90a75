//! Sections `media` and `media-s3`: the bytes that people upload.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, require_range};

/// What keeps the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediaStorage {
    #[default]
    Directory,
    S3,
}

/// Where media is kept and how much of it is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MediaConfig {
    /// `directory`, or `s3` for a bucket that section `media-s3` describes. Whoever changes it moves
    /// the files.
    pub storage: MediaStorage,
    /// The folder that media is kept in. All gateways of a cluster need the same one, such as a
    /// shared file system; it is made when the first upload comes. Not used with `s3`.
    pub directory: PathBuf,
    /// What answers call the place: `bucket` of an upload.
    pub bucket: String,
    /// Largest file; a larger one is answered 413.
    pub size_bytes_max: u64,
    /// Whether finalizing an upload needs its bytes. Off, as the public conformance checks finalize
    /// without any.
    pub require_bytes: bool,
    /// How long a `download_url` or `preview_url` works without a key. An `upload_url` does until
    /// its upload expires.
    pub link_ttl_seconds: u32,
    /// Uploads and downloads under way; more are answered 503.
    pub transfers_max: usize,
    /// How often bytes are looked for that belong to nothing any more.
    pub sweep_interval_seconds: u64,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            storage: MediaStorage::Directory,
            directory: PathBuf::from("axp-media"),
            bucket: "media".to_owned(),
            size_bytes_max: 104_857_600,
            require_bytes: false,
            link_ttl_seconds: 3_600,
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
        let fix = "set 1 to 604800";
        let ttl = self.link_ttl_seconds;
        require_range("media.link-ttl-seconds", u64::from(ttl), 604_800, fix)?;
        let fix = "set 1 to 100000";
        require_range("media.transfers-max", self.transfers_max as u64, 100_000, fix)?;
        let fix = "set 1 to 604800";
        let interval = self.sweep_interval_seconds;
        require_range("media.sweep-interval-seconds", interval, 604_800, fix)
    }
}

/// The bucket that media is kept in, of AWS or of anything that speaks its protocol.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MediaS3Config {
    /// The bucket. It has to be there.
    pub bucket: String,
    /// `https://host:port` of the server; empty: AWS's own of the region.
    pub endpoint: String,
    pub region: String,
    /// What all keys in the bucket start with, such as `axp/media`; may be empty.
    pub prefix: String,
    /// Empty: as AWS's own tools find it, by `AWS_ACCESS_KEY_ID`, a web identity or the instance.
    pub access_key_id: String,
    /// Better set as `AXP_GATEWAY__MEDIA_S3__SECRET_ACCESS_KEY` in the environment than in a file.
    pub secret_access_key: String,
    /// The bucket in the host's name instead of in the path.
    pub virtual_hosted_style: bool,
    /// How long a request may take to its answer, and each piece of the answer after it.
    pub timeout_ms: u64,
}

impl Default for MediaS3Config {
    fn default() -> Self {
        Self {
            bucket: String::new(),
            endpoint: String::new(),
            region: "us-east-1".to_owned(),
            prefix: String::new(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            virtual_hosted_style: false,
            timeout_ms: 20_000,
        }
    }
}

impl fmt::Debug for MediaS3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = if self.secret_access_key.is_empty() { "none" } else { "set" };
        f.debug_struct("MediaS3Config")
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("prefix", &self.prefix)
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &secret)
            .field("virtual_hosted_style", &self.virtual_hosted_style)
            .field("timeout_ms", &self.timeout_ms)
            .finish()
    }
}

impl MediaS3Config {
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Only looked at when it is used.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let invalid =
            |key, problem: &str, fix| Err(Error::Invalid { key, problem: problem.to_owned(), fix });
        if self.bucket.is_empty() {
            let fix = "name the bucket, or set media.storage to directory";
            return invalid("media-s3.bucket", "is empty", fix);
        }
        if self.region.is_empty() {
            return invalid("media-s3.region", "is empty", "set us-east-1 if the server has none");
        }
        let is_url = |text: &str| ["http://", "https://"].iter().any(|it| text.starts_with(it));
        if !self.endpoint.is_empty() && !is_url(&self.endpoint) {
            return invalid("media-s3.endpoint", "is no URL", "set https://host:port");
        }
        let plain = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if !self.prefix.is_empty() && !self.prefix.split('/').all(plain) {
            let fix = "use letters, digits, - and _, with / between";
            return invalid("media-s3.prefix", "cannot be used", fix);
        }
        if self.access_key_id.is_empty() != self.secret_access_key.is_empty() {
            let fix = "set both media-s3.access-key-id and media-s3.secret-access-key, or none";
            return invalid("media-s3.secret-access-key", "comes without the other", fix);
        }
        let fix = "set 1 to 600000";
        require_range("media-s3.timeout-ms", self.timeout_ms, 600_000, fix)
    }
}
