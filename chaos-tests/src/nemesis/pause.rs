//! F3: SIGSTOP of a leader until others lead, and then SIGCONT: it wakes up believing to lead.

use std::time::Duration;

use rand::RngExt;

use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "pause",
    class: Class::Nodes,
    needs: Needs::NOTHING,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    // One in three is a stutter, around the election timeout: the leader may stay or not.
    if scene.rng.random_bool(0.33) {
        let millis = scene.rng.random_range(100..600);
        let what = format!("pause node {node} for {millis} ms");
        scene.broke(what, &[]);
        scene.cluster.nodes[index].process.pause()?;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        return scene.cluster.nodes[index].process.resume();
    }
    scene.broke(format!("pause node {node}"), &groups);
    scene.cluster.nodes[index].process.pause()?;
    scene.see_leaders(&groups, Some(node)).await?;
    let longer = Duration::from_millis(scene.rng.random_range(0..5000));
    tokio::time::sleep(longer).await;
    scene.cluster.nodes[index].process.resume()?;
    scene.cluster.wait_node_ready(index).await
}
