//! Ports for processes that are killed and restarted.
//!
//! Not from the range that the kernel hands to outgoing connections: while a node is down, one of
//! the thousands of client connections of a run could otherwise take its port.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;
use rand::RngExt;

/// Below Linux's default `ip_local_port_range`.
const RANGE: std::ops::Range<u16> = 12_000..32_000;
const TRIES: usize = 1000;

/// Picks `count` different ports that nobody listens on now.
pub(super) fn pick(count: usize) -> anyhow::Result<Vec<u16>> {
    // The listeners are kept until all ports are found, so that no two are the same.
    let mut listeners: Vec<TcpListener> = Vec::new();
    for _ in 0..TRIES {
        let port = rand::rng().random_range(RANGE);
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            listeners.push(listener);
        }
        if listeners.len() == count {
            let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port()));
            return ports.collect();
        }
    }
    bail!("no {count} free ports in {RANGE:?}")
}
