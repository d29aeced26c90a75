//! Policy: who else may act on the intent, and the bounds of its controls (contract, intents.md 9).

use axp_proto::error_code::ErrorCode;
use axp_proto::log::state_change::Kind;
use axp_proto::log::{Change, Grant, Member, Policy, PolicySet};

use super::Expected;
use crate::intent::decide::{Decision, Verdict};
use crate::intent::members::{check_bounds, patched};
use crate::intent::rejection::Rejection;
use crate::intent::state::Intent;

const GRANTS_MAX: usize = 64;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdatePolicy {
    /// By grantee; one that allows nothing is taken away.
    pub grants: Vec<Grant>,
    pub envelope: Vec<Member>,
    /// What `expires_at` in the envelope means.
    pub expires_at_ms: Option<i64>,
    pub actor: String,
    pub reason: String,
    pub expected: Expected,
}

pub(in crate::intent) fn decide(
    intent: &Intent,
    update: &UpdatePolicy,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    let state = &intent.state;
    if intent.is_terminal() {
        return Err(Rejection::terminal(state.status()));
    }
    if update.expected.is_stale(state.policy_generation) {
        return Ok(Verdict::StaleGeneration);
    }
    let before = state.policy.clone().unwrap_or_default();
    let mut policy = Policy {
        grants: granted(&before.grants, &update.grants)?,
        envelope: patched(&before.envelope, &update.envelope)?,
        ..before
    };
    if update.envelope.iter().any(|member| member.name == "expires_at") {
        policy.expires_at_ms = update.expires_at_ms;
    }
    if policy == state.policy.clone().unwrap_or_default() {
        return Ok(Verdict::Unchanged);
    }
    check_bounds(&state.controls, &policy.envelope)?;
    policy.set_at_ms = now_ms;
    let policy_generation = state.policy_generation + 1;
    let mut decision = Decision::default();
    let (actor, reason) = (update.actor.clone(), update.reason.clone());
    let by = Some(Change { actor, reason, at_ms: now_ms });
    decision.change(Kind::Policy(PolicySet { policy_generation, policy: Some(policy), by }));
    Ok(Verdict::Append(decision))
}

fn granted(before: &[Grant], patch: &[Grant]) -> Result<Vec<Grant>, Rejection> {
    let mut grants = before.to_vec();
    for grant in patch {
        grants.retain(|known| known.grantee != grant.grantee);
        if !grant.allow.is_empty() {
            grants.push(grant.clone());
        }
    }
    grants.sort_by(|a, b| a.grantee.cmp(&b.grantee));
    if grants.len() > GRANTS_MAX {
        let message = format!("more than {GRANTS_MAX} grants");
        return Err(Rejection::new(ErrorCode::ValidationError, message));
    }
    Ok(grants)
}
