//! F9: a leader and one other node cannot reach each other, while the rest reach both. There is a
//! majority around the leader all the time; the one that misses it must not depose it for ever.

use rand::seq::IndexedRandom as _;

use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::network::Place;

#[derive(Debug)]
pub(super) struct Bridge;

impl Nemesis for Bridge {
    fn name(&self) -> &'static str {
        "bridge"
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
            let others = scene.other_nodes(index);
            let Some(&other) = others.choose(scene.rng) else { return Ok(()) };
            let what = format!("node {} and {other} do not see each other", leader.node);
            // Whether it loses the lead is open, so no shard is counted as having lost its leader.
            scene.broke(what, &[]);
            let cuts = scene.cut_both(&[Place::Node(index)], &[other])?;
            hold(scene.rng, 2000, 8000).await;
            // Somebody leads, and is followed by a majority, while it lasts.
            scene.see_progress(&groups).await?;
            scene.mend(cuts).await
        })
    }
}
