//! Reading and changing who may send. A row appears with the first change and holds all entries: what
//! is decided on is one compare-and-set.

use axp_proto::control;
use axp_proto::error_code::ErrorCode;
use axp_proto::log::RowChange;
use axp_proto::node::{AccessEntry, AccessPolicy, Agent};
use bytes::Bytes;
use serde_json::Value;

use super::{ALLOWLIST, CLOSED, DENYLIST, OPEN, USE_ORG_DEFAULT};
use crate::clock;
use crate::cluster::{Plan, Tables, Versioned};
use crate::error::ApiError;
use crate::json::Reader;
use crate::model::{access_answer, access_entry_removed};
use crate::service::answers::Stored;
use crate::service::idempotency::Claim;
use crate::service::{Call, Caller, Service, new_id, put};

/// Every gateway keeps all of them in memory.
const ENTRIES_MAX: usize = 256;

/// Whose policy, and which; as it was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessSubject<'a> {
    /// Who may send to an agent.
    Send(&'a str),
    /// Who of other organizations may send to an agent.
    Override(&'a str),
    /// Who of other organizations may send to an organization.
    Organization(&'a str),
}

/// A policy as it stands; with its defaults when nobody has changed it.
#[derive(Debug, Clone)]
pub(crate) struct AccessView {
    pub(crate) target: AccessTarget,
    pub(crate) policy: AccessPolicy,
}

/// What a policy is of.
#[derive(Debug, Clone)]
pub(crate) enum AccessTarget {
    Send,
    Override { address: String, account_id: String },
    Organization { org_id: String },
}

impl AccessSubject<'_> {
    fn route(self) -> String {
        match self {
            Self::Send(address) => format!("/v1/agents/{address}/policy"),
            Self::Override(address) => format!("/v1/agents/{address}/receive-override"),
            Self::Organization(id) => format!("/v1/organizations/{id}/receive-policy"),
        }
    }

    /// The member that names the type, and the types that there are; the first is the default.
    fn types(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Send(_) => ("policy_type", &[OPEN, ALLOWLIST, DENYLIST]),
            Self::Override(_) => ("override_type", &[USE_ORG_DEFAULT, OPEN, ALLOWLIST, CLOSED]),
            Self::Organization(_) => ("policy_type", &[CLOSED, OPEN, ALLOWLIST]),
        }
    }
}

/// A policy that the caller may change, with its place.
struct Found {
    key: String,
    revision: u64,
    view: AccessView,
}

impl Found {
    fn put(&self, policy: AccessPolicy) -> (RowChange, AccessView) {
        let view = AccessView { policy, ..self.view.clone() };
        (put(self.key.clone(), self.revision, &view.policy), view)
    }
}

impl Service {
    /// # Errors
    /// 404 for an unknown agent, 403 for one of another workspace or another organization.
    pub(crate) async fn access(
        &self,
        call: &Call,
        subject: AccessSubject<'_>,
    ) -> Result<Value, ApiError> {
        let tables = self.cluster.refresh(call.deadline).await?;
        let found = find(&tables, &call.caller, subject)?;
        Ok(access_answer(&found.view, None))
    }

    /// Sets the type; entries stay, unless an override is given up.
    ///
    /// # Errors
    /// As [`Self::access`]; 422 for a type that there is not.
    pub(crate) async fn set_access(
        &self,
        call: &Call,
        subject: AccessSubject<'_>,
        body: &Bytes,
    ) -> Result<Value, ApiError> {
        let (member, types) = subject.types();
        let mut reader = Reader::new(body)?;
        let policy_type = reader.required_string(member, 1, 32).unwrap_or_default();
        if !policy_type.is_empty() && !types.contains(&policy_type.as_str()) {
            let message = format!("must be one of {}", types.join(", "));
            reader.problem(member, &message, "value_error");
        }
        reader.finish()?;
        let now = clock::now_ms();
        let decide = |tables: &Tables| {
            let found = find(tables, &call.caller, subject)?;
            let known = &found.view.policy;
            let given_up = policy_type == USE_ORG_DEFAULT;
            if known.policy_type == policy_type && !(given_up && found.revision > 0) {
                return Ok(Plan::Done((found.view, None)));
            }
            if given_up {
                let view = AccessView { policy: unset(subject), ..found.view };
                let gone = RowChange {
                    key: found.key,
                    expected_revision: found.revision,
                    value: Bytes::new(),
                    deleted: true,
                };
                return Ok(Plan::Commit { changes: vec![gone], then: (view, None) });
            }
            let policy = AccessPolicy { policy_type: policy_type.clone(), ..known.clone() };
            let (change, view) = found.put(stamped(policy, now));
            Ok(Plan::Commit { changes: vec![change], then: (view, None) })
        };
        self.change_access(call, "PUT", &subject.route(), body, decide).await
    }

    /// Adds a pattern of senders; one that is there already stays as it is.
    ///
    /// # Errors
    /// As [`Self::access`]; 422 for what is no pattern, and for one entry too many.
    pub(crate) async fn add_access_entry(
        &self,
        call: &Call,
        subject: AccessSubject<'_>,
        body: &Bytes,
    ) -> Result<Value, ApiError> {
        let mut reader = Reader::new(body)?;
        let pattern = reader.required_string("sender_pattern", 1, 383).unwrap_or_default();
        reader.finish()?;
        let pattern = pattern_of(&call.caller, &pattern)?;
        let now = clock::now_ms();
        let entry_id = new_id("ent_");
        let decide = |tables: &Tables| {
            let found = find(tables, &call.caller, subject)?;
            let mut policy = found.view.policy.clone();
            let known = policy.entries.iter().find(|entry| entry.sender_pattern == pattern);
            if let Some(known) = known.cloned() {
                return Ok(Plan::Done((found.view, Some(known))));
            }
            if policy.entries.len() >= ENTRIES_MAX {
                return Err(invalid_pattern(&format!(
                    "a policy has at most {ENTRIES_MAX} entries"
                )));
            }
            let entry = AccessEntry {
                entry_id: entry_id.clone(),
                sender_pattern: pattern.clone(),
                created_at_ms: now,
            };
            policy.entries.push(entry.clone());
            let (change, view) = found.put(stamped(policy, now));
            Ok(Plan::Commit { changes: vec![change], then: (view, Some(entry)) })
        };
        let route = format!("{}/entries", subject.route());
        self.change_access(call, "POST", &route, body, decide).await
    }

    /// # Errors
    /// As [`Self::access`]; 404 for an unknown entry.
    pub(crate) async fn remove_access_entry(
        &self,
        call: &Call,
        subject: AccessSubject<'_>,
        entry_id: &str,
    ) -> Result<Value, ApiError> {
        let route = format!("DELETE {}/entries/{entry_id}", subject.route());
        let claim = Claim::of(call, &route, b"")?;
        let now = clock::now_ms();
        self.cluster.refresh(call.deadline).await?;
        // After a lost answer it is this very call that removed it.
        let mut tried = false;
        let decide = |tables: &Tables| {
            let found = find(tables, &call.caller, subject)?;
            let mut policy = found.view.policy.clone();
            let before = policy.entries.len();
            policy.entries.retain(|entry| entry.entry_id != entry_id);
            if policy.entries.len() == before {
                let unknown = || ApiError::not_found("policy entry not found");
                return if tried { Ok(Plan::Done(())) } else { Err(unknown()) };
            }
            tried = true;
            let (change, _) = found.put(stamped(policy, now));
            Ok(Plan::Commit { changes: vec![change], then: () })
        };
        let answer = |(): &()| access_entry_removed(entry_id);
        Ok(match self.transact_once(call, claim, decide, answer).await? {
            Stored::Fresh(()) => access_entry_removed(entry_id),
            Stored::Replayed(body) => body,
        })
    }

    async fn change_access(
        &self,
        call: &Call,
        method: &str,
        route: &str,
        body: &Bytes,
        decide: impl FnMut(&Tables) -> Result<Plan<(AccessView, Option<AccessEntry>)>, ApiError>,
    ) -> Result<Value, ApiError> {
        let claim = Claim::of(call, &format!("{method} {route}"), body)?;
        self.cluster.refresh(call.deadline).await?;
        let answer =
            |(view, entry): &(AccessView, Option<AccessEntry>)| access_answer(view, entry.as_ref());
        Ok(match self.transact_once(call, claim, decide, answer).await? {
            Stored::Fresh(outcome) => answer(&outcome),
            Stored::Replayed(body) => body,
        })
    }
}

/// Deletes what was set for an agent: whoever gets its address starts anew.
pub(in crate::service) fn forget(tables: &Tables, address: &str) -> Vec<RowChange> {
    let keys = [control::send_policy(address), control::receive_override(address)];
    let gone = keys.into_iter().filter_map(|key| {
        let expected_revision = known(tables, &key)?.revision;
        Some(RowChange { key, expected_revision, value: Bytes::new(), deleted: true })
    });
    gone.collect()
}

fn find(tables: &Tables, caller: &Caller, subject: AccessSubject<'_>) -> Result<Found, ApiError> {
    let (key, target) = match subject {
        AccessSubject::Send(address) => {
            (control::send_policy(&own_agent(tables, caller, address)?.address), AccessTarget::Send)
        }
        AccessSubject::Override(address) => {
            let agent = own_agent(tables, caller, address)?;
            let target = AccessTarget::Override {
                address: agent.address.clone(),
                account_id: agent.service_account_id.clone(),
            };
            (control::receive_override(&agent.address), target)
        }
        AccessSubject::Organization(org_id) if org_id == caller.org_id() => {
            let target = AccessTarget::Organization { org_id: org_id.to_owned() };
            (control::receive_policy(org_id), target)
        }
        AccessSubject::Organization(_) => {
            let message = "org_id is outside actor membership scope";
            return Err(ApiError::new(ErrorCode::InvalidActorScope, message));
        }
    };
    let known = known(tables, &key);
    let revision = known.map_or(0, |known| known.revision);
    let mut policy = known.map_or_else(|| unset(subject), |known| known.value.clone());
    if policy.created_at_ms == 0 && matches!(target, AccessTarget::Organization { .. }) {
        // It is as old as the organization.
        policy.created_at_ms = caller.organization.value.created_at_ms;
        policy.updated_at_ms = policy.created_at_ms;
    }
    Ok(Found { key, revision, view: AccessView { target, policy } })
}

fn known<'a>(tables: &'a Tables, key: &str) -> Option<&'a Versioned<AccessPolicy>> {
    tables.access_policies.get(key.strip_prefix(control::ACCESS_POLICY)?).map(AsRef::as_ref)
}

/// What counts when nobody has said anything.
fn unset(subject: AccessSubject<'_>) -> AccessPolicy {
    let (_, types) = subject.types();
    AccessPolicy { policy_type: types[0].to_owned(), ..AccessPolicy::default() }
}

fn stamped(policy: AccessPolicy, now: i64) -> AccessPolicy {
    let created_at_ms = if policy.created_at_ms == 0 { now } else { policy.created_at_ms };
    AccessPolicy { created_at_ms, updated_at_ms: now, ..policy }
}

/// An agent whose policies the caller may see and change: one of its workspace.
fn own_agent<'a>(
    tables: &'a Tables,
    caller: &Caller,
    address: &str,
) -> Result<&'a Agent, ApiError> {
    let address = caller.normalise(address)?;
    let agent = tables.agents.get(&address).map(|agent| &agent.value);
    let agent = agent.filter(|it| it.status != "deleted" && it.org_id == caller.org_id());
    let unknown = || ApiError::new(ErrorCode::AgentNotFound, "agent not found");
    let agent = agent.ok_or_else(unknown)?;
    if agent.workspace_id != caller.workspace_id() {
        let message = "the agent belongs to another workspace";
        return Err(ApiError::new(ErrorCode::InvalidActorScope, message));
    }
    Ok(agent)
}

/// The stored form of a pattern: of addresses as the caller means them, with at most one `*`, at the
/// end and after a slash.
fn pattern_of(caller: &Caller, text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    let Some(prefix) = text.strip_suffix('*') else {
        if text.contains('*') {
            return Err(invalid_pattern("has a * that is not at its end"));
        }
        return caller.normalise(text);
    };
    if prefix.is_empty() || prefix == "agent://" {
        return Ok("*".to_owned());
    }
    let Some(folder) = prefix.strip_suffix('/').filter(|it| !it.contains('*')) else {
        return Err(invalid_pattern("must be an address, agent://org/ws/*, agent://org/* or *"));
    };
    // A name alone is an organization here, and not an agent of the caller's workspace.
    let folder = folder.strip_prefix("agent://").unwrap_or(folder);
    Ok(format!("{}/*", caller.normalise(&format!("agent://{folder}"))?))
}

fn invalid_pattern(message: &str) -> ApiError {
    ApiError::invalid(&["body", "sender_pattern"], message, "value_error")
}
