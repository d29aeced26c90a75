//! Token buckets: so many requests a minute per key and endpoint (contract, README section 9).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axp_proto::hash::stable_hash;
use tokio::time::Instant;

use crate::clock;

const SHARDS: usize = 64;
const MINUTE: Duration = Duration::from_secs(60);

/// One bucket per key and endpoint. A bucket that is full again says nothing and is dropped when
/// its shard grows.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    shards: Box<[Mutex<HashMap<u64, Bucket>>]>,
    per_minute: u32,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// What a caller is told about its rate, allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    /// Unix seconds at which the whole limit is there again.
    pub(crate) reset_at: i64,
    /// Present when the request is refused.
    pub(crate) retry_after_seconds: Option<u32>,
}

impl Verdict {
    pub(crate) fn is_allowed(self) -> bool {
        self.retry_after_seconds.is_none()
    }
}

impl RateLimiter {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), per_minute }
    }

    pub(crate) fn take(&self, key_id: &str, endpoint: &str) -> Verdict {
        let name = stable_hash(&[key_id.as_bytes(), endpoint.as_bytes()]);
        let now = Instant::now();
        let shard = &self.shards[usize::from((name & 63) as u8)];
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() == buckets.capacity() {
            buckets.retain(|_, bucket| now.duration_since(bucket.at) < MINUTE);
        }
        let full = f64::from(self.per_minute);
        let per_second = full / MINUTE.as_secs_f64();
        let bucket = buckets.entry(name).or_insert(Bucket { tokens: full, at: now });
        let gained = now.duration_since(bucket.at).as_secs_f64() * per_second;
        bucket.tokens = (bucket.tokens + gained).min(full);
        bucket.at = now;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        let missing = full - bucket.tokens;
        Verdict {
            limit: self.per_minute,
            remaining: whole(bucket.tokens.floor()),
            reset_at: clock::now_ms() / 1000 + i64::from(whole((missing / per_second).ceil())),
            retry_after_seconds: (!allowed)
                .then(|| whole(((1.0 - bucket.tokens) / per_second).ceil()).max(1)),
        }
    }
}

fn whole(value: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let whole = value.clamp(0.0, f64::from(u32::MAX)) as u32;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_empties_and_fills() {
        let limiter = RateLimiter::new(3);
        for remaining in [2, 1, 0] {
            let verdict = limiter.take("key", "GET /a");
            assert!(verdict.is_allowed());
            assert_eq!((verdict.limit, verdict.remaining), (3, remaining));
        }
        let refused = limiter.take("key", "GET /a");
        assert_eq!(refused.retry_after_seconds, Some(20));
        assert!(limiter.take("key", "GET /b").is_allowed());
        assert!(limiter.take("other", "GET /a").is_allowed());
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(limiter.take("key", "GET /a").is_allowed());
        assert!(!limiter.take("key", "GET /a").is_allowed());
    }

    #[tokio::test(start_paused = true)]
    async fn full_buckets_are_forgotten() {
        let limiter = RateLimiter::new(3);
        for number in 0..10_000 {
            limiter.take(&number.to_string(), "GET /a");
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let known: usize = limiter.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(known < 4_000, "{known} buckets are kept");
    }
}
