//! F12: an orderly restart of a leader: SIGTERM, it hands over and ends, and comes back.

use std::time::Duration;

use anyhow::ensure;

use super::{Class, Nemesis, Scene, Strike};

/// The drain timeout of a node and some more.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Restart;

impl Nemesis for Restart {
    fn name(&self) -> &'static str {
        "restart"
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
            scene.broke(format!("restart node {}", leader.node), &groups);
            let status = scene.cluster.nodes[index].process.terminate(ENDS_WITHIN).await?;
            ensure!(status.success(), "node {} ended with {status} on SIGTERM", leader.node);
            scene.see_leaders(&groups, Some(leader.node)).await?;
            scene.cluster.nodes[index].process.start()?;
            scene.cluster.wait_node_ready(index).await
        })
    }
}
