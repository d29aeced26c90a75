//! The agents that a scenario needs: all that are missing are created in one commit, or none
//! (contract, scenarios.md 5).

use axp_proto::log::DeliveryMode;
use axp_proto::node::ServiceAccount;

use super::AppliedAgent;
use super::directory::Addresses;
use crate::clock;
use crate::cluster::{Plan, Tables, transact};
use crate::error::ApiError;
use crate::json::Reader;
use crate::scenario::{AgentRef, Bundle, Report};
use crate::service::accounts::{AccountPlan, plan_account};
use crate::service::address::parts;
use crate::service::credential::new_id;
use crate::service::signing::{check_callback, first_secret, new_secret};
use crate::service::{Call, Service};

/// Whether the agents that are to be created can be.
pub(super) fn check(call: &Call, bundle: &Bundle, addresses: &Addresses, report: &mut Report) {
    for agent in &bundle.agents {
        let mode = DeliveryMode::from_wire_name(&agent.delivery_mode);
        if mode.is_none() && !agent.delivery_mode.is_empty() {
            let path = format!("{}.delivery_mode", agent.path);
            report.error(&path, "must be stream, poll, http, inbox or internal");
        }
        let path = format!("{}.callback_url", agent.path);
        if agent.callback_url.is_empty() {
            if mode == Some(DeliveryMode::Http) && agent.create_if_missing {
                report.error(&path, "is required with delivery_mode http");
            }
        } else if !is_callback(&agent.callback_url) {
            report.error(&path, "must be an http or https URL without credentials");
        }
        let Some(target) = addresses.target(&agent.address) else { continue };
        let missing = target.mode == DeliveryMode::Unspecified;
        if agent.create_if_missing && missing && !is_own(call, &target.address) {
            let path = format!("{}.address", agent.path);
            let caller = &call.caller;
            let problem = format!(
                "cannot be created: take a name of a-z, 0-9, '.', '_' and '-', or an address below \
                 agent://{}/{}/",
                caller.org_slug(),
                caller.workspace_slug()
            );
            report.error(&path, problem);
        }
    }
}

fn is_callback(url: &str) -> bool {
    let empty = bytes::Bytes::from_static(b"{}");
    let Ok(mut reader) = Reader::new(&empty) else { return false };
    check_callback(&mut reader, "callback_url", url);
    reader.finish().is_ok()
}

/// Whether an agent of the caller's workspace can have this address.
fn is_own(call: &Call, address: &str) -> bool {
    parts(address).is_some_and(|parts| {
        parts.organization == call.caller.org_slug()
            && parts.workspace == call.caller.workspace_slug()
            && parts.name.len() <= NAME_MAX
    })
}

/// Longer names lose their end when they become addresses.
const NAME_MAX: usize = 56;

impl Service {
    /// Creates the agents that are missing.
    pub(super) async fn provision(
        &self,
        call: &Call,
        bundle: &Bundle,
        addresses: &Addresses,
    ) -> Result<Vec<AppliedAgent>, ApiError> {
        let known = |agent: &AgentRef| {
            let target = addresses.target(&agent.address);
            target.is_some_and(|target| target.mode != DeliveryMode::Unspecified)
        };
        let address = |agent: &AgentRef| {
            addresses.target(&agent.address).map_or(&agent.address, |it| &it.address).clone()
        };
        let mut missing: Vec<(ServiceAccount, Option<String>)> = Vec::new();
        for agent in bundle.agents.iter().filter(|agent| agent.create_if_missing && !known(agent)) {
            let twice = missing.iter().any(|(account, _)| account.agent_address == address(agent));
            if !twice {
                let account = account(call, agent, address(agent));
                let pushed = account.delivery_mode() == DeliveryMode::Http;
                missing.push((account, pushed.then(new_secret)));
            }
        }
        let created = self.create_missing(call, missing).await?;
        let told = bundle.agents.iter().map(|agent| {
            let address = address(agent);
            let new = created.iter().find(|(known, _)| *known == address);
            AppliedAgent {
                role: agent.role.clone(),
                created: new.is_some(),
                signing_secret: new.and_then(|(_, secret)| secret.clone()),
                address,
            }
        });
        Ok(told.collect())
    }

    /// The addresses that were created by this call, with their signing secrets.
    async fn create_missing(
        &self,
        call: &Call,
        missing: Vec<(ServiceAccount, Option<String>)>,
    ) -> Result<Vec<(String, Option<String>)>, ApiError> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let base = format!("agent://{}/{}/", call.caller.org_slug(), call.caller.workspace_slug());
        let now = clock::now_ms();
        let decide = |tables: &Tables| {
            let (mut changes, mut created) = (Vec::new(), Vec::new());
            for (wanted, secret) in &missing {
                let address = wanted.agent_address.clone();
                // Somebody else was faster: then it is there, which is all that is wanted.
                let known = tables.agents.get(&address);
                let ours = tables.accounts.get(&wanted.service_account_id).is_some();
                if known.is_some_and(|agent| agent.value.status == "active") && !ours {
                    continue;
                }
                match plan_account(tables, wanted, &base) {
                    AccountPlan::New(account, rows) if account.agent_address == address => {
                        changes.extend(rows);
                        let id = &account.service_account_id;
                        changes.extend(secret.as_ref().map(|it| first_secret(id, it, now)));
                        created.push((address, secret.clone()));
                    }
                    AccountPlan::Ours(_) => created.push((address, secret.clone())),
                    AccountPlan::New(..) | AccountPlan::Taken(_) | AccountPlan::NoAddress => {
                        return Err(taken(wanted));
                    }
                }
            }
            if changes.is_empty() {
                return Ok(Plan::Done(created));
            }
            Ok(Plan::Commit { changes, then: created })
        };
        transact(&self.cluster, call.deadline, decide).await
    }
}

fn taken(account: &ServiceAccount) -> ApiError {
    let message = format!(
        "the agent {} cannot be created: its name belongs to a service account with another address",
        account.agent_address
    );
    ApiError::new(axp_proto::error_code::ErrorCode::Conflict, message)
}

fn account(call: &Call, agent: &AgentRef, address: String) -> ServiceAccount {
    let caller = &call.caller;
    let now = clock::now_ms();
    let mode = DeliveryMode::from_wire_name(&agent.delivery_mode).unwrap_or(DeliveryMode::Stream);
    ServiceAccount {
        service_account_id: new_id("sa_"),
        org_id: caller.org_id().to_owned(),
        workspace_id: caller.workspace_id().to_owned(),
        status: "active".to_owned(),
        created_by_actor_id: caller.address().to_owned(),
        created_at_ms: now,
        updated_at_ms: now,
        // As it was written: the CLI looks for it by that (contract, scenarios.md 5).
        name: agent.address.clone(),
        description: String::new(),
        display_name: agent.display_name.clone(),
        agent_address: address,
        delivery_mode: mode.into(),
        callback_url: agent.callback_url.clone(),
    }
}
