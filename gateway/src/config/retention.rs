//! Section `retention`: how long what is over can still be read about.

use serde::{Deserialize, Serialize};

use super::{Error, require_range};

/// What is deleted some time after it has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Webhook subscriptions after they were revoked. A subscription to the same callback revives
    /// the revoked one as long as it is there.
    pub revoked_subscriptions_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { revoked_subscriptions_days: 30 }
    }
}

impl RetentionConfig {
    /// In milliseconds.
    #[must_use]
    pub fn revoked_subscriptions_ms(&self) -> i64 {
        i64::from(self.revoked_subscriptions_days) * 24 * 60 * 60 * 1000
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let (key, fix) = ("retention.revoked-subscriptions-days", "set 1 to 36500");
        require_range(key, u64::from(self.revoked_subscriptions_days), 36_500, fix)
    }
}
