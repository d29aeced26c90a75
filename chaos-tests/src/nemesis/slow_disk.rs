//! F8: every sync of a leader takes 50 to 500 ms longer for a while. What waits for the disk may be late,
//! and must not be wrong; who else waits for it is what this shows.

use std::time::Duration;

use anyhow::ensure;
use rand::RngExt;

use super::scene::{Target, hold};
use super::{Class, Needs, Nemesis, Scene};
use crate::powerloss::Fault;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "slow-disk",
    class: Class::Nodes,
    needs: Needs::DISKS,
    takes_node: false,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, .. } = scene.some_leader().await?;
    let millis = scene.rng.random_range(50..=500);
    scene.broke(format!("syncs of node {node} take {millis} ms longer"), &[]);
    let slow = Fault::SlowSync(Duration::from_millis(millis));
    let rule = scene.cluster.disk(index)?.lock().faults.add(slow, "*");
    hold(scene.rng, 3000, 10_000).await;
    let hits = scene.cluster.disk(index)?.lock().faults.remove(rule);
    scene.healed();
    ensure!(hits > 0, "no sync was slow");
    scene.see_all_led().await
}
