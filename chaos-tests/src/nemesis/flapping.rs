//! F9: the links of a leader come and go, each time about as long as an election takes.

use rand::RngExt;

use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::network::Place;

const TIMES: std::ops::RangeInclusive<u32> = 3..=8;

#[derive(Debug)]
pub(super) struct Flapping;

impl Nemesis for Flapping {
    fn name(&self) -> &'static str {
        "flapping"
    }

    fn class(&self) -> Class {
        Class::Surroundings
    }

    fn needs(&self) -> Needs {
        Needs::NETWORK
    }

    fn takes_node(&self) -> bool {
        true
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let (leader, _) = scene.some_leader().await?;
            let index = scene.cluster.index_of(leader.node)?;
            let others = scene.other_nodes(index);
            let times = scene.rng.random_range(TIMES);
            let what = format!("the links of node {} go and come {times} times", leader.node);
            scene.broke(what, &[]);
            for _ in 1..times {
                let cuts = scene.cut_both(&[Place::Node(index)], &others)?;
                hold(scene.rng, 200, 1500).await;
                scene.cluster.network()?.mend(cuts)?;
                hold(scene.rng, 100, 800).await;
            }
            let cuts = scene.cut_both(&[Place::Node(index)], &others)?;
            hold(scene.rng, 200, 1500).await;
            scene.mend(cuts).await
        })
    }
}
