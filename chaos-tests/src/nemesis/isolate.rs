//! F9: a leader is cut off from all other nodes, with or without the gateways, until others lead and
//! some time more. It goes on believing to lead, and gateways may go on asking it.

use rand::RngExt;

use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::network::Place;

#[derive(Debug)]
pub(super) struct Isolate;

impl Nemesis for Isolate {
    fn name(&self) -> &'static str {
        "isolate"
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
            let mut others = scene.other_nodes(index);
            let alone = scene.rng.random_bool(0.5);
            if alone {
                others.extend(scene.gateways());
            }
            let from = if alone { "everybody" } else { "the other nodes" };
            let cuts = scene.cut_both(&[Place::Node(index)], &others)?;
            let what = format!("node {} is cut off from {from}", leader.node);
            scene.broke(what, &groups);
            scene.see_leaders(&groups, Some(leader.node)).await?;
            hold(scene.rng, 0, 5000).await;
            scene.mend(cuts).await
        })
    }
}
