//! F13: a node that leads is replaced by one with a new id and an empty disk. In half of the strikes it
//! and its disk are lost before, in the others it still serves; and in most of them somebody crashes,
//! is cut off, or goes back in the middle.

use anyhow::ensure;
use rand::RngExt;

use super::membership::{Change, Meanwhile, Outcome};
use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "replace-node",
    class: Class::Nodes,
    needs: Needs::MEMBERS,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let Target { node, index, groups } = scene.some_leader().await?;
    let old = &scene.cluster.nodes[index];
    let lost = scene.rng.random_bool(0.5);
    if lost {
        scene.broke(format!("node {node} and its disk are lost"), &groups);
        old.process.kill()?;
        scene.cluster.empty_disk(old)?;
        scene.see_leaders(&groups, Some(node)).await?;
    }
    let meanwhile = Meanwhile::any(scene.rng);
    let replace = Change { add: Some(scene.cluster.start_newcomer()?), remove: Some(old) };
    if replace.make(scene, meanwhile).await? == Outcome::Undone && lost {
        // Going back leaves a cluster that cannot spare another node.
        let again = Change { add: Some(scene.cluster.start_newcomer()?), remove: Some(old) };
        let outcome = again.make(scene, Meanwhile::Nothing).await?;
        ensure!(outcome == Outcome::Done, "node {node} is still a member");
    }
    Ok(())
}
