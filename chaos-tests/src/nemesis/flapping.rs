//! F9: the links of a leader come and go, each time about as long as an election takes.

use std::time::Duration;

use rand::RngExt;

use super::{Nemesis, Scene, Strike, hold};
use crate::network::Place;

const TIMES: std::ops::RangeInclusive<u32> = 3..=8;

#[derive(Debug)]
pub(super) struct Flapping;

impl Nemesis for Flapping {
    fn name(&self) -> &'static str {
        "flapping"
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let (leader, _) = scene.some_leader().await?;
            let index = scene.cluster.index_of(leader.node)?;
            let others = scene.other_nodes(index);
            let times = scene.rng.random_range(TIMES);
            let what = format!("the links of node {} go and come {times} times", leader.node);
            scene.record_fault(self, what, &[]);
            for time in 1..=times {
                scene.cut_both(&[Place::Node(index)], &others)?;
                hold(scene.rng, 200, 1500).await;
                if time < times {
                    scene.cluster.network()?.heal()?;
                    tokio::time::sleep(Duration::from_millis(scene.rng.random_range(100..800)))
                        .await;
                }
            }
            scene.heal_network(self).await
        })
    }
}
