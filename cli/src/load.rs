//! What loads a server: connections, closed-loop clients, and the record of what they saw.
//!
//! The generator often shares its machine with the server it loads, so it does as little as the
//! contract allows: one thread, requests built by hand, and only those bytes of an answer parsed
//! that decide what comes next.

mod client;
mod connection;
mod payload;
mod recorder;
mod report;

pub(crate) use self::client::{Client, Patience, Server, pause_after};
pub(crate) use self::connection::Failure;
pub(crate) use self::payload::Payloads;
pub(crate) use self::recorder::{Recorder, Window};
pub(crate) use self::report::Report;
