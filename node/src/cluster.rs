//! The cluster as one node sees it: who it is, who founded it, who leads what, and whether this
//! node is ready.
//!
//! - `identity`: number and incarnation of this node's disk.
//! - `founding`: how nodes with empty disks agree on one cluster, once.
//! - `members`: how every member is reached.
//! - `begin`: the first entry of every group, and readiness.
//! - `leadership`: hands leadership over, to leave or to spread it evenly; `drain`: leaving.
//!
//! What a group does with its entries is not known here.

pub mod begin;
pub mod drain;
pub mod founding;
pub mod identity;
pub mod leadership;
mod members;

pub use members::{MalformedFounding, Members};
