//! Getting stored effects done: the outbox of a led shard, and the road to other shards.

pub mod courier;
pub mod dispatcher;
pub mod steps;

pub use courier::{Courier, CourierError};
