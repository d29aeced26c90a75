//! One node of a cluster.

pub mod intent;
