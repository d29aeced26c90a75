//! F4, F5: the power goes, at all nodes at one moment or at one that leads, and with it whatever was
//! not synced. Needs a cluster whose nodes keep their data on [`crate::powerloss`] disks.

use std::time::Duration;

use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt};
use tokio::time::Instant;

use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};
use crate::history::FaultRecord;
use crate::powerloss::{Lost, Survival};

/// Everything may just be synced: then there is nothing to lose, for that long at most.
const BUSY_WITHIN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(1);

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "power-loss",
    class: Class::Nodes,
    needs: Needs::DISKS,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    if scene.rng.random_bool(0.3) { one(scene).await } else { all(scene).await }
}

async fn all(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let groups: Vec<u16> = (1..=scene.cluster.shape.shard_groups).collect();
    let places: Vec<usize> = scene.cluster.members().map(|node| node.index).collect();
    wait_busy(scene, &places).await?;
    let fault = scene.fault("power loss of all nodes".to_owned(), &groups);
    for node in scene.cluster.members() {
        node.process.send_kill()?;
    }
    for node in scene.cluster.members() {
        node.process.kill()?;
    }
    let mut lost = Lost::default();
    for index in places {
        lost += forget(scene, index)?;
    }
    scene.record(FaultRecord { forgotten_bytes: lost.bytes, ..fault });
    for node in scene.cluster.members() {
        node.process.start()?;
    }
    scene.cluster.wait_nodes_ready().await?;
    scene.see_leaders(&groups, None).await
}

async fn one(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    wait_busy(scene, &[index]).await?;
    let fault = scene.fault(format!("power loss of node {node}"), &groups);
    scene.cluster.nodes[index].process.kill()?;
    let lost = forget(scene, index)?;
    scene.record(FaultRecord { forgotten_bytes: lost.bytes, ..fault });
    scene.see_leaders(&groups, Some(node)).await?;
    scene.cluster.nodes[index].process.start()?;
    scene.cluster.wait_node_ready(index).await
}

/// Waits until one of these disks has something that is not synced.
async fn wait_busy(scene: &Scene<'_>, places: &[usize]) -> anyhow::Result<()> {
    let deadline = Instant::now() + BUSY_WITHIN;
    while Instant::now() < deadline {
        for index in places {
            if scene.cluster.disk(*index)?.lock().unsynced_changes() > 0 {
                return Ok(());
            }
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Each disk has its own luck.
fn forget(scene: &mut Scene<'_>, index: usize) -> anyhow::Result<Lost> {
    let survivals = &scene.cluster.shape.survivals;
    let survival = survivals.choose(scene.rng).copied().unwrap_or(Survival::Lose);
    let seed = scene.rng.next_u64();
    Ok(scene.cluster.disk(index)?.lock().lose_power(survival, seed))
}
