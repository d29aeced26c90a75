//! Breaks real clusters and checks what clients were told.
//!
//! `cluster` starts and torments processes, `nemesis` chooses what breaks, `workload` is what clients
//! do meanwhile, `oracle` records what they were told, `replicas` asks what states come to,
//! `invariants` say what must hold of that record (`linear` looks for an order in time), and `runner`
//! puts them together. `powerloss` is a disk that forgets, `network` a bridge that
//! drops. See docs/chaos.md.

pub mod availability;
pub mod canary;
pub mod client;
pub mod cluster;
pub mod history;
pub mod http;
pub mod invariants;
mod linear;
pub mod mutants;
pub mod nemesis;
pub mod network;
pub mod oracle;
pub mod powerloss;
pub mod replicas;
pub mod report;
pub mod runner;
pub mod tenants;
mod timers;
pub mod workload;
