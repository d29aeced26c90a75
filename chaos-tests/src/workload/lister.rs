//! Somebody who asks for the newest intents of the organization now and then, on any gateway.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Shared;
use crate::client::Client;
use crate::history::Listing;
use crate::oracle::Oracle;

/// The record keeps every row, so lists are short but for the last one.
const LIMIT: usize = 40;
const LAST_LIMIT: usize = 1000;

/// Lists until the workload stops.
pub(super) async fn run(shared: Arc<Shared>, org: usize, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    if shared.mix.listings <= 0.0 {
        return;
    }
    while !shared.is_stopping() {
        let pause = rng.random_range(0.0..2.0 / shared.mix.listings);
        tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        let to_agent = rng.random_bool(0.8).then(|| shared.orgs[org].any_agent(&mut rng));
        let gateway = shared.any_gateway(&mut rng);
        let client = &shared.orgs[org].client;
        list(client, &shared.oracle, org, gateway, to_agent, false).await;
    }
}

/// Asks for everything, when all has ended: by address, and as much as there is in one list.
pub(crate) async fn last(client: &Client, oracle: &Oracle, org: usize, addresses: &[String]) {
    for gateway in 0..client.gateways() {
        list(client, oracle, org, gateway, None, true).await;
        for address in addresses {
            list(client, oracle, org, gateway, Some(address.clone()), true).await;
        }
    }
}

async fn list(
    client: &Client,
    oracle: &Oracle,
    org: usize,
    gateway: usize,
    to_agent: Option<String>,
    last: bool,
) {
    let limit = if last { LAST_LIMIT } else { LIMIT };
    let start = oracle.now();
    let told = client.list(gateway, to_agent.as_deref(), limit).await;
    let span = oracle.since(start);
    oracle.listing(Listing { span, gateway, org, to_agent, limit, last, told });
}
