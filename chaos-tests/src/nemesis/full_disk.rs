//! F8: the disk of a leader is full. The node says so and ends, others lead; in half of the strikes it
//! is started once more too early; then there is space again, and it comes back.

use std::time::Duration;

use anyhow::ensure;
use rand::RngExt;

use super::scene::{Target, hold};
use super::{Class, Needs, Nemesis, Scene};
use crate::powerloss::Fault;

/// A node that is written to needs space within moments.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "full-disk",
    class: Class::Nodes,
    needs: Needs::DISKS,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let rule = scene.cluster.disk(index)?.lock().faults.add(Fault::DiskFull, "*");
    scene.see_end(index, ENDS_WITHIN).await?;
    scene.broke(format!("node {node} ended, its disk is full"), &groups);
    scene.see_leaders(&groups, Some(node)).await?;
    if scene.rng.random_bool(0.5) {
        let process = &scene.cluster.nodes[index].process;
        process.start()?;
        let status = process.wait_ended(ENDS_WITHIN).await?;
        ensure!(!status.success(), "without space it ended as if all were well");
    }
    hold(scene.rng, 0, 3000).await;
    let hits = scene.cluster.disk(index)?.lock().faults.remove(rule);
    ensure!(hits > 0, "nobody needed space");
    scene.start_again(index).await
}
