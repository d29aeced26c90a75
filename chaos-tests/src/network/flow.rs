//! One connection through a proxy: bytes, each with the time at which it may arrive.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Place;
use super::proxy::{Condition, Shared};

const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks under way in one direction: what a long link holds. Beyond that the sender waits.
const UNDER_WAY_MAX: usize = 64;

/// A connection that `from` opened to `to`.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) from: Place,
    pub(super) to: Place,
    frozen: AtomicBool,
    /// Lost bytes, so that it must not go on.
    damaged: AtomicBool,
    reset: watch::Sender<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

impl Flow {
    pub(super) fn new(from: Place, to: Place) -> Self {
        Self {
            from,
            to,
            frozen: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            reset: watch::Sender::new(false),
        }
    }

    pub(super) fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
    }

    pub(super) fn reset(&self) {
        self.reset.send_replace(true);
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed) || self.frozen.load(Ordering::Relaxed)
    }

    /// Whether bytes that go this way are lost from now on.
    fn swallows(&self, way: Way, condition: &Condition) -> bool {
        self.is_damaged() || (way == Way::Back && condition.answers_lost)
    }
}

/// Carries bytes both ways until both ends have closed, or one of them failed or it is reset: then
/// both see a reset.
pub(super) async fn relay(
    client: &mut TcpStream,
    server: &mut TcpStream,
    flow: &Flow,
    shared: &Shared,
) -> io::Result<()> {
    let mut reset = flow.reset.subscribe();
    let orderly = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let there = pump(from_client, to_server, Way::There, flow, shared);
        let back = pump(from_server, to_client, Way::Back, flow, shared);
        tokio::select! {
            both = futures_util::future::try_join(there, back) => both.is_ok(),
            _ = reset.wait_for(|reset| *reset) => {
                shared.counters.resets.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    };
    if !orderly {
        client.set_zero_linger()?;
        server.set_zero_linger()?;
    }
    Ok(())
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: Way,
    flow: &Flow,
    shared: &Shared,
) -> io::Result<()> {
    let (depart, mut arrive) = mpsc::channel::<(Instant, Condition, Vec<u8>)>(UNDER_WAY_MAX);
    let read = async move {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let length = from.read(&mut chunk).await?;
            if length == 0 && flow.is_damaged() {
                // An orderly end would say that all came before it.
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if length == 0 {
                return io::Result::Ok(());
            }
            chunk.truncate(length);
            let condition = shared.condition(flow);
            if flow.swallows(way, &condition) {
                flow.damaged.store(true, Ordering::Relaxed);
                shared.counters.swallowed_bytes.fetch_add(length as u64, Ordering::Relaxed);
                continue;
            }
            if depart.send((Instant::now() + condition.delay, condition, chunk)).await.is_err() {
                // The other half failed and says why.
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((at, condition, chunk)) = arrive.recv().await {
            if condition != Condition::default() {
                shared.counters.delayed_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                tokio::time::sleep_until(at).await;
                tokio::time::sleep(time_on_wire(&condition, chunk.len())).await;
            }
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    futures_util::future::try_join(read, write).await.map(drop)
}

fn time_on_wire(condition: &Condition, bytes: usize) -> Duration {
    match condition.bytes_per_second {
        Some(rate) => Duration::from_secs_f64(bytes as f64 / f64::from(rate.max(1))),
        None => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_link_takes_its_time() {
        let narrow = Condition { bytes_per_second: Some(125_000), ..Condition::default() };
        assert_eq!(time_on_wire(&narrow, 12_500), Duration::from_millis(100));
        assert_eq!(time_on_wire(&Condition::default(), 12_500), Duration::ZERO);
    }

    #[test]
    fn what_lost_bytes_loses_all_that_follows() {
        let flow = Flow::new(Place::Gateway(0), Place::Node(0));
        let lossy = Condition { answers_lost: true, ..Condition::default() };
        assert!(flow.swallows(Way::Back, &lossy));
        assert!(!flow.swallows(Way::There, &lossy));
        assert!(!flow.swallows(Way::Back, &Condition::default()));
        flow.damaged.store(true, Ordering::Relaxed);
        assert!(flow.swallows(Way::Back, &Condition::default()));
        assert!(flow.swallows(Way::There, &Condition::default()));
    }
}
