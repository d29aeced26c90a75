//! F12: an orderly restart of a leader: SIGTERM, it hands over and ends, and comes back.

use std::time::Duration;

use anyhow::ensure;

use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};

/// The drain timeout of a node and some more.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "restart",
    class: Class::Nodes,
    needs: Needs::NOTHING,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    scene.broke(format!("restart node {node}"), &groups);
    let status = scene.cluster.nodes[index].process.terminate(ENDS_WITHIN).await?;
    ensure!(status.success(), "node {node} ended with {status} on SIGTERM");
    scene.see_leaders(&groups, Some(node)).await?;
    scene.cluster.nodes[index].process.start()?;
    scene.cluster.wait_node_ready(index).await
}
