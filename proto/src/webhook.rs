//! Which events a webhook subscription is about (contract, webhooks.md).

use crate::node::WebhookSubscription;

/// Event types that are known by name; lifecycle events of intents are the other ones.
pub const EVENT_TYPES: [&str; 5] = [
    "inbox.thread_created",
    "inbox.thread_updated",
    "inbox.reply_received",
    "invite.accepted",
    "auth.session_revoked",
];

/// Stands for all lifecycle events of intents.
pub const ALL_INTENT_EVENTS: &str = "intent.*";

impl WebhookSubscription {
    /// Whether an event of its workspace is for it.
    #[must_use]
    pub fn wants(&self, owner_agent: &str, event_type: &str) -> bool {
        let is_named = |wanted: &String| {
            wanted == event_type
                || (wanted == ALL_INTENT_EVENTS && event_type.starts_with("intent."))
        };
        self.active
            && self.revoked_at_ms.is_none()
            && (!self.owner_only || self.owner_agent == owner_agent)
            && self.event_types.iter().any(is_named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_owner_and_state_decide() {
        let subscription = |event_types: &[&str]| WebhookSubscription {
            owner_agent: "agent://me".to_owned(),
            event_types: event_types.iter().map(|&name| name.to_owned()).collect(),
            active: true,
            ..WebhookSubscription::default()
        };
        let all = subscription(&["invite.accepted", ALL_INTENT_EVENTS]);
        assert!(all.wants("agent://other", "invite.accepted"));
        assert!(all.wants("agent://other", "intent.completed"));
        assert!(!all.wants("agent://other", "inbox.reply_received"));
        assert!(!subscription(&["invite.accepted"]).wants("agent://me", "intent.completed"));
        let own = WebhookSubscription { owner_only: true, ..all.clone() };
        assert!(own.wants("agent://me", "invite.accepted"));
        assert!(!own.wants("agent://other", "invite.accepted"));
        let inactive = WebhookSubscription { active: false, ..all.clone() };
        let revoked = WebhookSubscription { revoked_at_ms: Some(1), ..all };
        assert!(!inactive.wants("agent://me", "invite.accepted"));
        assert!(!revoked.wants("agent://me", "invite.accepted"));
    }
}
