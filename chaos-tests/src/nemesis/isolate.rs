//! F9: a leader is cut off from all other nodes, with or without the gateways, until others lead and
//! some time more. It goes on believing to lead, and gateways may go on asking it.

use rand::RngExt;

use super::scene::{Target, hold};
use super::{Class, Needs, Nemesis, Scene};
use crate::network::Place;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "isolate",
    class: Class::Surroundings,
    needs: Needs::NETWORK,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let mut others = scene.other_nodes(index);
    let alone = scene.rng.random_bool(0.5);
    if alone {
        others.extend(scene.gateways());
    }
    let from = if alone { "everybody" } else { "the other nodes" };
    let cuts = scene.cut_both(&[Place::Node(index)], &others)?;
    let what = format!("node {node} is cut off from {from}");
    scene.broke(what, &groups);
    scene.see_leaders(&groups, Some(node)).await?;
    hold(scene.rng, 0, 5000).await;
    scene.mend(cuts).await
}
