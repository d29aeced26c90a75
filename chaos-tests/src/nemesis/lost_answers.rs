//! F9: what a leader asks the other nodes arrives, and is done; their answers do not come back. It must
//! stop to lead, although everybody hears it.

use anyhow::ensure;

use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};
use crate::network::Place;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "lost-answers",
    class: Class::Surroundings,
    needs: Needs::PROXIES,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let before = scene.cluster.proxies()?.hurt();
    for other in scene.other_nodes(index) {
        scene.cluster.proxies()?.lose_answers(Place::Node(index), other);
    }
    scene.broke(format!("node {node} gets no answers"), &groups);
    scene.see_leaders(&groups, Some(node)).await?;
    scene.disturb(0..5000, |_| {}).await?;
    let hurt = scene.cluster.proxies()?.hurt() - before;
    ensure!(hurt.swallowed_bytes > 0, "no answer was lost");
    Ok(())
}
