//! F15: the connections between a leader and everybody else stay open and carry nothing any more,
//! as after a firewall forgot them; new ones are well. Only deadlines and pings find that out.

use anyhow::ensure;

use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};
use crate::network::Place;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "half-open",
    class: Class::Surroundings,
    needs: Needs::PROXIES,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let mut others = scene.other_nodes(index);
    others.extend(scene.gateways());
    let proxies = scene.cluster.proxies()?;
    let before = proxies.hurt();
    let frozen: usize = others.iter().map(|other| proxies.freeze(Place::Node(index), *other)).sum();
    let what = format!("{frozen} connections of node {node} carry nothing");
    scene.broke(what, &[]);
    // They are not healed for this: everybody has to open new ones.
    scene.see_progress(&groups).await?;
    scene.disturb(1000..5000, |_| {}).await?;
    let hurt = scene.cluster.proxies()?.hurt() - before;
    ensure!(hurt.swallowed_bytes > 0, "{frozen} dead connections swallowed nothing");
    Ok(())
}
