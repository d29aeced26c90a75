//! Integration tests of the store: both engines, as openraft and a node use them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod kv;
mod raft;
mod reopen;
mod sled;
mod snapshots;
mod suite;
mod tail;
