//! F7: one sync of a leader fails, once. The node must acknowledge nothing any more and end: the bytes
//! are gone, although a second sync would succeed. Then they are really gone, and it comes back.

use std::time::Duration;

use anyhow::ensure;
use rand::Rng;

use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::history::FaultRecord;
use crate::powerloss::{Fault, Survival};

const ENDS_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct SyncFails;

impl Nemesis for SyncFails {
    fn name(&self) -> &'static str {
        "sync-fails"
    }

    fn class(&self) -> Class {
        Class::Nodes
    }

    fn needs(&self) -> Needs {
        Needs::DISKS
    }

    fn takes_node(&self) -> bool {
        true
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let (leader, groups) = scene.some_leader().await?;
            let index = scene.cluster.index_of(leader.node)?;
            let once = Fault::SyncFails { once: true };
            let rule = scene.cluster.disk(index)?.lock().faults.add(once, "*");
            scene.see_end(index, ENDS_WITHIN).await?;
            let fault = scene.fault(format!("a sync of node {} failed", leader.node), &groups);
            let seed = scene.rng.next_u64();
            let (hits, lost) = {
                let mut disk = scene.cluster.disk(index)?.lock();
                (disk.faults.remove(rule), disk.lose_power(Survival::Lose, seed))
            };
            scene.record(FaultRecord { forgotten_bytes: lost.bytes, ..fault });
            ensure!(hits > 0, "it ended, but no sync had failed");
            scene.see_leaders(&groups, Some(leader.node)).await?;
            scene.start_again(index).await
        })
    }
}
