//! The actors of a led shard. Truth lives in the log, never here: any of them may be killed at any
//! await and started again from the state.

pub mod intent;
pub mod leadership;
pub mod mailboxes;
pub mod registry;
pub mod supervisor;
