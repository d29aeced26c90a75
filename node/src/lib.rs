//! One node of a cluster.

pub mod actor;
pub mod admin;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod control;
pub mod intent;
pub mod metrics;
pub mod outbox;
pub mod raft;
pub mod rpc;
pub mod services;
pub mod shard;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod timer;
