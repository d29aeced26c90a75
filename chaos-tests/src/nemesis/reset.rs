//! F10: all connections of a leader are reset, to the other nodes and to the gateways, 5 to 20 times
//! in a row, each time after they were opened again.

use anyhow::ensure;
use rand::RngExt;

use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::network::Place;

#[derive(Debug)]
pub(super) struct Reset;

impl Nemesis for Reset {
    fn name(&self) -> &'static str {
        "reset"
    }

    fn class(&self) -> Class {
        Class::Surroundings
    }

    fn needs(&self) -> Needs {
        Needs::PROXIES
    }

    fn takes_node(&self) -> bool {
        false
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let (leader, _) = scene.some_leader().await?;
            let index = scene.cluster.index_of(leader.node)?;
            let mut others = scene.other_nodes(index);
            others.extend(scene.gateways());
            let times = scene.rng.random_range(5..=20);
            let what = format!("the connections of node {} are reset {times} times", leader.node);
            scene.broke(what, &[]);
            let proxies = scene.cluster.proxies()?;
            let mut reset = 0;
            for _ in 0..times {
                reset +=
                    others.iter().map(|to| proxies.reset(Place::Node(index), *to)).sum::<usize>();
                hold(scene.rng, 50, 500).await;
            }
            scene.healed();
            ensure!(reset > times, "{times} resets hit {reset} connections");
            scene.see_all_led().await
        })
    }
}
