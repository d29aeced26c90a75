//! Answering by a link, as mail carries them (contract, tasks.md 4). The link is the authority: there
//! is no caller. The shard checks it and uses it up in the same append as the decision.

use std::net::IpAddr;

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::{GroupId, IntentId, Slot};
use axp_proto::log::{Holder, MailboxKey, Status, TaskLink, TaskLinkState};
use axp_proto::node::{
    CurrentTask, ExecuteRequest, GetLinkedTask, IntentView, QueryRequest, Scope, TaskAudit,
    execute_request, query_request, query_response,
};
use axp_proto::shard_map::group_of;
use axp_proto::task::{LinkToken, is_mail_address};
use bytes::Bytes;

use super::answer::{Answer, parse};
use crate::clock::{self, Deadline};
use crate::error::ApiError;
use crate::service::{Service, hash, hash_hex};

/// How a link was used: with one click on an outcome in the mail, or on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkChannel {
    Email,
    Web,
}

/// Where a task stands, as whoever has a link to it may know.
#[derive(Debug)]
pub(crate) enum Linked {
    /// It waits for this answer.
    Open(Box<OpenLink>),
    /// It was decided with this link.
    Used {
        outcome: Option<String>,
        at_ms: Option<i64>,
    },
    /// It was decided another way.
    Answered {
        at_ms: Option<i64>,
    },
    Canceled,
    /// The task or the link is past its time.
    Expired,
    /// Somebody else is asked now.
    PassedOn,
}

#[derive(Debug)]
pub(crate) struct OpenLink {
    pub(crate) intent: IntentView,
    pub(crate) task: CurrentTask,
    pub(crate) link: TaskLink,
    /// Of the task as it stands, in hexadecimal digits.
    pub(crate) task_sha256: String,
}

impl Service {
    /// What a link leads to; nothing for one that was never made.
    ///
    /// # Errors
    /// When the shard has no leader in time.
    pub(crate) async fn linked_task(
        &self,
        token: &str,
        deadline: Deadline,
    ) -> Result<Option<Linked>, ApiError> {
        let token = token.parse().unwrap_or_else(|_| decoy(token));
        let get = GetLinkedTask { intent_id: token.intent_id.to_bytes(), link_hash: token.hash() };
        let request = QueryRequest {
            group: self.group_of_link(token.intent_id, deadline).await?.into(),
            scope: Some(Scope::default()),
            query: Some(query_request::Query::GetLinkedTask(get)),
        };
        match self.cluster.router.query(&request, deadline).await? {
            query_response::Outcome::LinkedTask(found) => {
                let (Some(link), Some(intent)) = (found.link, found.intent) else {
                    return Err(ApiError::internal());
                };
                Ok(Some(standing(link, intent, clock::now_ms())))
            }
            query_response::Outcome::Rejection(refusal)
                if refusal.code == ErrorCode::NotFound.as_str() =>
            {
                Ok(None)
            }
            query_response::Outcome::Rejection(refusal) => Err(refusal.into()),
            _ => Err(ApiError::internal()),
        }
    }

    /// Decides a task by a link to it.
    ///
    /// # Errors
    /// 422 with what is wrong with the answer, 409 when the task or the link is over.
    pub(crate) async fn decide_by_link(
        &self,
        token: &str,
        open: &OpenLink,
        answer: &Bytes,
        (channel, peer): (LinkChannel, Option<IpAddr>),
        deadline: Deadline,
    ) -> Result<(), ApiError> {
        let token: LinkToken = token.parse().map_err(|_| ApiError::not_found("link not found"))?;
        let Answer { mut result, members, delegate_to } = parse(answer)?;
        result.link_hash = token.hash();
        result.expected_task = Some(open.task.number);
        result.audit = Some(TaskAudit {
            channel: match channel {
                LinkChannel::Email => "email",
                LinkChannel::Web => "web",
            }
            .to_owned(),
            from: peer.map(|peer| peer.to_canonical().to_string()).unwrap_or_default(),
            task_sha256: open.task_sha256.clone(),
        });
        if let Some(to) = delegate_to {
            result.delegate_to = Some(self.colleague(&open.intent, &to)?);
        }
        self.hold_to(&open.intent, &open.task, &mut result, members).await?;
        let request = ExecuteRequest {
            group: self.group_of_link(token.intent_id, deadline).await?.into(),
            intent_id: token.intent_id.to_bytes(),
            scope: Some(Scope::default()),
            command: Some(execute_request::Command::TaskResult(result)),
            ..ExecuteRequest::default()
        };
        let outcome = self.cluster.router.execute(&request, deadline).await?;
        outcome.value.map(drop).map_err(ApiError::from)
    }

    /// Whom a task is passed on to: a mail address, or an agent of the organization that asks.
    fn colleague(&self, intent: &IntentView, to: &str) -> Result<Holder, ApiError> {
        let submission = intent.submission.as_ref().ok_or_else(ApiError::internal)?;
        let problem = |message: &str| {
            ApiError::invalid(&["body", "task_result", "delegate_to"], message, "value_error")
        };
        if is_mail_address(to) {
            let workspace_id = submission.workspace_id.clone();
            let mailbox = Some(MailboxKey { workspace_id, address: to.to_owned() });
            let org_id = submission.org_id.clone();
            return Ok(Holder { mailbox, org_id, ..Holder::default() });
        }
        if !to.starts_with("agent://") {
            return Err(problem(
                "must be an e-mail address or agent://organization/workspace/name",
            ));
        }
        self.registered(&submission.org_id, to)
            .ok_or_else(|| problem("is no agent of this organization"))
    }

    async fn group_of_link(&self, id: IntentId, deadline: Deadline) -> Result<GroupId, ApiError> {
        let tables = self.cluster.cache.ready(deadline).await?;
        let groups = tables.topology.as_ref().map_or(1, |topology| topology.shard_groups);
        Ok(group_of(id.slot(), groups))
    }
}

/// A token for text that is none, so that it takes as long to be told so.
fn decoy(text: &str) -> LinkToken {
    let secret = hash(text);
    let number = u64::from_be_bytes(secret.first_chunk().copied().unwrap_or_default());
    LinkToken { intent_id: IntentId::new(number, Slot::from_hash(number), number), secret }
}

fn standing(link: TaskLink, intent: IntentView, now_ms: i64) -> Linked {
    let ended = intent.terminal_event.as_ref();
    let at_ms = ended.map(|event| event.at_ms);
    if link.state() == TaskLinkState::Used {
        let details = ended.map(|event| event.details_json.clone()).unwrap_or_default();
        let details: serde_json::Value = serde_json::from_slice(&details).unwrap_or_default();
        let outcome = details["task_result"]["outcome"].as_str().map(str::to_owned);
        return Linked::Used { outcome, at_ms };
    }
    match ended.map(axp_proto::log::Event::status) {
        Some(Status::Canceled) => return Linked::Canceled,
        Some(Status::TimedOut) => return Linked::Expired,
        Some(_) => return Linked::Answered { at_ms },
        None => {}
    }
    if link.state() != TaskLinkState::Open {
        return Linked::PassedOn;
    }
    match intent.task.clone().filter(|task| task.number == link.task) {
        None => Linked::Answered { at_ms: None },
        Some(_) if link.expires_at_ms <= now_ms => Linked::Expired,
        Some(task) => {
            let task_sha256 = hash_hex(&task.task_json);
            Linked::Open(Box::new(OpenLink { intent, task, link, task_sha256 }))
        }
    }
}

#[cfg(test)]
mod tests {
    use axp_proto::log::Event;

    use super::*;

    fn standing_of(state: TaskLinkState, ended: Option<Status>, number: Option<u32>) -> Linked {
        let link =
            TaskLink { state: state.into(), task: 2, expires_at_ms: 10, ..TaskLink::default() };
        let event = |status: Status| Event { status: status.into(), at_ms: 5, ..Event::default() };
        let intent = IntentView {
            terminal_event: ended.map(event),
            task: number.map(|number| CurrentTask { number, ..CurrentTask::default() }),
            ..IntentView::default()
        };
        standing(link, intent, 9)
    }

    #[test]
    fn a_link_says_where_its_task_stands() {
        use TaskLinkState::{Open, Revoked, Used};
        assert!(matches!(standing_of(Open, None, Some(2)), Linked::Open(_)));
        assert!(matches!(standing_of(Open, None, Some(3)), Linked::Answered { at_ms: None }));
        assert!(matches!(standing_of(Open, None, None), Linked::Answered { .. }));
        let done = standing_of(Open, Some(Status::Completed), None);
        assert!(matches!(done, Linked::Answered { at_ms: Some(5) }));
        assert!(matches!(standing_of(Open, Some(Status::Canceled), None), Linked::Canceled));
        assert!(matches!(standing_of(Open, Some(Status::TimedOut), None), Linked::Expired));
        assert!(matches!(standing_of(Used, Some(Status::Failed), None), Linked::Used { .. }));
        assert!(matches!(standing_of(Used, None, Some(2)), Linked::Used { at_ms: None, .. }));
        assert!(matches!(standing_of(Revoked, None, Some(2)), Linked::PassedOn));
    }

    #[test]
    fn what_is_no_token_is_looked_for_all_the_same() {
        assert_ne!(decoy("a"), decoy("b"));
    }
}
