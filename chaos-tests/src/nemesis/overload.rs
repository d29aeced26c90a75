//! F16: three times as many submits as the cluster can take, on top of the load, for some seconds. It
//! must refuse what is too much, keep what it acknowledged, and be well again at once.
//!
//! How much it can take is measured first. What is submitted here goes to an agent that nobody plays,
//! so it costs nothing afterwards; a sample of what was acknowledged is read back.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::StreamExt as _;
use rand::Rng;
use rand::seq::IndexedRandom as _;
use serde_json::json;
use tokio::time::Instant;

use super::{Class, Needs, Nemesis, Scene};
use crate::client::Client;
use crate::cluster::first_tenant;
use crate::history::Told;

/// Clients that measure: each begins when its last one is done.
const CLIENTS: usize = 32;
const MEASURED: Duration = Duration::from_secs(2);
const TOO_MUCH: f64 = 3.0;
/// Submits per second, at least: what was measured while something else was broken says little.
const RATE_MIN: f64 = 1000.0;
/// Where a cluster that takes everything is too much for this machine to overload.
const RATE_MAX: f64 = 16_000.0;
const LASTS: Duration = Duration::from_secs(8);
/// Submits of this strike under way at most; what would be beyond is not begun.
const UNDER_WAY_MAX: usize = 2048;
const READ_BACK: usize = 100;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "overload",
    class: Class::Surroundings,
    needs: Needs::NOTHING,
    takes_node: false,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let client = Client::new(scene.cluster.urls(), &first_tenant());
    let registered = client.register_agent("chaos-nobody", "overload").await;
    let to_agent = registered.map_err(anyhow::Error::msg)?;
    let mut flood = Flood { client, to_agent, run: scene.rng.next_u64() };
    let capacity = flood.measure().await;
    let mut rate = (TOO_MUCH * capacity).max(RATE_MIN);
    scene.broke(format!("{rate:.0} submits/s, of which {capacity:.0} were possible"), &[]);
    // What was measured beside other load may be far from what is possible.
    let acknowledged = loop {
        let (begun, acknowledged) = flood.pour(rate).await;
        tracing::info!(rate, begun, acknowledged = acknowledged.len(), "poured");
        let wanted = rate * LASTS.as_secs_f64();
        let got = acknowledged.len() as f64;
        if got < 0.9 * wanted {
            break acknowledged;
        }
        ensure!(rate < RATE_MAX, "of {wanted:.0} submits {got} were possible");
        rate *= 2.0;
        flood.run = scene.rng.next_u64();
    };
    scene.healed();
    for _ in 0..READ_BACK {
        let intent = acknowledged.choose(scene.rng).context("nothing was acknowledged")?;
        flood.read_back(intent).await?;
    }
    scene.see_all_led().await
}

struct Flood {
    client: Client,
    to_agent: String,
    /// Makes keys of this strike unique.
    run: u64,
}

impl Flood {
    async fn submit(&self, number: usize) -> Option<String> {
        let body = json!({
            "intent_type": "chaos.flood.v1",
            "correlation_id": uuid::Uuid::from_u64_pair(self.run, number as u64).to_string(),
            "to_agent": self.to_agent,
            "payload": {"number": number},
        });
        let key = format!("flood-{:016x}-{number}", self.run);
        let gateway = number % self.client.gateways();
        self.client.submit(gateway, Some(&key), &body).await.done().cloned()
    }

    /// Acknowledged submits per second.
    async fn measure(&self) -> f64 {
        let begun = Instant::now();
        let acknowledged = futures_util::stream::iter(0..usize::MAX / 2)
            .map(|number| self.submit(usize::MAX / 2 + number))
            .buffer_unordered(CLIENTS)
            .take_until(tokio::time::sleep(MEASURED))
            .filter(|told| std::future::ready(told.is_some()))
            .count()
            .await;
        acknowledged as f64 / begun.elapsed().as_secs_f64()
    }

    /// Begins `rate` submits each second; how many there were, and which intents were acknowledged.
    async fn pour(&self, rate: f64) -> (usize, Vec<String>) {
        let begun = Instant::now();
        let ticks = futures_util::stream::iter(0_usize..)
            .then(|number| async move {
                tokio::time::sleep_until(begun + Duration::from_secs_f64(number as f64 / rate))
                    .await;
                number
            })
            .take_until(tokio::time::sleep(LASTS));
        let answers = ticks.map(|number| self.submit(number)).buffer_unordered(UNDER_WAY_MAX);
        let (mut all, mut acknowledged) = (0, Vec::new());
        let mut answers = std::pin::pin!(answers);
        while let Some(told) = answers.next().await {
            all += 1;
            acknowledged.extend(told);
        }
        (all, acknowledged)
    }

    async fn read_back(&self, intent: &str) -> anyhow::Result<()> {
        match self.client.intent(0, intent).await {
            // A fault that overlaps may be in the way of the answer.
            Told::Done(_) | Told::Unknown { .. } => Ok(()),
            Told::Refused { status, code } => Err(anyhow::anyhow!("{status} {code}"))
                .with_context(|| format!("intent {intent} was acknowledged under overload")),
        }
    }
}
