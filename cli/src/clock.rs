//! The one place of this crate that asks what time it is.

use tokio::time::Instant;

/// Monotonic; the runtime's clock, so that it agrees with timeouts.
pub(crate) fn now() -> Instant {
    Instant::now()
}
