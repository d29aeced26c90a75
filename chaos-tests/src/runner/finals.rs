//! Reads back, through every gateway, every intent that was ever acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;

use crate::client::Client;
use crate::history::{FinalRead, FinalState, History, SeenEvent, Told};
use crate::oracle::Oracle;
use crate::workload::lister;

const PARALLEL: usize = 32;
/// Nothing is broken any more: an answer that stays unknown is a finding.
const ATTEMPTS_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// `clients`: one of each organization.
pub async fn read_all(clients: &[Client], oracle: &Oracle) {
    let intents = oracle.acknowledged_intents();
    let reads = intents.iter().flat_map(|(intent, org)| {
        let client = &clients[*org];
        (0..client.gateways()).map(move |gateway| (client, intent, gateway))
    });
    futures_util::stream::iter(reads)
        .map(|(client, intent, gateway)| async move {
            let told = until_known(client, gateway, intent).await;
            oracle.final_read(FinalRead { gateway, intent: intent.clone(), told });
        })
        .buffer_unordered(PARALLEL)
        .collect::<Vec<()>>()
        .await;
    let addresses = oracle.with_history(addresses);
    for (org, client) in clients.iter().enumerate() {
        let addresses = addresses.get(&org).map(Vec::as_slice).unwrap_or_default();
        lister::last(client, oracle, org, addresses).await;
        oracle.inspection(client.inspection(org));
    }
}

/// The full addresses that each organization sent to.
fn addresses(history: &History) -> BTreeMap<usize, Vec<String>> {
    let mut all: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for submit in history.submits.iter().filter(|it| it.to_agent.starts_with("agent://")) {
        let known = all.entry(submit.org).or_default();
        if !known.contains(&submit.to_agent) {
            known.push(submit.to_agent.clone());
        }
    }
    all
}

async fn until_known(client: &Client, gateway: usize, intent: &str) -> Told<FinalState> {
    let mut told = read(client, gateway, intent).await;
    for _ in 1..ATTEMPTS_MAX {
        if !told.is_unknown() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        told = read(client, gateway, intent).await;
    }
    told
}

async fn read(client: &Client, gateway: usize, intent: &str) -> Told<FinalState> {
    let value = match client.intent(gateway, intent).await {
        Told::Done(value) => value,
        Told::Refused { status, code } => return Told::Refused { status, code },
        Told::Unknown { why } => return Told::Unknown { why },
    };
    match client.events(gateway, intent).await {
        Told::Done(events) => final_state(&value, events),
        Told::Refused { status, code } => Told::Refused { status, code },
        Told::Unknown { why } => Told::Unknown { why },
    }
}

fn final_state(value: &Value, events: Vec<SeenEvent>) -> Told<FinalState> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    match (text("status"), text("correlation_id")) {
        (Some(status), Some(correlation_id)) => {
            Told::Done(FinalState { status, correlation_id, events })
        }
        (None, _) | (_, None) => {
            Told::Unknown { why: "an intent without status or correlation_id".to_owned() }
        }
    }
}
