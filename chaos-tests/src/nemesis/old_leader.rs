//! F3: a leader and a gateway that knows it are stopped together, until others lead and have gone on.
//! Then both wake up at one moment: the gateway asks a leader that was one, which must not answer.

use rand::RngExt;

use super::scene::hold;
use super::{Class, Nemesis, Scene, Strike};

#[derive(Debug)]
pub(super) struct OldLeader;

impl Nemesis for OldLeader {
    fn name(&self) -> &'static str {
        "old-leader"
    }

    fn class(&self) -> Class {
        Class::Nodes
    }

    fn takes_node(&self) -> bool {
        true
    }

    fn takes_gateway(&self) -> bool {
        true
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let (leader, groups) = scene.some_leader().await?;
            let index = scene.cluster.index_of(leader.node)?;
            let at = scene.rng.random_range(0..scene.cluster.gateways.len());
            let (node, gateway) = (&scene.cluster.nodes[index], &scene.cluster.gateways[at]);
            scene.broke(format!("pause node {} and gateway {at}", leader.node), &groups);
            gateway.process.pause()?;
            node.process.pause()?;
            scene.see_leaders(&groups, Some(leader.node)).await?;
            scene.see_progress(&groups).await?;
            hold(scene.rng, 0, 3000).await;
            // Which of them is first is for chance to say.
            if scene.rng.random_bool(0.5) {
                gateway.process.resume()?;
                node.process.resume()?;
            } else {
                node.process.resume()?;
                gateway.process.resume()?;
            }
            scene.healed();
            scene.cluster.wait_node_ready(index).await?;
            scene.cluster.wait_gateway_ready(at).await
        })
    }
}
