//! When a failed push is tried again. Pure.

use crate::config::PushConfig;

/// The pause after so many failures, 1 or more: as configured, the last one for all that follow,
/// made longer by a share of it. `chance` is 0 to 1. Never shorter: receivers count on it.
#[must_use]
pub fn pause_ms(pauses_ms: &[u64], jitter: f64, failures: u32, chance: f64) -> i64 {
    let last = pauses_ms.len().saturating_sub(1);
    let index = (failures.saturating_sub(1) as usize).min(last);
    let pause = pauses_ms.get(index).copied().unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a pause of some minutes"
    )]
    let jitter = (pause as f64 * jitter * chance) as u64;
    i64::try_from(pause.saturating_add(jitter)).unwrap_or(i64::MAX)
}

/// Attempts after which a delivery to a subscription is given up: one more than there are pauses.
#[must_use]
pub fn attempts_max(config: &PushConfig) -> u32 {
    u32::try_from(config.retry_ms.len()).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_schedule_is_the_contracts() {
        let config = PushConfig::default();
        let pause = |failures| pause_ms(&config.retry_ms, config.retry_jitter, failures, 0.0);
        let pauses = [1, 2, 3, 4, 9].map(pause);
        assert_eq!(pauses, [30_000, 120_000, 600_000, 600_000, 600_000]);
        assert_eq!(attempts_max(&config), 4);
    }

    proptest! {
        #[test]
        fn jitter_only_adds_its_share(failures in 0_u32..20, chance in 0.0..1.0_f64) {
            let config = PushConfig::default();
            let (pauses, jitter) = (&config.retry_ms, config.retry_jitter);
            let least = pause_ms(pauses, jitter, failures, 0.0);
            let pause = pause_ms(pauses, jitter, failures, chance);
            prop_assert!(least <= pause && pause <= least + least / 10);
        }
    }
}
