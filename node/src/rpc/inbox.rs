//! What owners do in their inboxes, translated.

use axp_proto::log::Approval;
use axp_proto::node::inbox_request::Action as WireAction;
use axp_proto::node::inbox_response::Outcome;
use axp_proto::node::{InboxDone, InboxRequest, InboxResponse};
use bytes::Bytes;
use tonic::Status;

use super::query::foreign_mailbox;
use super::{Context, rejection};
use crate::inbox::{Action, Request};
use crate::shard::inbox::{InboxReply, InboxView, Subject};
use crate::shard::{self, ExecuteError};

const ID_BYTES: usize = 16;

pub(super) async fn act(context: &Context, request: InboxRequest) -> Result<InboxResponse, Status> {
    let shard = context.shard(request.group)?;
    let outcome = match shard.act(translate(request)?).await {
        Ok(reply) => Outcome::Done(done(reply)),
        Err(ExecuteError::Rejected(refusal)) => Outcome::Rejection(rejection(&refusal)),
        Err(ExecuteError::NotLeader) => Outcome::NotLeader(context.not_leader(&shard.raft)),
        Err(ExecuteError::Overloaded) => Outcome::Rejection(super::overloaded()),
        Err(error) => return Err(Status::unavailable(error.to_string())),
    };
    Ok(InboxResponse { outcome: Some(outcome) })
}

fn translate(request: InboxRequest) -> Result<shard::inbox::InboxRequest, Status> {
    let scope = request.scope.ok_or_else(|| Status::invalid_argument("no scope"))?;
    let owner = request.mailbox.ok_or_else(|| Status::invalid_argument("no mailbox"))?;
    if owner.workspace_id != scope.workspace_id {
        return Err(Status::permission_denied(foreign_mailbox().to_string()));
    }
    let thread_id = id(request.thread_id)?;
    let action = match request.action {
        Some(WireAction::Reply(reply)) => Action::Reply { message: reply.message },
        Some(WireAction::Delegate(it)) => Action::Delegate { to: it.delegate_to, note: it.note },
        Some(WireAction::Decide(it)) => {
            Action::Conclude { decision: it.decision(), comment: it.comment }
        }
        Some(WireAction::DeleteMessages(it)) => {
            Action::Delete { both: it.both, message_ids: it.message_ids, last: it.last as usize }
        }
        Some(WireAction::Read(_)) => Action::Read,
        Some(WireAction::Approval(it)) => {
            let wanted = Approval {
                approval_id: thread_id,
                decision: it.decision,
                comment: it.comment,
                decided_by: scope.actor,
                ..Approval::default()
            };
            let subject = Subject::Approval { place: owner, wanted };
            let (org_id, idempotency) = (scope.org_id, request.idempotency);
            return Ok(shard::inbox::InboxRequest { org_id, subject, idempotency });
        }
        None => return Err(Status::invalid_argument("no action that this version knows")),
    };
    let action_id = id(request.action_id)?;
    let request_ = Request { owner, thread_id, action_id, actor: scope.actor, action };
    Ok(shard::inbox::InboxRequest {
        org_id: scope.org_id,
        subject: Subject::Thread(request_),
        idempotency: request.idempotency,
    })
}

fn id(bytes: Bytes) -> Result<Bytes, Status> {
    if bytes.len() == ID_BYTES { Ok(bytes) } else { Err(Status::invalid_argument("not an id")) }
}

fn done(reply: InboxReply) -> InboxDone {
    let done = InboxDone { replayed: reply.replayed, ..InboxDone::default() };
    match reply.now {
        InboxView::Thread(view) => InboxDone { thread: Some(*view), ..done },
        InboxView::Approval(approval) => InboxDone { approval: Some(approval), ..done },
    }
}
