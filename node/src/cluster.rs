//! The cluster as one node sees it: who it is, who founded it, who leads what, and whether this
//! node is ready.
//!
//! - `identity`: number and incarnation of this node's disk.
//! - `founding`: how nodes with empty disks agree on one cluster, once.
//! - `members`: who is in, and how everybody is reached; `follow` keeps that up to date.
//! - `membership`: changes of members; `change` decides what may be wanted, `plan` the next step,
//!   `placement` which nodes hold a group, `waiting` who asks to be let in.
//! - `begin`: the first entry of every group, and readiness.
//! - `leadership`: hands leadership over, to leave or to spread it evenly; `drain`: leaving.
//!
//! What a group does with its entries is not known here.

pub mod begin;
mod change;
pub mod drain;
pub mod follow;
pub mod founding;
pub mod identity;
pub mod leadership;
mod members;
pub mod membership;
pub mod placement;
mod plan;
mod waiting;

pub use change::Refusal;
pub use members::{MalformedFounding, Members};
pub use membership::Membership;
pub use waiting::Waiting;
