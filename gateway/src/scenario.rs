//! Scenario bundles: what a user writes, and what the node carries out (contract, scenarios.md).
//!
//! ```text
//! JSON --read (lenient)--> Bundle --macro expanded--> steps --compile (names resolved)--> Workflow
//!            \____________________ errors and warnings: path, problem, fix ______________/
//! ```
//!
//! Pure: who an address is and what a task's rules are is asked of a [`Directory`]. Validate and apply
//! run the same code, so that what the one accepts the other can carry out.

mod bundle;
mod compile;
mod graph;
mod kind;
mod macros;
mod read;
mod report;

pub(crate) use self::bundle::{AgentRef, Bundle, Purpose};
pub(crate) use self::compile::{Directory, compile};
pub(crate) use self::macros::{Macro, find as find_macro, list as list_macros};
pub(crate) use self::report::Report;
