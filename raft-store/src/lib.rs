//! The durable half of a replica: openraft's log, vote, state machine and snapshots over an engine.
//!
//! Knows Raft groups, not intents: what entries mean is behind `Applier`. Promises that what
//! openraft is told to be durable is on disk, that the state stands at exactly one log index, and
//! that damage stops a replica instead of being guessed away. Leaves to the node: when to take
//! snapshots and purge, how snapshots travel, and to end the process when `Store::failed` is set.
//!
//! ```text
//! Store --- LogStore     ->  writer (one thread, one sync for all groups) -> log/    engine
//!      \--- StateMachine ->  Applier -> Transaction -> one atomic batch   -> state/  engine
//!       \-- StateReader  ----------------------------------------------------^
//! ```

pub mod applier;
pub mod blocking;
mod config;
mod digest;
pub mod engine;
mod error;
mod failure;
mod format;
mod keyspace;
mod log_store;
pub mod metrics;
mod reader;
mod record;
pub mod snapshot;
mod state;
pub mod state_machine;
mod store;
pub(crate) mod transaction;
pub mod types;
pub mod wire;
mod workers;
mod writer;

pub use applier::Applier;
pub use config::StoreConfig;
pub use digest::{DIGEST_VERSION, StateDigest};
pub use engine::EngineKind;
pub use error::Error;
#[cfg(any(test, feature = "test-util"))]
pub use log_store::is_durable;
pub use log_store::{LogReader, LogStore};
pub use reader::StateReader;
pub use snapshot::{SnapshotData, SnapshotSink};
pub use state_machine::{CaptureError, Captured, StateMachine, Transaction};
pub use store::{GroupStore, Store};
pub use types::*;
#[cfg(any(test, feature = "test-util"))]
pub use workers::SyncTime;
