//! F4, F5: the power goes, at all nodes at one moment or at one that leads, and with it whatever was
//! not synced. Needs a cluster whose nodes keep their data on [`crate::powerloss`] disks.

use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt};

use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::history::FaultRecord;
use crate::powerloss::{Lost, Survival};

#[derive(Debug)]
pub(super) struct PowerLoss;

impl Nemesis for PowerLoss {
    fn name(&self) -> &'static str {
        "power-loss"
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
            if scene.rng.random_bool(0.3) { self.one(scene).await } else { self.all(scene).await }
        })
    }
}

impl PowerLoss {
    async fn all(&self, scene: &mut Scene<'_>) -> anyhow::Result<()> {
        let groups: Vec<u16> = (1..=scene.cluster.shape.shard_groups).collect();
        let fault = scene.fault("power loss of all nodes".to_owned(), &groups);
        for node in &scene.cluster.nodes {
            node.process.send_kill()?;
        }
        for node in &scene.cluster.nodes {
            node.process.kill()?;
        }
        let mut lost = Lost::default();
        for index in 0..scene.cluster.nodes.len() {
            lost += forget(scene, index)?;
        }
        scene.record(FaultRecord { forgotten_bytes: lost.bytes, ..fault });
        for node in &scene.cluster.nodes {
            node.process.start()?;
        }
        scene.cluster.wait_nodes_ready().await?;
        scene.see_leaders(&groups, None).await
    }

    async fn one(&self, scene: &mut Scene<'_>) -> anyhow::Result<()> {
        let (leader, groups) = scene.some_leader().await?;
        let index = scene.cluster.index_of(leader.node)?;
        let fault = scene.fault(format!("power loss of node {}", leader.node), &groups);
        scene.cluster.nodes[index].process.kill()?;
        let lost = forget(scene, index)?;
        scene.record(FaultRecord { forgotten_bytes: lost.bytes, ..fault });
        scene.see_leaders(&groups, Some(leader.node)).await?;
        scene.cluster.nodes[index].process.start()?;
        scene.cluster.wait_node_ready(index).await
    }
}

/// Each disk has its own luck.
fn forget(scene: &mut Scene<'_>, index: usize) -> anyhow::Result<Lost> {
    let survivals = &scene.cluster.shape.survivals;
    let survival = survivals.choose(scene.rng).copied().unwrap_or(Survival::Lose);
    let seed = scene.rng.next_u64();
    Ok(scene.cluster.disk(index)?.lock().lose_power(survival, seed))
}
