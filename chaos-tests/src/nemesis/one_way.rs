//! F9: what a leader sends does not arrive at the other nodes, or what they send does not arrive at
//! it, until others lead. Heard and not hearing, it must stop to send, or nobody ever takes its place.

use rand::RngExt;

use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::network::Place;

#[derive(Debug)]
pub(super) struct OneWay;

impl Nemesis for OneWay {
    fn name(&self) -> &'static str {
        "one-way"
    }

    fn class(&self) -> Class {
        Class::Surroundings
    }

    fn needs(&self) -> Needs {
        Needs::NETWORK
    }

    fn takes_node(&self) -> bool {
        true
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let (leader, groups) = scene.some_leader().await?;
            let index = scene.cluster.index_of(leader.node)?;
            let (own, others) = ([Place::Node(index)], scene.other_nodes(index));
            let mute = scene.rng.random_bool(0.5);
            let what = if mute { "sends" } else { "is sent" };
            let what = format!("nothing that node {} {what} arrives", leader.node);
            let (from, to) = if mute { (&own[..], &others[..]) } else { (&others[..], &own[..]) };
            let cuts = scene.cut(from, to)?;
            scene.broke(what, &groups);
            scene.see_leaders(&groups, Some(leader.node)).await?;
            hold(scene.rng, 0, 5000).await;
            scene.mend(cuts).await
        })
    }
}
