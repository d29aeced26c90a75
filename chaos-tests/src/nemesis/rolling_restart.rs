//! F12: all nodes are restarted in order, one after the other, as an upgrade does it. A client that
//! asks again as clients do must not notice.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;

use super::scene::ELECTION_WITHIN;
use super::{Class, Needs, Nemesis, Scene};
use crate::cluster::{Build, Node};

/// The drain timeout of a node and some more.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// The next one is restarted when nobody is further behind than this.
const LAG_MAX: u64 = 64;
const POLL: Duration = Duration::from_millis(50);

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "rolling-restart",
    class: Class::Nodes,
    needs: Needs::NOTHING,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    for node in scene.cluster.members() {
        restart(scene, node, node.process.build(), "in turn").await?;
    }
    Ok(())
}

/// Has it end in order, and starts this build of it; done when nobody is behind.
pub(super) async fn restart(
    scene: &Scene<'_>,
    node: &Node,
    build: Build,
    how: &str,
) -> anyhow::Result<()> {
    let id = node.id();
    let led = scene.led_by(node).await;
    scene.broke(format!("restart node {id}, {how}"), &led);
    let status = node.process.terminate(ENDS_WITHIN).await?;
    ensure!(status.success(), "node {id} ended with {status} on SIGTERM");
    scene.leaders_seen(&led, Some(id)).await?;
    node.process.switch(build);
    scene.start_again(node.index).await?;
    see_all_caught_up(scene).await
}

/// As `axp cluster status` has it: every group is led, and nobody is behind.
async fn see_all_caught_up(scene: &Scene<'_>) -> anyhow::Result<()> {
    let groups = usize::from(scene.cluster.shape.shard_groups) + 1;
    let deadline = Instant::now() + ELECTION_WITHIN;
    loop {
        let statuses = scene.cluster.statuses().await;
        let led = statuses.iter().flat_map(|status| &status.groups);
        let led: Vec<_> = led.filter(|group| group.role == "leader").collect();
        let behind = led.iter().flat_map(|group| &group.replication);
        let behind = behind.filter(|replica| replica.lag_entries > LAG_MAX).count();
        if led.len() >= groups && behind == 0 {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{behind} replicas are behind, {} groups led",
            led.len()
        );
        tokio::time::sleep(POLL).await;
    }
}
