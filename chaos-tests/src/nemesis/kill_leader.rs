//! F1: `kill -9` of the node that leads a random shard, under load; back after others took over.

use std::time::Duration;

use rand::RngExt;

use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "kill-leader",
    class: Class::Nodes,
    needs: Needs::NOTHING,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    scene.broke(format!("kill -9 node {node}"), &groups);
    scene.cluster.nodes[index].process.kill()?;
    scene.see_leaders(&groups, Some(node)).await?;
    // The others go on without it for a while, so that it has something to catch up with.
    let away = Duration::from_millis(scene.rng.random_range(200..1500));
    tokio::time::sleep(away).await;
    scene.cluster.nodes[index].process.start()?;
    scene.cluster.wait_node_ready(index).await
}
