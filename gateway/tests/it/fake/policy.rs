//! Controls and policy, faked: compare-and-set and who may.

use axp_proto::ids::IntentId;
use axp_proto::log::Member;
use axp_proto::node::{Accepted, Rejection, execute_request::Command};

use super::model::{Intent, State};
use super::shard::{accepted, reject};

/// Runs the command if it changes controls or policy.
pub(super) fn change(
    state: &mut State,
    id: IntentId,
    command: &Command,
) -> Result<Option<Accepted>, Rejection> {
    let (expected, asserted, actor) = match command {
        Command::UpdateControls(it) => {
            (it.expected_policy_generation, it.asserted, it.actor.clone())
        }
        Command::UpdatePolicy(it) => (it.expected_policy_generation, it.asserted, it.actor.clone()),
        _ => return Ok(None),
    };
    let intent = state.intents.get_mut(&id).unwrap();
    let parties = [&intent.submission.from_agent, &intent.submission.to_agent];
    let granted = intent.policy.grants.iter().any(|grant| grant.grantee == actor);
    if asserted && !granted && !parties.contains(&&actor) {
        return Err(reject("policy_denied", "neither a party nor granted"));
    }
    let event = None;
    if expected.is_some_and(|expected| expected != intent.policy_generation) {
        return Ok(Some(Accepted { event, stale_policy_generation: true, ..accepted(id, intent) }));
    }
    apply(intent, command);
    Ok(Some(Accepted { event, ..accepted(id, intent) }))
}

fn apply(intent: &mut Intent, command: &Command) {
    intent.policy_generation += 1;
    match command {
        Command::UpdateControls(it) => patch(&mut intent.controls, &it.patch),
        Command::UpdatePolicy(it) => {
            patch(&mut intent.policy.envelope, &it.envelope);
            intent.policy.expires_at_ms = it.expires_at_ms.or(intent.policy.expires_at_ms);
            for grant in &it.grants {
                intent.policy.grants.retain(|known| known.grantee != grant.grantee);
                if !grant.allow.is_empty() {
                    intent.policy.grants.push(grant.clone());
                }
            }
        }
        _ => unreachable!(),
    }
}

fn patch(members: &mut Vec<Member>, patch: &[Member]) {
    for member in patch {
        members.retain(|known| known.name != member.name);
        if !member.json.is_empty() {
            members.push(member.clone());
        }
    }
}
