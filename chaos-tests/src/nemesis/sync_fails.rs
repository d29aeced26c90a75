//! F7: one sync of a leader fails, once. The node must acknowledge nothing any more and end: the bytes
//! are gone, although a second sync would succeed. Then they are really gone, and it comes back.

use std::time::Duration;

use anyhow::ensure;
use rand::Rng;

use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};
use crate::history::FaultRecord;
use crate::powerloss::{Fault, Survival};

const ENDS_WITHIN: Duration = Duration::from_secs(10);

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "sync-fails",
    class: Class::Nodes,
    needs: Needs::DISKS,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let once = Fault::SyncFails { once: true };
    let rule = scene.cluster.disk(index)?.lock().faults.add(once, "*");
    scene.see_end(index, ENDS_WITHIN).await?;
    let fault = scene.fault(format!("a sync of node {node} failed"), &groups);
    let seed = scene.rng.next_u64();
    let (hits, lost) = {
        let mut disk = scene.cluster.disk(index)?.lock();
        (disk.faults.remove(rule), disk.lose_power(Survival::Lose, seed))
    };
    scene.record(FaultRecord { forgotten_bytes: lost.bytes, ..fault });
    ensure!(hits > 0, "it ended, but no sync had failed");
    scene.see_leaders(&groups, Some(node)).await?;
    scene.start_again(index).await
}
