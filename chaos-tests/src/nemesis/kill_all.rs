//! F2: `kill -9` of all nodes at one moment. What is then there must come from their disks.

use super::{Class, Needs, Nemesis, Scene};

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "kill-all",
    class: Class::Nodes,
    needs: Needs::NOTHING,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let groups: Vec<u16> = (1..=scene.cluster.shape.shard_groups).collect();
    scene.broke("kill -9 all nodes".to_owned(), &groups);
    for node in scene.cluster.members() {
        node.process.send_kill()?;
    }
    for node in scene.cluster.members() {
        node.process.kill()?;
    }
    for node in scene.cluster.members() {
        node.process.start()?;
    }
    scene.cluster.wait_nodes_ready().await?;
    scene.see_leaders(&groups, None).await
}
