//! What is sent: a JSON body, the headers that say what it is, and the signature. Pure.

use axp_proto::ids::IntentId;
use axp_proto::json::ObjectWriter;
use axp_proto::log::{Parcel, PublishEvent};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::directory::Callback;
use crate::clock::rfc3339;
use crate::intent::Intent;

/// One request, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// The delivery of an intent to its agent.
#[must_use]
pub fn intent_letter(intent: &Intent, parcel: &Parcel, callback: &Callback, now_ms: i64) -> Letter {
    let (submission, state) = (&intent.submission, &intent.state);
    let intent_id = intent.id.to_string();
    let mut json = ObjectWriter::default()
        .string("intent_id", &intent_id)
        .string("intent_type", &submission.intent_type)
        .string("status", state.status().wire_name())
        .string("from_agent", &submission.from_agent)
        .string("to_agent", &submission.to_agent)
        .string("correlation_id", &submission.correlation_id)
        .string("created_at", &rfc3339(state.created_at_ms))
        .raw("delivery_attempt", parcel.attempt.to_string().as_bytes())
        .string("timestamp", &rfc3339(now_ms))
        .string_if("reply_to", &submission.reply_to);
    if let Some(deadline) = submission.deadline_at_ms {
        json = json.string("deadline_at", &rfc3339(deadline));
    }
    if !submission.human_task_json.is_empty() {
        json = json.raw("human_task", &submission.human_task_json);
    }
    let body = json.raw("payload", &submission.payload_json).finish();
    let mut headers = headers(parcel, callback, &body, now_ms);
    headers.push(("x-axme-delivery-id", intent_id.clone()));
    headers.push(("x-axme-intent-id", intent_id));
    if !submission.traceparent.is_empty() {
        headers.push(("traceparent", submission.traceparent.clone()));
    }
    Letter { url: callback.url.clone(), headers, body }
}

/// The delivery of an event to a subscription.
#[must_use]
pub fn event_letter(
    event: &PublishEvent,
    parcel: &Parcel,
    callback: &Callback,
    now_ms: i64,
) -> Letter {
    let event_id = IntentId::from_slice(&event.event_id).map(|id| id.to_string());
    let event_id = event_id.unwrap_or_default();
    let body = ObjectWriter::default()
        .string("event_id", &event_id)
        .string("event_type", &event.event_type)
        .string("source", &event.source)
        .string("owner_agent", &event.owner_agent)
        .string("occurred_at", &rfc3339(event.at_ms))
        .string("subscription_id", &parcel.subscription_id)
        .raw("attempt", parcel.attempt.to_string().as_bytes())
        .string("timestamp", &rfc3339(now_ms))
        .raw("payload", &event.payload_json)
        .finish();
    let mut headers = headers(parcel, callback, &body, now_ms);
    headers.push(("x-axme-delivery-id", format!("{event_id}/{}", parcel.subscription_id)));
    headers.push(("x-axme-event-id", event_id));
    headers.push(("x-axme-event-type", event.event_type.clone()));
    Letter { url: callback.url.clone(), headers, body }
}

fn headers(
    parcel: &Parcel,
    callback: &Callback,
    body: &[u8],
    now_ms: i64,
) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("content-type", "application/json".to_owned()),
        ("user-agent", concat!("axp/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("x-axme-timestamp", (now_ms / 1000).to_string()),
        ("x-axme-delivery-attempt", parcel.attempt.to_string()),
    ];
    let names = ["x-axme-signature", "x-axme-signature-previous"];
    let signed = names.into_iter().zip(&callback.secrets);
    headers.extend(signed.map(|(name, secret)| (name, signature(secret, body))));
    headers
}

/// `sha256=` and the HMAC-SHA256 of the body in lower-case hexadecimal digits.
#[must_use]
pub fn signature(secret: &str, body: &[u8]) -> String {
    // Keys of any length are fine for HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    digest.iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axp_proto::ids::Slot;
    use axp_proto::log::{Status, Submission};
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_764_000_000_123;

    fn callback(secrets: &[&str]) -> Callback {
        let secrets = secrets.iter().map(|&secret| secret.to_owned()).collect();
        Callback { url: "https://example.org/hook".to_owned(), secrets }
    }

    fn header<'a>(letter: &'a Letter, name: &str) -> Option<&'a str> {
        letter.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// RFC 4231, test cases 2 and 6: a short key and one that is longer than a block.
    #[test]
    fn signatures_are_hmac_sha256() {
        assert_eq!(
            signature("Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let long = "k".repeat(131);
        assert_eq!(signature(&long, b"x").len(), "sha256=".len() + 64);
        assert_ne!(signature(&long, b"x"), signature(&long[1..], b"x"));
    }

    #[test]
    fn an_intent_is_sent_whole_and_signed_with_every_secret() {
        let submission = Submission {
            intent_type: "intent.check.v1".into(),
            from_agent: "agent://a/b/sender".into(),
            to_agent: "agent://a/b/checker".into(),
            payload_json: Bytes::from_static(br#"{"n": 1}"#),
            deadline_at_ms: Some(NOW),
            ..Submission::default()
        };
        let id = IntentId::new(1, Slot::new(3).unwrap(), 5);
        let mut intent = Intent::new(id, Arc::new(submission));
        intent.state.set_status(Status::Submitted);
        let parcel = Parcel { attempt: 2, ..Parcel::default() };
        let letter = intent_letter(&intent, &parcel, &callback(&["new", "old"]), NOW);
        let body: Value = serde_json::from_slice(&letter.body).unwrap();
        assert_eq!(body["payload"], json!({ "n": 1 }));
        assert_eq!((&body["status"], &body["delivery_attempt"]), (&json!("SUBMITTED"), &json!(2)));
        assert_eq!(body["intent_id"], id.to_string());
        assert_eq!(body["timestamp"], "2025-11-24T16:00:00.123Z");
        assert_eq!(header(&letter, "x-axme-timestamp"), Some("1764000000"));
        assert_eq!(header(&letter, "x-axme-delivery-attempt"), Some("2"));
        let signed = signature("new", &letter.body);
        assert_eq!(header(&letter, "x-axme-signature"), Some(signed.as_str()));
        let before = signature("old", &letter.body);
        assert_eq!(header(&letter, "x-axme-signature-previous"), Some(before.as_str()));
        assert_eq!(header(&letter, "traceparent"), None);
    }

    #[test]
    fn an_event_names_itself_and_its_attempt() {
        let event = PublishEvent {
            event_id: IntentId::new(1, Slot::new(3).unwrap(), 5).to_bytes(),
            event_type: "invite.accepted".into(),
            owner_agent: "agent://me".into(),
            payload_json: Bytes::from_static(b"{}"),
            ..PublishEvent::default()
        };
        let parcel = Parcel { subscription_id: "s1".into(), attempt: 1, ..Parcel::default() };
        let letter = event_letter(&event, &parcel, &callback(&[]), NOW);
        let body: Value = serde_json::from_slice(&letter.body).unwrap();
        assert_eq!((&body["attempt"], &body["event_type"]), (&json!(1), &json!("invite.accepted")));
        let delivery = format!("{}/s1", body["event_id"].as_str().unwrap());
        assert_eq!(header(&letter, "x-axme-delivery-id"), Some(delivery.as_str()));
        assert_eq!(header(&letter, "x-axme-signature"), None, "without a secret nothing is signed");
    }
}
