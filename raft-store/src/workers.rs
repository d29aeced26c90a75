//! Who does what a store does in the background: threads, or tasks of a simulation.

/// The background of one store.
#[derive(Debug, Clone)]
pub(crate) enum Workers {
    /// Threads of their own: syncs block.
    Threads,
    /// Tasks of the runtime that opens the store, which waits where a disk would work.
    #[cfg(any(test, feature = "test-util"))]
    Tasks(SyncTime),
}

#[cfg(any(test, feature = "test-util"))]
pub use simulated::SyncTime;

#[cfg(any(test, feature = "test-util"))]
mod simulated {
    use std::fmt;
    use std::sync::Arc;
    use std::time::Duration;

    /// How long each sync of a simulated disk takes; asked before every one.
    #[derive(Clone)]
    pub struct SyncTime(Arc<dyn Fn() -> Duration + Send + Sync>);

    impl SyncTime {
        #[must_use]
        pub fn from_fn(time: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
            Self(Arc::new(time))
        }

        pub(crate) fn next(&self) -> Duration {
            (self.0)()
        }
    }

    impl fmt::Debug for SyncTime {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("SyncTime")
        }
    }
}
