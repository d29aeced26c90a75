//! F10: everything that a node sends and is sent takes 20 to 200 ms longer, in half of the strikes
//! over links of 1 Mbit/s. Nothing is lost; whether it goes on leading is open.

use std::time::Duration;

use anyhow::ensure;
use rand::RngExt;

use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::network::Place;

/// 1 Mbit/s.
const NARROW_BYTES_PER_SECOND: u32 = 125_000;

#[derive(Debug)]
pub(super) struct SlowLink;

impl Nemesis for SlowLink {
    fn name(&self) -> &'static str {
        "slow-link"
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
            let millis = scene.rng.random_range(20..=200);
            let narrow = scene.rng.random_bool(0.5).then_some(NARROW_BYTES_PER_SECOND);
            let width = if narrow.is_some() { " and narrow" } else { "" };
            let node = leader.node;
            scene.broke(format!("the links of node {node} are {millis} ms long{width}"), &[]);
            let set = |proxies: &crate::network::Proxies| {
                for other in others {
                    proxies.slow(Place::Node(index), other, Duration::from_millis(millis), narrow);
                }
            };
            let hurt = scene.disturb(3000..10_000, set).await?;
            ensure!(hurt.delayed_bytes > 0, "slow links carried nothing");
            Ok(())
        })
    }
}
