//! F14: a node is away for so long that the others drop the log it lacks. Back again, under load, it
//! must be given a snapshot of some group at least.

use std::collections::BTreeMap;

use anyhow::ensure;
use std::time::Duration;
use tokio::time::Instant;

use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};

/// With the short logs that this nemesis asks for, a few seconds of load are enough.
const PURGED_WITHIN: Duration = Duration::from_secs(60);
const INSTALLED_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
const INSTALLS: &str = "axp_snapshot_installs_total";

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "snapshot-install",
    class: Class::Nodes,
    needs: Needs::SHORT_LOGS,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let had = last_entries(scene, node).await;
    ensure!(!had.is_empty(), "node {node} does not say what it has");
    scene.broke(format!("node {node} is away until its log is gone"), &groups);
    scene.cluster.nodes[index].process.kill()?;
    scene.see_leaders(&groups, Some(node)).await?;
    wait_purged(scene, &had).await?;
    scene.start_again(index).await?;
    scene.healed();
    let deadline = Instant::now() + INSTALLED_WITHIN;
    while scene.cluster.metric(index, INSTALLS).await == 0.0 {
        ensure!(Instant::now() < deadline, "node {node} was given no snapshot");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// By group, the last entry that a node has.
async fn last_entries(scene: &Scene<'_>, node: u64) -> BTreeMap<u32, u64> {
    let statuses = scene.cluster.statuses().await;
    let own = statuses.into_iter().filter(|status| status.node_id == node);
    own.flat_map(|status| status.groups).map(|group| (group.group, group.last_log_index)).collect()
}

/// Waits until all others have dropped what comes after `had`, in one group at least.
async fn wait_purged(scene: &Scene<'_>, had: &BTreeMap<u32, u64>) -> anyhow::Result<()> {
    let deadline = Instant::now() + PURGED_WITHIN;
    loop {
        let statuses = scene.cluster.statuses().await;
        let gone = had.iter().any(|(id, last)| {
            let of = statuses.iter().flat_map(|s| &s.groups).filter(|group| group.group == *id);
            let purged: Vec<u64> = of.map(|group| group.purged_index).collect();
            purged.len() + 1 == scene.cluster.members().count() && purged.iter().all(|p| p > last)
        });
        if gone {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "nobody dropped a log within {PURGED_WITHIN:?}");
        tokio::time::sleep(POLL).await;
    }
}
