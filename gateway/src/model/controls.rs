//! Controls and policy as JSON (contract, intents.md 9).

use axp_proto::ids::IntentId;
use axp_proto::json::ObjectWriter;
use axp_proto::log::{Grant, IntentState, Member};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::RawJson;
use crate::error::ApiError;
use crate::service::Resolved;

/// What a change of controls or policy led to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ControlsBody {
    pub(crate) ok: bool,
    /// False when it was refused without being an error; `reason` tells why.
    pub(crate) applied: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    pub(crate) intent_id: String,
    pub(crate) policy_generation: u32,
    pub(crate) controls: RawJson,
    pub(crate) policy: RawJson,
}

impl ControlsBody {
    /// # Errors
    /// When a node left out what every intent has.
    pub(crate) fn new(changed: &Resolved) -> Result<Self, ApiError> {
        let state = changed.intent.state.as_ref().ok_or_else(ApiError::internal)?;
        let id =
            IntentId::from_slice(&changed.intent.intent_id).map_err(|_| ApiError::internal())?;
        Ok(Self {
            ok: true,
            applied: !changed.stale,
            reason: changed.stale.then_some("stale_policy_generation"),
            intent_id: id.to_string(),
            policy_generation: state.policy_generation,
            controls: controls_json(state),
            policy: policy_json(state),
        })
    }
}

pub(super) fn controls_json(state: &IntentState) -> RawJson {
    RawJson::new(&controls_of(state))
}

pub(super) fn policy_json(state: &IntentState) -> RawJson {
    RawJson::new(&policy_of(state))
}

pub(crate) fn controls_of(state: &IntentState) -> Bytes {
    object(&state.controls)
}

/// `{"grants": {...}, "envelope": {...}}`, in the words of the patches.
pub(crate) fn policy_of(state: &IntentState) -> Bytes {
    let policy = state.policy.clone().unwrap_or_default();
    let grants = policy.grants.iter().fold(ObjectWriter::default(), |object, grant| {
        object.raw(&format!("delegate:{}", grant.grantee), &allowed(grant))
    });
    ObjectWriter::default()
        .raw("grants", &grants.finish())
        .raw("envelope", &object(&policy.envelope))
        .finish()
}

fn allowed(grant: &Grant) -> Vec<u8> {
    serde_json::json!({ "allow": grant.allow }).to_string().into_bytes()
}

fn object(members: &[Member]) -> Bytes {
    let object = members
        .iter()
        .fold(ObjectWriter::default(), |object, member| object.raw(&member.name, &member.json));
    object.finish()
}

#[cfg(test)]
mod tests {
    use axp_proto::log::Policy;

    use super::*;

    #[test]
    fn a_policy_reads_as_it_is_patched() {
        let member = |name: &str, json: &'static str| Member {
            name: name.to_owned(),
            json: json.as_bytes().into(),
        };
        let grant = Grant { grantee: "agent://a/b/c".to_owned(), allow: vec!["resume".to_owned()] };
        let envelope = vec![member("ttl_seconds", "9")];
        let policy = Policy { grants: vec![grant], envelope, ..Policy::default() };
        let controls = vec![member("note", r#"{"x": 1}"#)];
        let state = IntentState { policy: Some(policy), controls, ..IntentState::default() };
        let text = |json: &RawJson| serde_json::to_string(json).unwrap();
        assert_eq!(text(&controls_json(&state)), r#"{"note":{"x": 1}}"#);
        assert_eq!(
            text(&policy_json(&state)),
            r#"{"grants":{"delegate:agent://a/b/c":{"allow":["resume"]}},"envelope":{"ttl_seconds":9}}"#
        );
    }
}
