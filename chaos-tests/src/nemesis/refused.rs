//! F9: a leader and the other nodes refuse each other's connections, as at a firewall that rejects,
//! until others lead and some time more. To the others that is what a crash looks like, so they
//! replace it at once; it lives, gateways reach it, and for a lease it goes on believing to lead. In
//! half of the strikes one gateway reaches nobody else.

use rand::RngExt;

use super::scene::{Target, hold};
use super::{Class, Needs, Nemesis, Scene};
use crate::network::Place;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "refused",
    class: Class::Surroundings,
    needs: Needs::NETWORK,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let others = scene.other_nodes(index);
    let mut walls = scene.refuse_both(Place::Node(index), &others)?;
    let mut who = format!("node {node}");
    if scene.rng.random_bool(0.5) {
        let gateway = scene.rng.random_range(0..scene.cluster.gateways.len());
        walls.extend(scene.refuse_both(Place::Gateway(gateway), &others)?);
        who.push_str(&format!(" with gateway {gateway}"));
    }
    scene.broke(format!("{who} and the other nodes refuse each other"), &groups);
    scene.see_leaders(&groups, Some(node)).await?;
    hold(scene.rng, 0, 5000).await;
    scene.mend(walls).await
}
