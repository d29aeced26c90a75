//! F6: bits of what a node keeps are flipped while it is down. Started again, it must find the damage
//! and not serve it: it refuses to start, or ends when it reads it. Then the disk is made whole.
//! Damage where nobody reads is not found, and that is said.
//!
//! A node that refused to start gets the disk back as it was, for opening a damaged store may have cut
//! more than was damaged. One that served has promised things since, and so only the bits that are
//! still flipped are put right.

use std::time::Duration;

use anyhow::ensure;
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt};
use tokio::time::Instant;

use super::scene::{Target, hold};
use super::{Class, Needs, Nemesis, Scene};
use crate::history::FaultRecord;

/// The log, what it says is true now, or anything.
const WHERE: [&str; 3] = ["*/log/*", "*/state/*", "*"];
const OPENS_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "bit-flip",
    class: Class::Nodes,
    needs: Needs::DISKS,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let process = &scene.cluster.nodes[index].process;
    let fault = scene.fault(String::new(), &groups);
    process.kill()?;
    scene.see_leaders(&groups, Some(node)).await?;
    let pattern = WHERE.choose(scene.rng).copied().unwrap_or("*");
    let (bits, seed) = (scene.rng.random_range(1..=20), scene.rng.next_u64());
    let whole = scene.cluster.disk(index)?.lock().clone();
    let flipped = scene.cluster.disk(index)?.lock().flip_bits(pattern, bits, seed);
    ensure!(flipped == bits, "there is nothing to damage in {pattern}");
    let found = serve(scene, index).await?;
    let told = match found {
        Found::AtStart => "found at the start",
        Found::Later => "found when it was read",
        Found::No => "not read",
    };
    let what = format!("{bits} bits of node {node} flipped in {pattern}: {told}");
    scene.record(FaultRecord { what, damage_found: found != Found::No, ..fault });
    if found == Found::No {
        scene.cluster.nodes[index].process.kill()?;
    }
    match found {
        Found::AtStart => scene.cluster.disk(index)?.lock().restore(whole),
        Found::Later | Found::No => drop(scene.cluster.disk(index)?.lock().unflip_bits()),
    }
    scene.start_again(index).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Before it took part in anything.
    AtStart,
    Later,
    No,
}

/// Starts the damaged node and lets it serve for a while, unless it finds out and ends.
async fn serve(scene: &mut Scene<'_>, index: usize) -> anyhow::Result<Found> {
    let process = &scene.cluster.nodes[index].process;
    process.start()?;
    let deadline = Instant::now() + OPENS_WITHIN;
    while !scene.cluster.is_ready(index).await {
        if let Some(status) = process.ended()? {
            ensure!(!status.success(), "a damaged node ended as if all were well");
            let last = process.last_words()?;
            tracing::info!(%status, last, "a damaged node ended");
            return Ok(if is_refusal(&last) { Found::AtStart } else { Found::Later });
        }
        ensure!(Instant::now() < deadline, "a damaged node neither serves nor ends");
        tokio::time::sleep(POLL).await;
    }
    hold(scene.rng, 2000, 5000).await;
    Ok(if process.ended()?.is_some() { Found::Later } else { Found::No })
}

/// Whether a node ended before it took part in Raft: what it could not open it says in these words.
fn is_refusal(last_words: &str) -> bool {
    last_words.contains("does not start") && last_words.contains("cannot be opened")
}
