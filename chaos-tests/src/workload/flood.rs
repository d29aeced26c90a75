//! An organization that asks far more often than a gateway allows, and others who ask that gateway a
//! little now and then: they are served as if nobody else were there.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::submit::{self, Request};
use super::{Begun, Shared};
use crate::client::{Client, Limited};
use crate::history::{Read, Refusal, Told};
use crate::tenants::Tenant;

/// Submits of one burst, and how many of them at a time.
const BURST: u64 = 400;
const AT_A_TIME: usize = 16;

/// A gateway that limits rates, and the organization that floods it.
#[derive(Debug)]
pub struct Flooded {
    pub url: String,
    pub tenant: Tenant,
}

/// The same as the workload sees it.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Who floods.
    org: usize,
    /// Of every organization.
    clients: Vec<Client>,
}

impl Gateway {
    /// `tenants`: those of all organizations, the one that floods last.
    pub(crate) fn new(url: &str, tenants: &[Tenant]) -> Self {
        let client = |tenant| Client::new(vec![url.to_owned()], tenant);
        Self { org: tenants.len() - 1, clients: tenants.iter().map(client).collect() }
    }
}

/// Pours a burst now and then until nothing new is begun.
pub(super) async fn pour(shared: Arc<Shared>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let Some(gateway) = &shared.flooded else { return };
    let mut number = 0;
    while let Some(begun) = next(&shared, shared.mix.floods, &mut rng).await {
        let requests: Vec<Request> = (0..BURST)
            .map(|_| {
                number += 1;
                let to_agent = shared.orgs[gateway.org].any_agent(&mut rng);
                let payload = json!({"flood": number});
                Request::new(&shared, gateway.org, None, to_agent, &mut rng, payload)
            })
            .collect();
        let shared = &*shared;
        futures_util::stream::iter(requests)
            .for_each_concurrent(AT_A_TIME, |request| async move {
                submit(shared, gateway, &request).await;
            })
            .await;
        drop(begun);
    }
}

async fn submit(shared: &Shared, gateway: &Gateway, request: &Request) {
    let start = shared.oracle.now();
    let told = match gateway.clients[gateway.org].submit_limited(&request.body).await {
        Limited::Answered(told) => told,
        Limited::TooMany { code, retry_after_seconds } => {
            shared.oracle.refusal(Refusal {
                span: shared.oracle.since(start),
                org: gateway.org,
                flooding: true,
                correlation_id: Some(request.correlation_id.clone()),
                code: code.clone(),
                retry_after_seconds,
            });
            Told::Refused { status: 429, code }
        }
    };
    submit::record(shared, request, shared.gateways, start, told);
}

/// Others look at what they have, through the same gateway.
pub(super) async fn visit(shared: Arc<Shared>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let Some(gateway) = &shared.flooded else { return };
    while let Some(begun) = next(&shared, shared.mix.visits * gateway.org as f64, &mut rng).await {
        drop(begun);
        let org = rng.random_range(0..gateway.org);
        let Some(known) = shared.orgs[org].any_known(&mut rng) else { continue };
        let (intent, start) = (known.intent, shared.oracle.now());
        let answer = gateway.clients[org].intent_limited(&intent).await;
        let span = shared.oracle.since(start);
        match answer {
            Limited::Answered(told) => {
                let visit = true;
                shared.oracle.read(Read { span, gateway: shared.gateways, visit, intent, told });
            }
            Limited::TooMany { code, retry_after_seconds } => shared.oracle.refusal(Refusal {
                span,
                org,
                flooding: false,
                correlation_id: None,
                code,
                retry_after_seconds,
            }),
        }
    }
}

/// Waits for the next of so many a second; nothing once nothing new is begun.
async fn next(shared: &Arc<Shared>, per_second: f64, rng: &mut StdRng) -> Option<Begun> {
    if per_second <= 0.0 {
        return None;
    }
    let pause = Duration::from_secs_f64(rng.random_range(0.0..2.0 / per_second));
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = shared.until_draining() => return None,
    }
    // Counted before it looks whether the run ends: what it makes is waited for.
    let begun = Begun::new(shared.clone());
    (!*shared.draining.borrow()).then_some(begun)
}
