//! F2: `kill -9` of all nodes at one moment. What is then there must come from their disks.

use super::{Class, Nemesis, Scene, Strike};

#[derive(Debug)]
pub(super) struct KillAll;

impl Nemesis for KillAll {
    fn name(&self) -> &'static str {
        "kill-all"
    }

    fn class(&self) -> Class {
        Class::Nodes
    }

    fn takes_node(&self) -> bool {
        true
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let groups: Vec<u16> = (1..=scene.cluster.shape.shard_groups).collect();
            scene.broke("kill -9 all nodes".to_owned(), &groups);
            for node in &scene.cluster.nodes {
                node.process.send_kill()?;
            }
            for node in &scene.cluster.nodes {
                node.process.kill()?;
            }
            for node in &scene.cluster.nodes {
                node.process.start()?;
            }
            scene.cluster.wait_nodes_ready().await?;
            scene.see_leaders(&groups, None).await
        })
    }
}
