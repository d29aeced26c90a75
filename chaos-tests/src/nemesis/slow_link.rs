//! F10: everything that a node sends and is sent takes 20 to 200 ms longer, in half of the strikes
//! over links of 1 Mbit/s. Nothing is lost; whether it goes on leading is open.

use std::time::Duration;

use anyhow::ensure;
use rand::RngExt;

use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};
use crate::network::Place;

/// 1 Mbit/s.
const NARROW_BYTES_PER_SECOND: u32 = 125_000;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "slow-link",
    class: Class::Surroundings,
    needs: Needs::PROXIES,
    takes_node: false,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, .. } = scene.some_leader().await?;
    let mut others = scene.other_nodes(index);
    others.extend(scene.gateways());
    let millis = scene.rng.random_range(20..=200);
    let narrow = scene.rng.random_bool(0.5).then_some(NARROW_BYTES_PER_SECOND);
    let width = if narrow.is_some() { " and narrow" } else { "" };
    scene.broke(format!("the links of node {node} are {millis} ms long{width}"), &[]);
    let set = |proxies: &crate::network::Proxies| {
        for other in others {
            proxies.slow(Place::Node(index), other, Duration::from_millis(millis), narrow);
        }
    };
    let hurt = scene.disturb(3000..10_000, set).await?;
    ensure!(hurt.delayed_bytes > 0, "slow links carried nothing");
    Ok(())
}
