//! F13: a fourth node is added, then a node that leads is removed; somebody crashes, is cut off, or goes
//! back in the middle of each.

use anyhow::ensure;

use super::membership::{Change, Meanwhile, Outcome};
use super::scene::Target;
use super::{Class, Needs, Nemesis, Scene};

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "grow-shrink",
    class: Class::Nodes,
    needs: Needs::MEMBERS,
    takes_node: true,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let meanwhile = Meanwhile::any(scene.rng);
    let grow = Change { add: Some(scene.cluster.start_newcomer()?), remove: None };
    if grow.make(scene, meanwhile).await? == Outcome::Undone {
        return Ok(());
    }
    let Target { node, index, .. } = scene.some_leader().await?;
    let shrink = Change { add: None, remove: Some(&scene.cluster.nodes[index]) };
    let meanwhile = Meanwhile::any(scene.rng);
    if shrink.make(scene, meanwhile).await? == Outcome::Undone {
        let outcome = shrink.make(scene, Meanwhile::Nothing).await?;
        ensure!(outcome == Outcome::Done, "node {node} is still a member");
    }
    Ok(())
}
