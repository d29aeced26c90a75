//! F12: an upgrade, or the way back. Nodes are restarted with the programs of another version, one after
//! the other, then the gateways; in between versions are mixed for some seconds. A client that asks
//! again as clients do must not notice.

use std::time::Duration;

use anyhow::ensure;

use super::rolling_restart::restart;
use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene};
use crate::cluster::binaries::OTHER;
use crate::cluster::{Build, Process};

const ENDS_WITHIN: Duration = Duration::from_secs(30);

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "upgrade",
    class: Class::Nodes,
    needs: Needs::OTHER_BUILD,
    takes_node: true,
    takes_gateway: true,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    ensure!(scene.cluster.has_other_build, "there is no other version: {OTHER} names none");
    let is_usual = |process: &Process| process.build() == Build::Usual;
    // All gateways are of one build between two strikes; a node that came later may be of another.
    let to = match scene.cluster.gateways.iter().all(|gateway| is_usual(&gateway.process)) {
        true => Build::Other,
        false => Build::Usual,
    };
    for node in scene.cluster.members().filter(|node| node.process.build() != to) {
        restart(scene, node, to, &format!("which becomes the {to:?} build")).await?;
        hold(scene.rng, 500, 3000).await;
    }
    for (index, gateway) in scene.cluster.gateways.iter().enumerate() {
        let status = gateway.process.terminate(ENDS_WITHIN).await?;
        ensure!(status.success(), "gateway {index} ended with {status} on SIGTERM");
        gateway.process.switch(to);
        gateway.process.start()?;
        scene.cluster.wait_gateway_ready(index).await?;
    }
    Ok(())
}
