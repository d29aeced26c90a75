//! A whole gateway in front of fake nodes, over real sockets: exact statuses, bodies, headers and
//! stream bytes, and what a client sees when nodes misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod admission;
mod client;
mod fake;
mod grpc;
mod harness;
mod inbox;
mod intents;
mod lifecycle;
mod requests;
mod routing;
mod shutdown;
mod streams;
mod webhooks;
