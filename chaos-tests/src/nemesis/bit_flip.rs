//! F6: bits of what a node keeps are flipped while it is down. Started again, it must find the damage
//! and not serve it: it refuses to start, or ends when it reads it. Then the bits are put back, as
//! from a good copy of the disk. Damage where nobody reads is not found, and that is said.

use std::time::Duration;

use anyhow::ensure;
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt};
use tokio::time::Instant;

use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::history::FaultRecord;

/// The log, what it says is true now, or anything.
const WHERE: [&str; 3] = ["*/log/*", "*/state/*", "*"];
const OPENS_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct BitFlip;

impl Nemesis for BitFlip {
    fn name(&self) -> &'static str {
        "bit-flip"
    }

    fn class(&self) -> Class {
        Class::Nodes
    }

    fn needs(&self) -> Needs {
        Needs::DISKS
    }

    fn takes_node(&self) -> bool {
        true
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let (leader, groups) = scene.some_leader().await?;
            let index = scene.cluster.index_of(leader.node)?;
            let process = &scene.cluster.nodes[index].process;
            let fault = scene.fault(String::new(), &groups);
            process.kill()?;
            scene.see_leaders(&groups, Some(leader.node)).await?;
            let pattern = WHERE.choose(scene.rng).copied().unwrap_or("*");
            let (bits, seed) = (scene.rng.random_range(1..=20), scene.rng.next_u64());
            let flipped = scene.cluster.disk(index)?.lock().flip_bits(pattern, bits, seed);
            ensure!(flipped == bits, "there is nothing to damage in {pattern}");
            let found = self.serve(scene, index).await?;
            let told = if found { "found" } else { "not read" };
            let what = format!("{bits} bits of node {} flipped in {pattern}: {told}", leader.node);
            scene.record(FaultRecord { what, damage_found: found, ..fault });
            let process = &scene.cluster.nodes[index].process;
            if !found {
                process.kill()?;
            }
            scene.cluster.disk(index)?.lock().unflip_bits();
            scene.start_again(index).await
        })
    }
}

impl BitFlip {
    /// Starts the damaged node and lets it serve for a while; whether it found out and ended.
    async fn serve(&self, scene: &mut Scene<'_>, index: usize) -> anyhow::Result<bool> {
        let process = &scene.cluster.nodes[index].process;
        process.start()?;
        let deadline = Instant::now() + OPENS_WITHIN;
        while !scene.cluster.is_ready(index).await {
            if let Some(status) = process.ended()? {
                ensure!(!status.success(), "a damaged node ended as if all were well");
                return Ok(true);
            }
            ensure!(Instant::now() < deadline, "a damaged node neither serves nor ends");
            tokio::time::sleep(POLL).await;
        }
        hold(scene.rng, 2000, 5000).await;
        Ok(process.ended()?.is_some())
    }
}
