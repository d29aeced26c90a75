//! One node of a cluster: replicas of Raft groups, and what runs where a group is led.
//!
//! `Node::start` puts the parts together, so that tests run a node, or several, in one process;
//! `main` only calls it. Nothing here is process-wide but the metrics recorder.
//!
//! ```text
//! store ── identity ── founding ── groups ── begin ── services
//!              └─ Raft port (hello) ──┴─ (everything else)
//! ```

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod actor;
pub mod admin;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod control;
pub mod inbox;
pub mod intent;
pub mod mail;
pub mod metrics;
pub mod net;
pub mod node;
pub mod outbox;
pub mod push;
pub mod raft;
pub mod rpc;
pub mod services;
pub mod shard;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod timer;

pub use node::{Listeners, Node, NodeHandle};
