//! The core: one intent, what may happen to it, and what it becomes. Pure.
//!
//! [`decide`] looks at an intent and a command and answers with events and effects, or a
//! rejection. [`Intent::evolve`] folds one event. Nothing here reads a clock, a random source or a
//! hash map's order, and nothing here acts: `now` is an argument, effects are values that are
//! stored with the events and carried out later, after a failover possibly a second time.
//!
//! ```text
//! CREATED -> SUBMITTED -> DELIVERED -> ACKNOWLEDGED -> IN_PROGRESS <-> WAITING
//!    \___________\____________\______________\_____________\_____________\___> COMPLETED
//!                                   from any open status, exactly once:        FAILED
//!                                                                              CANCELED
//!                                                                              TIMED_OUT
//! ```

mod authority;
mod command;
mod decide;
mod evolve;
mod links;
mod mails;
mod members;
mod notice;
mod rejection;
mod reminders;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod workflow;

#[cfg(test)]
pub(crate) use tests::histories;

pub use authority::{Caller, authorise, may_read};
pub use command::{
    AgentResult, Command, DeliveryResult, Expected, Resolve, TaskAudit, TaskResult, Transfer,
    UpdateControls, UpdatePolicy,
};
pub use decide::{Decision, Verdict, decide};
pub use evolve::{fold, fold_changes, fold_timer};
pub use rejection::Rejection;
pub use state::Intent;
pub use task::{Task, current, number as task_number, waits_for_human};
