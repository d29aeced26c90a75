//! Creating a service account: with it its agent address is registered.

use std::sync::Arc;

use axp_proto::control;
use axp_proto::error_code::ErrorCode;
use axp_proto::log::{DeliveryMode, RowChange};
use axp_proto::node::{Agent, ServiceAccount};
use bytes::Bytes;
use serde_json::Value;

use super::{put, put_id};
use crate::clock;
use crate::cluster::{Plan, Tables, Versioned};
use crate::error::ApiError;
use crate::json::Reader;
use crate::model::account_body;
use crate::service::address::{agent_slug, parts};
use crate::service::agents::require_own;
use crate::service::answers::Stored;
use crate::service::credential::new_id;
use crate::service::idempotency::Claim;
use crate::service::signing::{check_callback, first_secret, new_secret};
use crate::service::{Call, Service};

const SUFFIX_MAX: u32 = 10_000;

impl Service {
    /// # Errors
    /// 409 with the existing account when the name is taken, 403 for another workspace, 422 for a
    /// bad body.
    pub(crate) async fn create_account(
        &self,
        call: &Call,
        body: &Bytes,
    ) -> Result<Stored<CreatedAccount>, ApiError> {
        let draft = parse(call, body)?;
        let claim = Claim::of(call, "POST /v1/service-accounts", body)?;
        let caller = &call.caller;
        let now = clock::now_ms();
        let account = ServiceAccount {
            service_account_id: new_id("sa_"),
            org_id: caller.org_id().to_owned(),
            workspace_id: caller.workspace_id().to_owned(),
            status: "active".to_owned(),
            created_by_actor_id: draft.creator.unwrap_or_else(|| caller.address().to_owned()),
            created_at_ms: now,
            updated_at_ms: now,
            name: draft.name,
            description: draft.description,
            display_name: draft.display_name,
            agent_address: String::new(),
            delivery_mode: draft.delivery_mode.into(),
            callback_url: draft.callback_url,
        };
        let base = format!("agent://{}/{}/", caller.org_slug(), caller.workspace_slug());
        let secret = (draft.delivery_mode == DeliveryMode::Http).then(new_secret);
        let created = |account| CreatedAccount { account, signing_secret: secret.clone() };
        let decide = |tables: &Tables| match plan_account(tables, &account, &base) {
            AccountPlan::New(account, mut changes) => {
                let id = &account.service_account_id;
                changes.extend(secret.as_ref().map(|secret| first_secret(id, secret, now)));
                Ok(Plan::Commit { changes, then: created(*account) })
            }
            AccountPlan::Ours(known) => Ok(Plan::Done(created(known.value.clone()))),
            AccountPlan::Taken(known) => {
                let error =
                    ApiError::new(ErrorCode::AlreadyExists, "service account already exists");
                let known = serde_json::to_value(account_body(&known.value));
                Err(error.with_extra("service_account", known.unwrap_or(Value::Null)))
            }
            AccountPlan::NoAddress => {
                Err(ApiError::new(ErrorCode::Conflict, "no agent address is free for this name"))
            }
        };
        let answer = |created: &CreatedAccount| serde_json::json!({ "ok": true, "service_account": account_body(&created.account) });
        self.transact_once(call, claim, decide, answer).await
    }
}

/// An account, with its signing secret if that was made just now.
#[derive(Debug)]
pub(crate) struct CreatedAccount {
    pub(crate) account: ServiceAccount,
    pub(crate) signing_secret: Option<String>,
}

/// What creating an account comes to.
#[derive(Debug)]
pub(crate) enum AccountPlan {
    New(Box<ServiceAccount>, Vec<RowChange>),
    /// A lost answer: it is there, under the id that we gave it.
    Ours(Arc<Versioned<ServiceAccount>>),
    Taken(Arc<Versioned<ServiceAccount>>),
    NoAddress,
}

/// Decides about `account`, whose address is still to be found below `base`.
pub(crate) fn plan_account(tables: &Tables, account: &ServiceAccount, base: &str) -> AccountPlan {
    let id = account.service_account_id.as_str();
    if let Some(known) = tables.accounts.get(id) {
        return AccountPlan::Ours(Arc::clone(known));
    }
    let name = format!("{}/{}", account.workspace_id, account.name);
    if let Some(known) = tables.account_names.get(&name)
        && let Some(known) = tables.accounts.get(&known.value)
    {
        return AccountPlan::Taken(Arc::clone(known));
    }
    let Some((address, revision)) = free_address(tables, base, &account.name) else {
        return AccountPlan::NoAddress;
    };
    let account = ServiceAccount { agent_address: address, ..account.clone() };
    let agent = Agent {
        address: account.agent_address.clone(),
        service_account_id: account.service_account_id.clone(),
        org_id: account.org_id.clone(),
        workspace_id: account.workspace_id.clone(),
        status: "active".to_owned(),
        created_at_ms: account.created_at_ms,
        updated_at_ms: account.updated_at_ms,
    };
    let changes = vec![
        put(control::service_account(id), 0, &account),
        put_id(control::service_account_name(&account.workspace_id, &account.name), 0, id),
        put(control::agent(&agent.address), revision, &agent),
    ];
    AccountPlan::New(Box::new(account), changes)
}

/// The address for a name, with a suffix when another agent has it, and the revision that its row
/// is replaced at. The address of a deleted agent is free.
fn free_address(tables: &Tables, base: &str, name: &str) -> Option<(String, u64)> {
    let slug = agent_slug(name);
    (1..=SUFFIX_MAX).find_map(|number| {
        let address =
            if number == 1 { format!("{base}{slug}") } else { format!("{base}{slug}-{number}") };
        parts(&address)?;
        match tables.agents.get(&address) {
            None => Some((address, 0)),
            Some(agent) if agent.value.status == "deleted" => Some((address, agent.revision)),
            Some(_) => None,
        }
    })
}

struct Draft {
    name: String,
    description: String,
    display_name: String,
    creator: Option<String>,
    delivery_mode: DeliveryMode,
    callback_url: String,
}

fn parse(call: &Call, body: &Bytes) -> Result<Draft, ApiError> {
    let mut reader = Reader::new(body)?;
    let org_id = reader.string("org_id", 1, 255);
    let workspace_id = reader.string("workspace_id", 1, 255);
    let name = reader.required_string("name", 2, 120).unwrap_or_default();
    if name.chars().any(char::is_control) {
        reader.problem("name", "has control characters", "value_error");
    }
    let delivery_mode = read_mode(&mut reader).unwrap_or(DeliveryMode::Stream);
    let callback_url = reader.string("callback_url", 8, 2048).unwrap_or_default();
    if !callback_url.is_empty() {
        check_callback(&mut reader, "callback_url", &callback_url);
    } else if delivery_mode == DeliveryMode::Http {
        reader.problem("callback_url", "field required with delivery_mode http", "missing");
    }
    let draft = Draft {
        name,
        description: reader.string("description", 1, 1024).unwrap_or_default(),
        display_name: reader.string("display_name", 1, 255).unwrap_or_default(),
        creator: reader.string("created_by_actor_id", 1, 255),
        delivery_mode,
        callback_url,
    };
    reader.finish()?;
    require_own(call, org_id.as_deref(), workspace_id.as_deref())?;
    Ok(draft)
}

/// How the agent wants its deliveries, if the body says so.
pub(super) fn read_mode(reader: &mut Reader<'_>) -> Option<DeliveryMode> {
    let word = reader.string("delivery_mode", 1, 32)?;
    let mode = DeliveryMode::from_wire_name(&word);
    if mode.is_none() {
        let message = "must be stream, poll, http, inbox or internal";
        reader.problem("delivery_mode", message, "value_error");
    }
    mode
}
