//! The stateless front of a cluster: HTTP, server-sent events and gRPC for clients, `axp.node.v1`
//! towards the nodes. It forgets everything between requests; any gateway serves any request.
//!
//! ```text
//! http/  grpc/      translate requests and answers
//!    \    /
//!   service/        what the API does: who may, what is valid, what is sent to whom
//!       |
//!   cluster/        leaders, cached control data, subscriptions; retries until the deadline
//! ```
//!
//! Several gateways may live in one process; only the metrics recorder is shared.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod admin;
mod clock;
mod cluster;
pub mod config;
mod error;
mod grpc;
mod http;
mod json;
mod limits;
mod media;
pub mod metrics;
mod model;
pub mod net;
mod scenario;
mod schema;
pub mod seed;
mod server;
mod service;
mod sse;
mod start;
pub mod telemetry;
mod trace;

pub use self::start::{Gateway, GatewayHandle, StartError};
