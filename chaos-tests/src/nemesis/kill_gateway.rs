//! F15: `kill -9` of a gateway with everything that is under way on it.

use std::time::Duration;

use rand::RngExt;

use super::{Class, Nemesis, Scene, Strike};

#[derive(Debug)]
pub(super) struct KillGateway;

impl Nemesis for KillGateway {
    fn name(&self) -> &'static str {
        "kill-gateway"
    }

    fn class(&self) -> Class {
        Class::Surroundings
    }

    fn takes_node(&self) -> bool {
        false
    }

    fn takes_gateway(&self) -> bool {
        true
    }

    fn strike<'a>(&'a self, scene: &'a mut Scene<'_>) -> Strike<'a> {
        Box::pin(async move {
            let index = scene.rng.random_range(0..scene.cluster.gateways.len());
            scene.broke(format!("kill -9 gateway {index}"), &[]);
            scene.cluster.gateways[index].process.kill()?;
            let away = Duration::from_millis(scene.rng.random_range(0..2000));
            tokio::time::sleep(away).await;
            scene.cluster.gateways[index].process.start()?;
            scene.cluster.wait_gateway_ready(index).await
        })
    }
}
