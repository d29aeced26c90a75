//! What delegating a thread means for the intent behind it: if the thread's owner is who works on it,
//! the delegate does from now on.
//!
//! The thread is delegated first. After a crash between the two whoever asks again hands the intent
//! over, and an intent that lies with the delegate already stays as it is.

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::IntentId;
use axp_proto::log::{MailboxKey, Status};
use axp_proto::node::{ExecuteRequest, IntentView, Transfer, execute_request};

use crate::error::ApiError;
use crate::service::target::Target;
use crate::service::{Call, Service};

impl Service {
    /// Hands the intent of a thread of the caller's inbox over to another agent.
    pub(super) async fn hand_over(
        &self,
        call: &Call,
        id: IntentId,
        to: Target,
        reason: String,
    ) -> Result<(), ApiError> {
        let owner = self.inbox(call).await?.mailbox;
        let view = match self.get_by_id(call, id).await {
            Ok(view) => view,
            // None of the caller's intents: there is nothing but the thread to delegate.
            Err(error) if error.code == ErrorCode::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if !works_on(&owner, &view) {
            return Ok(());
        }
        let actor = owner.address;
        let transfer = Transfer { to: Some(to.into_holder()), actor: actor.clone(), reason };
        let request = ExecuteRequest {
            group: self.group(call, id).await?.into(),
            intent_id: id.to_bytes(),
            scope: Some(call.caller.scope(&actor)),
            // The caller's key belongs to the delegation, not to this part of it.
            idempotency: None,
            traceparent: call.trace.to_string(),
            command: Some(execute_request::Command::Transfer(transfer)),
        };
        match self.cluster.router.execute(&request, call.deadline).await?.value {
            Ok(_) => Ok(()),
            // It has ended since: there is nothing left to hand over.
            Err(rejection) if rejection.code == ErrorCode::InvalidState.as_str() => Ok(()),
            Err(rejection) => Err(rejection.into()),
        }
    }
}

/// Whether an intent that goes on lies with the owner of a mailbox.
fn works_on(owner: &MailboxKey, view: &IntentView) -> bool {
    let (Some(state), Some(submission)) = (&view.state, &view.submission) else { return false };
    let target = || MailboxKey {
        workspace_id: submission.target_workspace_id.clone(),
        address: submission.to_agent.clone(),
    };
    let holder = state.holder.as_ref().and_then(|it| it.mailbox.clone()).unwrap_or_else(target);
    let ended = Status::try_from(state.status).is_ok_and(Status::is_terminal);
    holder == *owner && !ended
}
