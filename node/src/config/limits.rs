//! Section `limits`: how much work is let in before callers are told to come back later.

use serde::{Deserialize, Serialize};

use super::{Error, at_least};

/// Admission and memory bounds. Past a bound callers get a retryable error, quickly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Commands under way in one shard.
    pub commands_per_shard: u32,
    /// Commands under way of one organization on this node, so that one cannot starve the others.
    pub commands_per_organization: u32,
    /// Intents kept active in memory on this node; the longest idle ones are put to sleep first.
    /// About 8 KiB each.
    pub active_intents: u32,
    /// Unacknowledged items of one subscription, at most; the gateway may ask for fewer.
    pub subscription_window: u32,
    /// Subscriptions open on this node.
    pub subscriptions: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            commands_per_shard: 1024,
            commands_per_organization: 2048,
            active_intents: 50_000,
            subscription_window: 256,
            subscriptions: 100_000,
        }
    }
}

impl LimitsConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        at_least("limits.commands-per-shard", self.commands_per_shard.into(), 1)?;
        at_least("limits.commands-per-organization", self.commands_per_organization.into(), 1)?;
        at_least("limits.active-intents", self.active_intents.into(), 1)?;
        at_least("limits.subscriptions", self.subscriptions.into(), 1)?;
        if !(1..=1024).contains(&self.subscription_window) {
            return Err(Error::invalid(
                "limits.subscription-window",
                format!("is {}", self.subscription_window),
                "set 1 to 1024",
            ));
        }
        Ok(())
    }
}
