//! Names of this crate's metrics. Bounds have one each, so that they can be seen filling up.

/// Jobs waiting for the writer thread (gauge).
pub const WRITER_QUEUE_JOBS: &str = "axp_writer_queue_jobs";
/// Bytes waiting for the writer thread, of `StoreConfig::queue_bytes_max` (gauge).
pub const WRITER_QUEUE_BYTES: &str = "axp_writer_queue_bytes";
/// How long a sync of the log took (histogram).
pub const WRITER_SYNC_SECONDS: &str = "axp_writer_sync_seconds";
/// Jobs that shared one write and one sync (histogram).
pub const WRITER_BATCH_JOBS: &str = "axp_writer_batch_jobs";
/// Bytes that shared one write and one sync (histogram).
pub const WRITER_BATCH_BYTES: &str = "axp_writer_batch_bytes";
/// Log reads that went below the cache of recent entries (counter).
pub const LOG_CACHE_MISSES: &str = "axp_log_cache_misses_total";
/// Entries in one atomic batch of apply (histogram).
pub const APPLY_BATCH_ENTRIES: &str = "axp_apply_batch_entries";
/// How long writing one atomic batch of apply took (histogram).
pub const APPLY_COMMIT_SECONDS: &str = "axp_apply_commit_seconds";
/// How long making the state durable took, before a purge or while installing (histogram).
pub const STATE_SYNC_SECONDS: &str = "axp_state_sync_seconds";
/// Snapshots installed (counter).
pub const SNAPSHOTS_INSTALLED: &str = "axp_snapshot_installs_total";
/// How long installing a snapshot took (histogram).
pub const SNAPSHOT_INSTALL_SECONDS: &str = "axp_snapshot_install_seconds";

/// Describes the metrics to the installed recorder; called once at start.
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

    describe_gauge!(WRITER_QUEUE_JOBS, Unit::Count, "jobs waiting for the log writer");
    describe_gauge!(WRITER_QUEUE_BYTES, Unit::Bytes, "bytes waiting for the log writer");
    describe_histogram!(WRITER_SYNC_SECONDS, Unit::Seconds, "duration of a log sync");
    describe_histogram!(WRITER_BATCH_JOBS, Unit::Count, "jobs in one log write");
    describe_histogram!(WRITER_BATCH_BYTES, Unit::Bytes, "bytes in one log write");
    describe_counter!(LOG_CACHE_MISSES, Unit::Count, "log reads that went to the engine");
    describe_histogram!(APPLY_BATCH_ENTRIES, Unit::Count, "entries in one apply batch");
    describe_histogram!(APPLY_COMMIT_SECONDS, Unit::Seconds, "duration of an apply batch's write");
    describe_histogram!(STATE_SYNC_SECONDS, Unit::Seconds, "duration of a state sync");
    describe_counter!(SNAPSHOTS_INSTALLED, Unit::Count, "snapshots installed");
    describe_histogram!(SNAPSHOT_INSTALL_SECONDS, Unit::Seconds, "duration of an install");
}
