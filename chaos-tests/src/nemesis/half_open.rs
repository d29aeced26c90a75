//! F15: the connections between a leader and everybody else stay open and carry nothing any more,
//! as after a firewall forgot them; new ones are well. Only deadlines and pings find that out.

use anyhow::ensure;

use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::network::Place;

#[derive(Debug)]
pub(super) struct HalfOpen;

impl Nemesis for HalfOpen {
    fn name(&self) -> &'static str {
        "half-open"
    }

    fn class(&self) -> Class {
        Class::Surroundings
    }

    fn needs(&self) -> Needs {
        Needs::PROXIES
    }

    fn takes_node(&self) -> bool {
        true
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let (leader, groups) = scene.some_leader().await?;
            let index = scene.cluster.index_of(leader.node)?;
            let mut others = scene.other_nodes(index);
            others.extend(scene.gateways());
            let proxies = scene.cluster.proxies()?;
            let before = proxies.hurt();
            let frozen: usize =
                others.iter().map(|other| proxies.freeze(Place::Node(index), *other)).sum();
            let what = format!("{frozen} connections of node {} carry nothing", leader.node);
            scene.broke(what, &[]);
            // They are not healed for this: everybody has to open new ones.
            scene.see_progress(&groups).await?;
            scene.disturb(1000..5000, |_| {}).await?;
            let hurt = scene.cluster.proxies()?.hurt() - before;
            ensure!(hurt.swallowed_bytes > 0, "{frozen} dead connections swallowed nothing");
            Ok(())
        })
    }
}
