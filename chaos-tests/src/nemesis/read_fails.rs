//! F7: whatever a leader reads from its disk fails. A node that cannot read must serve no guess in its
//! place: it ends and says so. In half of the strikes that happens while it starts, and then it must
//! refuse to. The disk is made whole, and the node comes back with what it had.

use std::time::Duration;

use anyhow::{bail, ensure};
use rand::RngExt;
use rand::seq::IndexedRandom as _;
use tokio::time::Instant;

use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};
use crate::powerloss::Fault;

/// The log, what it says is true now, or anything.
const WHERE: [&str; 3] = ["*/log/*", "*/state/*", "*"];
/// What lies in memory is not read for a while.
const READS_WITHIN: Duration = Duration::from_secs(10);
const ENDS_WITHIN: Duration = Duration::from_secs(10);
const REFUSES_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "read-fails",
    class: Class::Nodes,
    needs: Needs::DISKS,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let pattern = WHERE.choose(scene.rng).copied().unwrap_or("*");
    let disk = scene.cluster.disk(index)?;
    let rule = disk.lock().faults.add(Fault::ReadFails, pattern);
    let found = scene.rng.random_bool(0.5) && see_it_read(scene, index).await?;
    if found {
        scene.broke(format!("reads of {pattern} by node {node} fail: it ended"), &groups);
    } else {
        scene.broke(format!("reads of {pattern} by node {node} fail while it starts"), &groups);
        scene.cluster.nodes[index].process.kill()?;
    }
    scene.see_leaders(&groups, Some(node)).await?;
    if !found {
        see_it_refuse(scene, index).await?;
    }
    let hits = disk.lock().faults.remove(rule);
    ensure!(hits > 0, "node {node} read nothing of {pattern}");
    scene.start_again(index).await
}

/// Whether it read anything; then it has to end.
async fn see_it_read(scene: &Scene<'_>, index: usize) -> anyhow::Result<bool> {
    let before = scene.cluster.disk(index)?.lock().faults.hits;
    let deadline = Instant::now() + READS_WITHIN;
    while scene.cluster.disk(index)?.lock().faults.hits == before {
        if Instant::now() > deadline {
            return Ok(false);
        }
        tokio::time::sleep(POLL).await;
    }
    scene.see_end(index, ENDS_WITHIN).await?;
    Ok(true)
}

/// It does not start with what it cannot read, and says so.
async fn see_it_refuse(scene: &Scene<'_>, index: usize) -> anyhow::Result<()> {
    let process = &scene.cluster.nodes[index].process;
    process.start()?;
    let status = process.wait_ended(REFUSES_WITHIN).await?;
    let last = process.last_words()?;
    if status.success() || !last.contains("axp-node: ") {
        bail!("a node that cannot read ended with {status}: {last}");
    }
    tracing::info!(%status, last, "a node that cannot read ended");
    Ok(())
}
