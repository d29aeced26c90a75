//! What a decision means for the intent behind it: the answer to the task that it waits with.
//!
//! ```text
//! 1. the task is answered in the intent's log   <- the truth: of two who decide, one gets through
//! 2. the decision is noted (thread, approval)   <- may be missing after a crash between the two
//! ```
//!
//! Whoever tries again after such a crash finds the task answered by themselves, and goes on with
//! step 2.

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::IntentId;
use axp_proto::json::ObjectWriter;
use axp_proto::log::{Decided, Event};
use axp_proto::node::IntentView;
use bytes::Bytes;
use serde_json::Value;

use super::{Call, Service};
use crate::error::ApiError;
use crate::service::tasks::is_task_pending;

impl Service {
    /// Answers the task of an intent, if it waits with one.
    ///
    /// # Errors
    /// 409 when its task was answered by others or ended otherwise, 422 when the task does not take
    /// this answer.
    pub(in crate::service) async fn settle(
        &self,
        call: &Call,
        id: IntentId,
        actor: &str,
        decision: Decided,
        comment: &str,
    ) -> Result<(), ApiError> {
        let view = match self.get_by_id(call, id).await {
            Ok(view) => view,
            // None of the caller's intents: there is nothing but the thread to decide.
            Err(error) if error.code == ErrorCode::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let answer = answer(decision, comment);
        let ended = if is_task_pending(&view) {
            match self.answer_task(call, id, actor, &answer).await {
                Ok(_) => return Ok(()),
                Err(error) if error.code == ErrorCode::InvalidState => {
                    self.get_by_id(call, id).await?
                }
                Err(error) => return Err(error),
            }
        } else {
            view
        };
        let had_task = ended.submission.as_ref().is_some_and(|it| !it.human_task_json.is_empty());
        match &ended.terminal_event {
            Some(event) if had_task && !is_own(event, actor, &answer) => {
                Err(ApiError::new(ErrorCode::InvalidState, "the task is no longer pending"))
            }
            _ => Ok(()),
        }
    }

    /// How the task of an intent was decided, if it had one and has ended; 409 when it ended without
    /// a decision.
    pub(in crate::service) fn decided_by_end(
        view: &IntentView,
    ) -> Option<Result<Decided, ApiError>> {
        let event = view.terminal_event.as_ref()?;
        let had_task = view.submission.as_ref().is_some_and(|it| !it.human_task_json.is_empty());
        had_task.then(|| match outcome(event).as_deref() {
            Some("approved") => Ok(Decided::Approved),
            Some("rejected") => Ok(Decided::Rejected),
            _ => Err(ApiError::new(ErrorCode::InvalidState, "the task is no longer pending")),
        })
    }
}

/// The result of a task that is approved or rejected.
fn answer(decision: Decided, comment: &str) -> Bytes {
    let outcome = if decision == Decided::Approved { "approved" } else { "rejected" };
    ObjectWriter::default().string("outcome", outcome).string_if("comment", comment).finish()
}

/// Whether an intent was ended by this answer of the same actor.
fn is_own(event: &Event, actor: &str, answer: &[u8]) -> bool {
    let wanted: Option<Value> = serde_json::from_slice(answer).ok();
    event.actor == actor && wanted.is_some() && answers(event).any(|given| Some(given) == wanted)
}

fn outcome(event: &Event) -> Option<String> {
    answers(event).find_map(|answer| Some(answer.get("outcome")?.as_str()?.to_owned()))
}

/// Where an event keeps the answer of a task.
fn answers(event: &Event) -> impl Iterator<Item = Value> {
    let details: Value = serde_json::from_slice(&event.details_json).unwrap_or_default();
    ["task_result", "result", "error"]
        .into_iter()
        .filter_map(move |name| details.get(name).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(details: &'static str) -> Event {
        let details_json = Bytes::from_static(details.as_bytes());
        Event { actor: "agent://alice".to_owned(), details_json, ..Event::default() }
    }

    #[test]
    fn only_the_same_answer_of_the_same_actor_is_own() {
        let given = event(r#"{"result":{"comment":"ok","outcome":"approved"}}"#);
        let own = |actor, decision, comment| is_own(&given, actor, &answer(decision, comment));
        assert!(own("agent://alice", Decided::Approved, "ok"));
        assert!(!own("agent://alice", Decided::Approved, ""));
        assert!(!own("agent://alice", Decided::Rejected, "ok"));
        assert!(!own("agent://bob", Decided::Approved, "ok"));
        assert_eq!(outcome(&event(r#"{"error":{"outcome":"rejected"}}"#)).unwrap(), "rejected");
        assert_eq!(outcome(&event("{}")), None);
    }
}
