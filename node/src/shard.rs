//! One replica of one shard: what its state machine keeps, and how it is driven.
//!
//! ```text
//! rpc -> Shard::execute -> IntentActor -> decide -> Proposer -> Raft -> ShardApplier (every replica)
//!                              ^                                            |
//!                              +------------- outcome ----------------------+
//!                                         bells: subscribers, outbox, timers <- committed
//! ```

pub mod admission;
pub mod apply;
pub mod bells;
pub mod handle;
pub mod inbox;
pub mod keys;
pub mod led;
pub mod metrics;
pub mod proposer;
pub mod read;
pub mod records;
mod tables;
#[cfg(test)]
mod tests;

pub use apply::ShardApplier;
pub use handle::{ExecuteError, Reply, Request, Shard, ShardParts};
