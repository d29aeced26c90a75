//! What an intent's events say beyond themselves: since when it is as it is, and which intents of
//! steps belong to it.

use serde_json::Value;

/// When the intent came to be as its last event left it.
pub(crate) fn since(events: &[Value]) -> Option<&str> {
    let last = events.last()?;
    let first = events.iter().rev().take_while(|event| same_state(event, last)).last()?;
    first["at"].as_str()
}

/// Status, reason and holder; an event that names no holder did not change it.
fn same_state(event: &Value, last: &Value) -> bool {
    let holder = |event: &Value| event["pending_with"]["ref"].as_str().map(str::to_owned);
    let same_holder = match (holder(event), holder(last)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    event["status"] == last["status"]
        && event["waiting_reason"] == last["waiting_reason"]
        && same_holder
}

/// Intents that the events of another one name in their details, in the order of their first
/// mention: those of its steps.
pub(crate) fn children(own_id: &str, events: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for event in events {
        collect(&event["details"], own_id, &mut found);
    }
    found
}

fn collect(value: &Value, own_id: &str, found: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let names_one = name.ends_with("intent_id") && name != "parent_intent_id";
        let Some(id) = value.as_str().filter(|id| names_one && !id.is_empty()) else { continue };
        if id != own_id && !found.iter().any(|known| known == id) {
            found.push(id.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reminder_does_not_start_the_wait_again() {
        let waiting = |at: &str, kind: &str| {
            json!({"at": at, "event_type": kind, "status": "WAITING",
                "waiting_reason": "WAITING_FOR_HUMAN"})
        };
        let events = [
            json!({"at": "1", "status": "SUBMITTED"}),
            waiting("2", "intent.waiting"),
            waiting("3", "intent.human_task_assigned"),
            waiting("4", "intent.reminder"),
        ];
        assert_eq!(since(&events), Some("2"));
        assert_eq!(since(&events[..1]), Some("1"));
        assert_eq!(since(&[]), None);
    }

    #[test]
    fn another_holder_starts_it() {
        let held = |at: &str, by: &str| json!({"at": at, "status": "WAITING", "pending_with": {"ref": by}});
        assert_eq!(since(&[held("1", "a"), held("2", "b")]), Some("2"));
    }

    #[test]
    fn steps_are_found_once() {
        let events = [
            json!({"details": {"step_intent_id": "a"}}),
            json!({"details": {"step_intent_id": "b", "parent_intent_id": "p", "intent_id": "me"}}),
            json!({"details": {"step_intent_id": "a"}}),
        ];
        assert_eq!(children("me", &events), ["a", "b"]);
    }
}
