//! Sections `limits` and `rate-limit`: how much work is let in.

use serde::{Deserialize, Serialize};

use super::{Error, require_range};

const A_MILLION: u64 = 1_000_000;

/// How much may be under way. Past a bound a request is answered 503 or 429 with `Retry-After`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Requests under way, of all organizations together.
    pub requests_max: usize,
    /// Requests under way of one organization, so that it cannot starve the others.
    pub requests_per_organization_max: usize,
    /// Open streams, of all workspaces together.
    pub streams_max: usize,
    /// Open streams of one workspace.
    pub streams_per_workspace_max: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            requests_max: 4_096,
            requests_per_organization_max: 2_048,
            streams_max: 8_192,
            streams_per_workspace_max: 2_048,
        }
    }
}

impl LimitsConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let fix = "set 1 to 1000000";
        for (key, value) in [
            ("limits.requests-max", self.requests_max),
            ("limits.requests-per-organization-max", self.requests_per_organization_max),
            ("limits.streams-max", self.streams_max),
            ("limits.streams-per-workspace-max", self.streams_per_workspace_max),
        ] {
            require_range(key, value as u64, A_MILLION, fix)?;
        }
        Ok(())
    }
}

/// How often one API key may call one endpoint. Streams are bounded by their number instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RateLimitConfig {
    /// Off for development and behind a proxy that limits already.
    pub enabled: bool,
    /// Requests a minute of one key at one endpoint, at this gateway.
    pub requests_per_minute: u32,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self { enabled: true, requests_per_minute: 120 }
    }
}

impl RateLimitConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let rate = u64::from(self.requests_per_minute);
        let fix = "set 1 to 1000000, or rate-limit.enabled = false";
        require_range("rate-limit.requests-per-minute", rate, A_MILLION, fix)
    }
}
