//! What webhook subscriptions are told of inboxes (contract, inbox.md): a thread came, changed, or got
//! a reply. Nothing is written while nobody listens.

use axp_proto::inbox::uuid_text;
use axp_proto::json::ObjectWriter;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{
    Effect, MailboxKey, PublishEvent, Thread, ThreadEvent, ThreadEventType, ThreadOrigin,
};

use crate::clock::rfc3339;
use crate::push::Publisher;

const CREATED: &str = "inbox.thread_created";
const UPDATED: &str = "inbox.thread_updated";
const REPLIED: &str = "inbox.reply_received";
/// Where these events come from, as subscribers are told.
const SOURCE: &str = "inbox";

/// Collects what one step has to tell.
#[derive(Debug)]
pub(super) struct Announcer<'a> {
    publisher: &'a Publisher,
    effects: Vec<Effect>,
}

impl<'a> Announcer<'a> {
    pub(super) fn new(publisher: &'a Publisher) -> Self {
        Self { publisher, effects: Vec::new() }
    }

    /// What is to be proposed, with the receivers it has now.
    pub(super) fn finish(mut self, now_ms: i64) -> Vec<Effect> {
        self.publisher.address(&mut self.effects, now_ms);
        self.effects
    }

    /// A delivery came, and with it a thread.
    pub(super) fn delivered(
        &mut self,
        owner: &MailboxKey,
        intent_id: &[u8],
        origin: impl FnOnce() -> ThreadOrigin,
    ) {
        if self.is_heard(owner, CREATED) {
            let thread = crate::inbox::create(intent_id, owner, origin(), 0);
            self.tell(owner, CREATED, intent_id, &thread, None);
        }
    }

    /// A thread came or changed.
    pub(super) fn changed(
        &mut self,
        owner: &MailboxKey,
        thread_id: &[u8],
        thread: &Thread,
        is_new: bool,
        events: &[ThreadEvent],
    ) {
        if is_new {
            self.tell(owner, CREATED, thread_id, thread, None);
        }
        for event in events {
            if event.r#type() == ThreadEventType::ReplyReceived {
                self.tell(owner, REPLIED, thread_id, thread, Some(event));
            } else if !is_new {
                self.tell(owner, UPDATED, thread_id, thread, Some(event));
            }
        }
    }

    fn is_heard(&self, owner: &MailboxKey, event_type: &str) -> bool {
        self.publisher.is_heard(&owner.workspace_id, &owner.address, event_type)
    }

    fn tell(
        &mut self,
        owner: &MailboxKey,
        event_type: &str,
        thread_id: &[u8],
        thread: &Thread,
        event: Option<&ThreadEvent>,
    ) {
        if !self.is_heard(owner, event_type) {
            return;
        }
        let none = ThreadOrigin::default();
        let origin = thread.origin.as_ref().unwrap_or(&none);
        let mut payload = ObjectWriter::default()
            .string("thread_id", &uuid_text(thread_id))
            .string("intent_id", &uuid_text(thread_id))
            .string("owner_agent", &owner.address)
            .string("status", thread.status().wire_name())
            .string("intent_type", &origin.intent_type)
            .string("from_agent", &origin.from_agent)
            .string("to_agent", &origin.to_agent)
            .string("updated_at", &rfc3339(thread.updated_at_ms));
        if let Some(event) = event {
            payload = payload
                .string("event_type", event.r#type().wire_name())
                .string("actor", &event.actor)
                .raw("details", &event.details_json);
        }
        let published = PublishEvent {
            workspace_id: owner.workspace_id.clone(),
            owner_agent: owner.address.clone(),
            event_type: event_type.to_owned(),
            source: SOURCE.to_owned(),
            payload_json: payload.finish(),
            ..PublishEvent::default()
        };
        self.effects.push(Effect { kind: Some(EffectKind::PublishEvent(published)) });
    }
}
