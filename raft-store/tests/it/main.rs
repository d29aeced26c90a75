//! Integration tests of the store: both engines, as openraft and a node use them.

mod kv;
mod reopen;
mod snapshots;
mod suite;
mod tail;
