//! F8: every sync of a leader takes 50 to 500 ms longer for a while. What waits for the disk may be late,
//! and must not be wrong; who else waits for it is what this shows.

use std::time::Duration;

use anyhow::ensure;
use rand::RngExt;

use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::powerloss::Fault;

#[derive(Debug)]
pub(super) struct SlowDisk;

impl Nemesis for SlowDisk {
    fn name(&self) -> &'static str {
        "slow-disk"
    }

    fn class(&self) -> Class {
        Class::Nodes
    }

    fn needs(&self) -> Needs {
        Needs::DISKS
    }

    fn takes_node(&self) -> bool {
        false
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let (leader, _) = scene.some_leader().await?;
            let index = scene.cluster.index_of(leader.node)?;
            let millis = scene.rng.random_range(50..=500);
            scene.broke(format!("syncs of node {} take {millis} ms longer", leader.node), &[]);
            let slow = Fault::SlowSync(Duration::from_millis(millis));
            let rule = scene.cluster.disk(index)?.lock().faults.add(slow, "*");
            hold(scene.rng, 3000, 10_000).await;
            let hits = scene.cluster.disk(index)?.lock().faults.remove(rule);
            scene.healed();
            ensure!(hits > 0, "no sync was slow");
            scene.see_all_led().await
        })
    }
}
