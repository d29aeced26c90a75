//! F9: what a leader asks the other nodes arrives, and is done; their answers do not come back. It must
//! stop to lead, although everybody hears it.

use anyhow::ensure;

use super::{Class, Needs, Nemesis, Scene, Strike};
use crate::network::Place;

#[derive(Debug)]
pub(super) struct LostAnswers;

impl Nemesis for LostAnswers {
    fn name(&self) -> &'static str {
        "lost-answers"
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
            let before = scene.cluster.proxies()?.hurt();
            for other in scene.other_nodes(index) {
                scene.cluster.proxies()?.lose_answers(Place::Node(index), other);
            }
            scene.broke(format!("node {} gets no answers", leader.node), &groups);
            scene.see_leaders(&groups, Some(leader.node)).await?;
            scene.disturb(0..5000, |_| {}).await?;
            let hurt = scene.cluster.proxies()?.hurt() - before;
            ensure!(hurt.swallowed_bytes > 0, "no answer was lost");
            Ok(())
        })
    }
}
