//! F1: `kill -9` of the node that leads a random shard, under load; back after others took over.

use std::time::Duration;

use rand::RngExt;

use super::{Class, Nemesis, Scene, Strike};

#[derive(Debug)]
pub(super) struct KillLeader;

impl Nemesis for KillLeader {
    fn name(&self) -> &'static str {
        "kill-leader"
    }

    fn class(&self) -> Class {
        Class::Nodes
    }

    fn takes_node(&self) -> bool {
        true
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let (leader, groups) = scene.some_leader().await?;
            let index = scene.cluster.index_of(leader.node)?;
            scene.broke(format!("kill -9 node {}", leader.node), &groups);
            scene.cluster.nodes[index].process.kill()?;
            scene.see_leaders(&groups, Some(leader.node)).await?;
            // The others go on without it for a while, so that it has something to catch up with.
            let away = Duration::from_millis(scene.rng.random_range(200..1500));
            tokio::time::sleep(away).await;
            scene.cluster.nodes[index].process.start()?;
            scene.cluster.wait_node_ready(index).await
        })
    }
}
