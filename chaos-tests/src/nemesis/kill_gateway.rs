//! F15: `kill -9` of a gateway with everything that is under way on it.

use std::time::Duration;

use rand::RngExt;

use super::{Class, Needs, Nemesis, Scene};

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "kill-gateway",
    class: Class::Surroundings,
    needs: Needs::NOTHING,
    takes_node: false,
    takes_gateway: true,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let index = scene.rng.random_range(0..scene.cluster.gateways.len());
    scene.broke(format!("kill -9 gateway {index}"), &[]);
    scene.cluster.gateways[index].process.kill()?;
    let away = Duration::from_millis(scene.rng.random_range(0..2000));
    tokio::time::sleep(away).await;
    scene.cluster.gateways[index].process.start()?;
    scene.cluster.wait_gateway_ready(index).await
}
