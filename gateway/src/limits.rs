//! How much is let in: requests under way, open streams, and requests a minute.
//!
//! Truth here is local to this gateway and forgotten with it. Counters by tenant live behind
//! sharded locks that are held for a look-up; nothing waits on them.

mod gate;
mod rate;

use std::sync::Arc;

pub(crate) use self::gate::Permit;
use self::gate::{Gate, Gates};
pub(crate) use self::rate::{RateLimiter, Verdict};
use crate::config::{LimitsConfig, MediaConfig, RateLimitConfig};
use crate::error::ApiError;
use crate::metrics::{MEDIA_TRANSFERS, REFUSED_TOTAL, REQUESTS_OPEN, STREAMS_OPEN, refused};

#[derive(Debug)]
pub(crate) struct Limits {
    requests: Arc<Gate>,
    requests_of_organization: Gates,
    streams: Arc<Gate>,
    transfers: Arc<Gate>,
    streams_of_workspace: Gates,
    rate: Option<RateLimiter>,
}

impl Limits {
    pub(crate) fn new(limits: &LimitsConfig, rate: &RateLimitConfig, media: &MediaConfig) -> Self {
        Self {
            requests: Gate::new(limits.requests_max),
            requests_of_organization: Gates::new(limits.requests_per_organization_max),
            streams: Gate::new(limits.streams_max),
            transfers: Gate::new(media.transfers_max),
            streams_of_workspace: Gates::new(limits.streams_per_workspace_max),
            rate: rate.enabled.then(|| RateLimiter::new(rate.requests_per_minute)),
        }
    }

    /// Lets a request in, whoever it is from.
    ///
    /// # Errors
    /// 503 when too many are under way.
    pub(crate) fn request(&self) -> Result<Permit, ApiError> {
        let permit = self.requests.enter(Some(REQUESTS_OPEN)).ok_or_else(|| {
            refuse(refused::REQUESTS, ApiError::unavailable("too many requests are under way"))
        })?;
        Ok(permit)
    }

    /// Lets a request of an organization in.
    ///
    /// # Errors
    /// 503 when it has too many under way, whatever room there is for others.
    pub(crate) fn request_of(&self, organization: &str) -> Result<Permit, ApiError> {
        self.requests_of_organization.enter(organization).ok_or_else(|| {
            let message = "too many requests of this organization are under way";
            refuse(refused::ORGANIZATION, ApiError::unavailable(message))
        })
    }

    /// Lets a stream of a workspace in.
    ///
    /// # Errors
    /// 503 when the gateway has too many, 429 when the workspace has.
    pub(crate) fn stream_of(&self, workspace: &str) -> Result<(Permit, Permit), ApiError> {
        let own = self.streams_of_workspace.enter(workspace).ok_or_else(|| {
            let code = axp_proto::error_code::ErrorCode::RateLimitExceeded;
            let error = ApiError::new(code, "too many open streams of this workspace");
            refuse(refused::WORKSPACE_STREAMS, error)
        })?;
        let all = self.streams.enter(Some(STREAMS_OPEN)).ok_or_else(|| {
            refuse(refused::STREAMS, ApiError::unavailable("too many open streams"))
        })?;
        Ok((own, all))
    }

    /// Lets an upload or a download in.
    ///
    /// # Errors
    /// 503 when too many are under way.
    pub(crate) fn transfer(&self) -> Result<Permit, ApiError> {
        self.transfers.enter(Some(MEDIA_TRANSFERS)).ok_or_else(|| {
            refuse(refused::MEDIA, ApiError::unavailable("too many uploads and downloads"))
        })
    }

    /// Counts a request of a key at an endpoint. Absent: rates are not limited.
    pub(crate) fn rate(&self, key_id: &str, endpoint: &str) -> Option<Verdict> {
        let verdict = self.rate.as_ref()?.take(key_id, endpoint);
        if !verdict.is_allowed() {
            metrics::counter!(REFUSED_TOTAL, "reason" => refused::RATE).increment(1);
        }
        Some(verdict)
    }

    /// Lets a request for a page in, counted by who asks and by what it asks for: there is no key, and
    /// nobody is to try links out.
    ///
    /// # Errors
    /// 429 when either asks too often.
    pub(crate) fn page(&self, address: &str, link: &str) -> Result<(), ApiError> {
        for (who, what) in [(address, "page of address"), (link, "page of link")] {
            let seconds = self.rate(who, what).and_then(|verdict| verdict.retry_after_seconds);
            if let Some(seconds) = seconds {
                let code = axp_proto::error_code::ErrorCode::RateLimitExceeded;
                let message = "too many requests: please wait a moment";
                return Err(ApiError::new(code, message).retry_after(seconds));
            }
        }
        Ok(())
    }
}

fn refuse(reason: &'static str, error: ApiError) -> ApiError {
    metrics::counter!(REFUSED_TOTAL, "reason" => reason).increment(1);
    error
}
