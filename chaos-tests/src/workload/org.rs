//! One organization's clients, and what of it the others try to get at.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt};

use super::push::PushAgent;
use crate::canary::Canary;
use crate::client::Client;
use crate::tenants::Tenant;

/// Ids that are kept for others to try; the oldest go.
const KNOWN_MAX: usize = 64;

/// An organization in the workload.
#[derive(Debug)]
pub(crate) struct Org {
    pub(crate) client: Client,
    pub(crate) canary: Arc<Canary>,
    /// Addresses of agents that work.
    pub(crate) agents: Vec<String>,
    /// The address that bursts go to.
    pub(crate) sink: String,
    /// The address whose agent reads slowly.
    pub(crate) hoard: String,
    /// Who is pushed to, where that is possible.
    pub(crate) pushed: Option<PushAgent>,
    known: Mutex<VecDeque<Known>>,
}

/// Something that belongs to the organization.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) intent: String,
    pub(crate) key: Option<String>,
}

impl Org {
    /// Registers `agents` agents, and one that is pushed to if there is a callback.
    ///
    /// # Errors
    /// When one cannot be registered.
    pub(crate) async fn start(
        gateways: Vec<String>,
        tenant: Tenant,
        agents: usize,
        callback: Option<String>,
    ) -> anyhow::Result<Self> {
        let client = Client::new(gateways, &tenant);
        let mut addresses = Vec::new();
        for index in 0..agents + 2 {
            let name = format!("chaos-worker-{index}");
            let address = client.register_agent(&name, &tenant.canary.secret).await;
            addresses.push(address.map_err(anyhow::Error::msg)?);
        }
        let sink = addresses.pop().unwrap_or_default();
        let hoard = addresses.pop().unwrap_or_default();
        let pushed = match callback {
            Some(url) => {
                let made = client.register_pushed("chaos-pushed", &url).await;
                let (address, secret) = made.map_err(anyhow::Error::msg)?;
                Some(PushAgent { address, secret })
            }
            None => None,
        };
        let (canary, agents) = (tenant.canary, addresses);
        Ok(Self { client, canary, agents, sink, hoard, pushed, known: Mutex::default() })
    }

    pub(crate) fn any_agent(&self, rng: &mut impl Rng) -> String {
        self.agents.choose(rng).cloned().unwrap_or_default()
    }

    /// Lets the others know of it.
    pub(crate) fn betray(&self, known: Known) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == KNOWN_MAX {
            all.pop_front();
        }
        all.push_back(known);
    }

    /// Something that belongs to it, if there is anything yet.
    pub(crate) fn any_known(&self, rng: &mut impl Rng) -> Option<Known> {
        let all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (!all.is_empty()).then(|| all[rng.random_range(0..all.len())].clone())
    }
}
