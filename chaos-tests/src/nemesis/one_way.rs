//! F9: what a leader sends does not arrive at the other nodes, or what they send does not arrive at
//! it, until others lead. Heard and not hearing, it must stop to send, or nobody ever takes its place.

use rand::RngExt;

use super::scene::{Target, hold};
use super::{Class, Needs, Nemesis, Scene};
use crate::network::Place;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "one-way",
    class: Class::Surroundings,
    needs: Needs::NETWORK,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let (own, others) = ([Place::Node(index)], scene.other_nodes(index));
    let mute = scene.rng.random_bool(0.5);
    let what = if mute { "sends" } else { "is sent" };
    let what = format!("nothing that node {node} {what} arrives");
    let (from, to) = if mute { (&own[..], &others[..]) } else { (&others[..], &own[..]) };
    let cuts = scene.cut(from, to)?;
    scene.broke(what, &groups);
    scene.see_leaders(&groups, Some(node)).await?;
    hold(scene.rng, 0, 5000).await;
    scene.mend(cuts).await
}
