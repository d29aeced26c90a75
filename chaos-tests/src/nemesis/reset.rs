//! F10: all connections of a leader are reset, to the other nodes and to the gateways, 5 to 20 times
//! in a row, each time after they were opened again.

use anyhow::ensure;
use rand::RngExt;

use super::scene::{Target, hold};
use super::{Class, Needs, Nemesis, Scene};
use crate::network::Place;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "reset",
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
    let times = scene.rng.random_range(5..=20);
    let what = format!("the connections of node {node} are reset {times} times");
    scene.broke(what, &[]);
    let proxies = scene.cluster.proxies()?;
    let mut reset = 0;
    for _ in 0..times {
        reset += others.iter().map(|to| proxies.reset(Place::Node(index), *to)).sum::<usize>();
        hold(scene.rng, 50, 500).await;
    }
    scene.healed();
    ensure!(reset > times, "{times} resets hit {reset} connections");
    scene.see_all_led().await
}
