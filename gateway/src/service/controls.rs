//! Controls and policy of an intent: changed by members, compare-and-set on the generation
//! (contract, intents.md 9).

use axp_proto::log::{Grant, IntentState, Member};
use axp_proto::node::{IntentView, UpdateControls, UpdatePolicy, execute_request};
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::resolve::Resolved;
use super::{Call, Service};
use crate::clock;
use crate::error::ApiError;
use crate::json::{Fields, Reader};

/// Controls that act, all of them whole numbers.
const KNOWN_CONTROLS: [&str; 3] = ["timeout_seconds", "max_retry_count", "retry_backoff_seconds"];
/// Bounds that are whole numbers; `expires_at` is an instant.
const KNOWN_BOUNDS: [&str; 4] =
    ["max_retry_count", "retry_backoff_seconds", "execution_timeout_seconds", "ttl_seconds"];
const RIGHTS: [&str; 3] = ["resume", "update_controls", "update_policy"];
const DELEGATE: &str = "delegate:";

impl Service {
    /// # Errors
    /// 403 for who is no party to the intent and has no grant, 409 when it has ended, 422 for a bad
    /// body or a control beyond the envelope.
    pub(crate) async fn update_controls(
        &self,
        call: &Call,
        intent_id: &str,
        body: &Bytes,
    ) -> Result<Resolved, ApiError> {
        let mut reader = Reader::new(body)?;
        let patch = reader.object("controls_patch");
        if patch.is_none() {
            reader.problem("controls_patch", "field required", "missing");
        }
        let patch = patch.unwrap_or_default();
        let members = members(&mut reader, "controls_patch", &patch, &KNOWN_CONTROLS)?;
        let common = Common::read(&mut reader);
        reader.finish()?;
        let acting = self.acting_agent(call)?;
        let command = UpdateControls {
            patch: members,
            reason: common.reason,
            actor: common.actor.unwrap_or_else(|| acting.clone()),
            expected_policy_generation: common.expected,
            asserted: call.owner.is_some(),
        };
        let command = execute_request::Command::UpdateControls(command);
        self.end(call, intent_id, "controls", body, acting, command).await
    }

    /// # Errors
    /// As [`Self::update_controls`].
    pub(crate) async fn update_policy(
        &self,
        call: &Call,
        intent_id: &str,
        body: &Bytes,
    ) -> Result<Resolved, ApiError> {
        let mut reader = Reader::new(body)?;
        let grants = reader.object("grants_patch").unwrap_or_default();
        let grants = grants_of(call, &mut reader, &grants)?;
        let bounds = reader.object("envelope_patch").unwrap_or_default();
        let members = members(&mut reader, "envelope_patch", &bounds, &KNOWN_BOUNDS)?;
        let expires_at_ms = expires_at(&mut reader, &members);
        let common = Common::read(&mut reader);
        reader.finish()?;
        let acting = self.acting_agent(call)?;
        let command = UpdatePolicy {
            grants,
            envelope: members,
            expires_at_ms,
            reason: common.reason,
            actor: common.actor.unwrap_or_else(|| acting.clone()),
            expected_policy_generation: common.expected,
            asserted: call.owner.is_some(),
        };
        let command = execute_request::Command::UpdatePolicy(command);
        self.end(call, intent_id, "policy", body, acting, command).await
    }
}

/// What both bodies have in common.
struct Common {
    actor: Option<String>,
    reason: String,
    expected: Option<u32>,
}

impl Common {
    fn read(reader: &mut Reader<'_>) -> Self {
        reader.boolean("internal_scheduler");
        Self {
            actor: reader.string("actor", 3, 255),
            reason: reader.string("reason", 1, 2000).unwrap_or_default(),
            expected: reader.integer("expected_policy_generation", 0),
        }
    }
}

/// The members of a patch; `null` takes one away. Known ones must be whole numbers.
fn members(
    reader: &mut Reader<'_>,
    name: &str,
    patch: &Bytes,
    known: &[&str],
) -> Result<Vec<Member>, ApiError> {
    let fields = Fields::parse(patch)?;
    let mut members: Vec<Member> = Vec::new();
    for field in fields.names() {
        let Some(value) = fields.get(field) else { continue };
        if members.iter().any(|member| member.name == field) {
            continue; // `get` answered with the last one of that name
        }
        let json = if value.get() == "null" { "" } else { value.get() };
        let whole = json.parse::<u32>().is_ok_and(|number| i32::try_from(number).is_ok());
        if known.contains(&field) && !json.is_empty() && !whole {
            let message = format!("{field} must be an integer of 0 or more");
            reader.problem(name, &message, "value_error");
        }
        let json = Bytes::copy_from_slice(json.as_bytes());
        members.push(Member { name: field.to_owned(), json });
    }
    Ok(members)
}

/// Grants as `delegate:<address>` -> `{"allow": [...]}`; `null` revokes.
fn grants_of(call: &Call, reader: &mut Reader<'_>, patch: &Bytes) -> Result<Vec<Grant>, ApiError> {
    let fields = Fields::parse(patch)?;
    let mut grants: Vec<Grant> = Vec::new();
    for field in fields.names() {
        let Some(value) = fields.get(field) else { continue };
        let address = field.strip_prefix(DELEGATE).unwrap_or(field);
        let grantee = call.caller.normalise(address)?;
        let Some(allow) = rights(value) else {
            let message = format!("{field} must be {{\"allow\": [...]}} of {}", RIGHTS.join(", "));
            reader.problem("grants_patch", &message, "value_error");
            continue;
        };
        grants.retain(|known| known.grantee != grantee);
        grants.push(Grant { grantee, allow });
    }
    Ok(grants)
}

fn rights(value: &RawValue) -> Option<Vec<String>> {
    let value: Value = serde_json::from_str(value.get()).ok()?;
    if value.is_null() {
        return Some(Vec::new());
    }
    let words = value.get("allow")?.as_array()?.iter();
    let known =
        |word: &Value| word.as_str().filter(|word| RIGHTS.contains(word)).map(str::to_owned);
    words.map(known).collect()
}

fn expires_at(reader: &mut Reader<'_>, members: &[Member]) -> Option<i64> {
    let member = members.iter().find(|member| member.name == "expires_at")?;
    if member.json.is_empty() {
        return None;
    }
    let text: Option<String> = serde_json::from_slice(&member.json).ok();
    let instant = text.and_then(|text| clock::parse_rfc3339(&text));
    if instant.is_none() {
        let message = "expires_at must be an RFC 3339 date-time with a zone";
        reader.problem("envelope_patch", message, "value_error");
    }
    instant
}

/// Whether a change that was refused as stale is our own: an attempt of which we got no answer was
/// carried out, and so the generation is one further and all that was asked for is there.
pub(super) fn is_own_change(intent: &IntentView, command: &execute_request::Command) -> bool {
    let Some(state) = &intent.state else { return false };
    let moved =
        |expected: Option<u32>| expected.is_some_and(|it| it + 1 == state.policy_generation);
    match command {
        execute_request::Command::UpdateControls(update) => {
            moved(update.expected_policy_generation) && has_members(&state.controls, &update.patch)
        }
        execute_request::Command::UpdatePolicy(update) => {
            moved(update.expected_policy_generation) && has_policy(state, update)
        }
        _ => false,
    }
}

fn has_members(members: &[Member], patch: &[Member]) -> bool {
    patch.iter().all(|wanted| {
        let known = members.iter().find(|member| member.name == wanted.name);
        known.map_or(wanted.json.is_empty(), |known| known.json == wanted.json)
    })
}

fn has_policy(state: &IntentState, update: &UpdatePolicy) -> bool {
    let policy = state.policy.clone().unwrap_or_default();
    has_members(&policy.envelope, &update.envelope)
        && update.grants.iter().all(|wanted| {
            let known = policy.grants.iter().find(|grant| grant.grantee == wanted.grantee);
            known.map_or(wanted.allow.is_empty(), |known| known.allow == wanted.allow)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(json: &'static str) -> Result<Vec<Member>, ApiError> {
        let body = Bytes::from_static(b"{}");
        let mut reader = Reader::new(&body)?;
        let patch = Bytes::from_static(json.as_bytes());
        let members = members(&mut reader, "controls_patch", &patch, &KNOWN_CONTROLS)?;
        reader.finish()?;
        Ok(members)
    }

    #[test]
    fn members_are_taken_as_sent_and_null_takes_away() {
        let members = patch(r#"{"note":{"a": 1},"timeout_seconds":60,"gone":null}"#).unwrap();
        let pairs = members.iter().map(|member| (member.name.as_str(), &member.json[..]));
        let expected: [(&str, &[u8]); 3] =
            [("note", br#"{"a": 1}"#), ("timeout_seconds", b"60"), ("gone", b"")];
        assert!(pairs.eq(expected));
        for bad in [r#"{"timeout_seconds":"60"}"#, r#"{"max_retry_count":-1}"#, "[1]"] {
            assert!(patch(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_our_own_change() {
        let command = |json: &'static str, expected| {
            execute_request::Command::UpdateControls(UpdateControls {
                patch: patch(json).unwrap(),
                expected_policy_generation: expected,
                ..UpdateControls::default()
            })
        };
        let controls = patch(r#"{"a":1,"b":2}"#).unwrap();
        let state = IntentState { policy_generation: 3, controls, ..IntentState::default() };
        let view = IntentView { state: Some(state), ..IntentView::default() };
        assert!(is_own_change(&view, &command(r#"{"a":1,"c":null}"#, Some(2))));
        assert!(!is_own_change(&view, &command(r#"{"a":1}"#, Some(1))));
        assert!(!is_own_change(&view, &command(r#"{"a":2}"#, Some(2))));
        assert!(!is_own_change(&view, &command(r#"{"a":1}"#, None)));
    }
}
