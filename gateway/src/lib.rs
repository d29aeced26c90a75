//! wip
#![allow(dead_code, unused_imports)]
mod clock;
mod cluster;
pub mod config;
mod error;
mod json;
mod limits;
pub mod metrics;
mod model;
mod service;
mod trace;
