//! F3: a leader and a gateway that knows it are stopped together, until others lead and have gone on.
//! Then both wake up at one moment: the gateway asks a leader that was one, which must not answer.

use rand::RngExt;

use super::scene::{Target, hold};
use super::{Class, Needs, Nemesis, Scene};

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "old-leader",
    class: Class::Nodes,
    needs: Needs::NOTHING,
    takes_node: true,
    takes_gateway: true,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let at = scene.rng.random_range(0..scene.cluster.gateways.len());
    let (leader, gateway) = (&scene.cluster.nodes[index], &scene.cluster.gateways[at]);
    scene.broke(format!("pause node {node} and gateway {at}"), &groups);
    gateway.process.pause()?;
    leader.process.pause()?;
    scene.see_leaders(&groups, Some(node)).await?;
    scene.see_progress(&groups).await?;
    hold(scene.rng, 0, 3000).await;
    // Which of them is first is for chance to say.
    if scene.rng.random_bool(0.5) {
        gateway.process.resume()?;
        leader.process.resume()?;
    } else {
        leader.process.resume()?;
        gateway.process.resume()?;
    }
    scene.healed();
    scene.cluster.wait_node_ready(index).await?;
    scene.cluster.wait_gateway_ready(at).await
}
