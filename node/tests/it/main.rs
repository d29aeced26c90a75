//! Whole nodes in one process: real gRPC on loopback, real stores in temporary folders, and a small
//! key-value store in place of shards.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says where it failed")]

mod admin;
mod cut;
mod failover;
mod founding;
mod kv;
mod leadership;
mod members;
mod partition;
mod snapshot;
mod support;
mod transport;
