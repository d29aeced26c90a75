//! F9: a leader and one other node cannot reach each other, while the rest reach both. There is a
//! majority around the leader all the time; the one that misses it must not depose it for ever.

use rand::seq::IndexedRandom as _;

use super::scene::{Target, hold};
use super::{Class, Needs, Nemesis, Scene};
use crate::cluster::Node;
use crate::network::Place;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "bridge",
    class: Class::Surroundings,
    needs: Needs::NETWORK,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let others: Vec<&Node> = scene.cluster.members().filter(|other| other.index != index).collect();
    let Some(&other) = others.choose(scene.rng) else { return Ok(()) };
    let what = format!("node {node} and node {} do not see each other", other.id());
    // Whether it loses the lead is open, so no shard is counted as having lost its leader.
    scene.broke(what, &[]);
    let cuts = scene.cut_both(&[Place::Node(index)], &[Place::Node(other.index)])?;
    hold(scene.rng, 2000, 8000).await;
    // Somebody leads, and is followed by a majority, while it lasts.
    scene.see_progress(&groups).await?;
    scene.mend(cuts).await
}
