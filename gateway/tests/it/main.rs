//! A whole gateway in front of fake nodes, over real sockets: exact statuses, bodies, headers and
//! stream bytes, and what a client sees when nodes misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod accounts;
mod admission;
mod client;
mod endpoints;
mod fake;
mod grpc;
mod harness;
mod inbox;
mod intents;
mod invites;
mod lifecycle;
mod media;
mod requests;
mod routing;
mod scenarios;
mod schemas;
mod shapes;
mod shutdown;
mod streams;
mod tasks;
mod users;
mod webhooks;
