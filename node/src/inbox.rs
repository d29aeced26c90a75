//! The core of inboxes: what a thread is, what may be done to it, and what it becomes. Pure.
//!
//! A thread is what one owner (a mailbox) sees of one intent. It changes in two ways: its owner acts
//! ([`decide`]), or something arrives from elsewhere ([`arrive`], [`ended`]). Both answer with events,
//! which [`fold`] makes a thread of, on every replica alike. Nothing here reads a clock or acts; what
//! an action means for the inboxes of others is returned as effects (ADR 0009).
//!
//! ```text
//! pending --reply, delegate--> active --approve, reject--> done
//!    \____________________________________________________/^
//!          the intent ended, or its outcome was delivered
//! ```
//!
//! A thread is decided at most once, and what is done stays done; replies, reading and deleting
//! messages go on.

mod action;
mod approval;
mod arrival;
mod decide;
mod evolve;
#[cfg(test)]
mod tests;

pub use action::Action;
pub use approval::decide as decide_approval;
pub use arrival::{Arrival, arrive, ended};
pub use decide::{Decision, Request, Verdict, decide};
pub use evolve::{MessageChange, create, fold, origin_of};
