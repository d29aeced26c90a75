//! F10: 5 to 30 % of the packets between nodes, and between these and the gateways, are lost.

use rand::RngExt;

use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene};
use crate::network::Place;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "lossy",
    class: Class::Surroundings,
    needs: Needs::NETWORK,
    takes_node: false,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let percent = scene.rng.random_range(5..=30);
    scene.broke(format!("{percent} % of all packets are lost"), &[]);
    let nodes = (0..scene.cluster.nodes.len()).map(Place::Node);
    let gateways = scene.gateways();
    let places: Vec<Place> = nodes.chain(gateways).collect();
    let network = scene.cluster.network()?;
    let mut cuts = Vec::new();
    for (from, to) in places.iter().flat_map(|a| places.iter().map(move |b| (*a, *b))) {
        if from != to {
            cuts.push(network.lose(from, to, percent)?);
        }
    }
    hold(scene.rng, 3000, 10_000).await;
    scene.mend(cuts).await
}
