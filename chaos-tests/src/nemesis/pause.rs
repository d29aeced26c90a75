//! F3: SIGSTOP of a leader until others lead, and then SIGCONT: it wakes up believing to lead.

use std::time::Duration;

use rand::RngExt;

use super::{Class, Nemesis, Scene, Strike};

#[derive(Debug)]
pub(super) struct Pause;

impl Nemesis for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn class(&self) -> Class {
        Class::Nodes
    }

    fn takes_node(&self) -> bool {
        true
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let (leader, groups) = scene.some_leader().await?;
            let index = scene.cluster.index_of(leader.node)?;
            // One in three is a stutter, around the election timeout: the leader may stay or not.
            if scene.rng.random_bool(0.33) {
                let millis = scene.rng.random_range(100..600);
                let what = format!("pause node {} for {millis} ms", leader.node);
                scene.broke(what, &[]);
                scene.cluster.nodes[index].process.pause()?;
                tokio::time::sleep(Duration::from_millis(millis)).await;
                return scene.cluster.nodes[index].process.resume();
            }
            scene.broke(format!("pause node {}", leader.node), &groups);
            scene.cluster.nodes[index].process.pause()?;
            scene.see_leaders(&groups, Some(leader.node)).await?;
            let longer = Duration::from_millis(scene.rng.random_range(0..5000));
            tokio::time::sleep(longer).await;
            scene.cluster.nodes[index].process.resume()?;
            scene.cluster.wait_node_ready(index).await
        })
    }
}
