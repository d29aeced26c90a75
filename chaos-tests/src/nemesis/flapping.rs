//! F9: the links of a leader come and go, each time about as long as an election takes.

use rand::RngExt;

use super::scene::{Target, hold};
use super::{Class, Needs, Nemesis, Scene};
use crate::network::Place;

const TIMES: std::ops::RangeInclusive<u32> = 3..=8;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "flapping",
    class: Class::Surroundings,
    needs: Needs::NETWORK,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, .. } = scene.some_leader().await?;
    let others = scene.other_nodes(index);
    let times = scene.rng.random_range(TIMES);
    let what = format!("the links of node {node} go and come {times} times");
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
}
