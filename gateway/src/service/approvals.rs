//! Approvals that are named by an id: stored with the first decision (contract, approvals.md).

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::IntentId;
use axp_proto::inbox::approval_place;
use axp_proto::log::{Approval, Decided};
use axp_proto::node::inbox_request::Action;
use axp_proto::node::{ApprovalDecide, GetApproval, query_request, query_response};
use bytes::Bytes;
use uuid::Uuid;

use super::idempotency::Claim;
use super::inbox::{Inbox, action_id};
use super::{Call, Service};
use crate::error::ApiError;
use crate::json::Reader;

const COMMENT_MAX: usize = 1_000;

impl Service {
    /// Decides an approval, which comes into being with its decision. If the id is that of an intent
    /// that waits for a person, the decision is the answer.
    ///
    /// # Errors
    /// 409 when it was decided otherwise, 422 for what is no UUID or a bad body.
    pub(crate) async fn decide_approval(
        &self,
        call: &Call,
        id: &str,
        body: &Bytes,
    ) -> Result<Approval, ApiError> {
        let problem =
            || ApiError::invalid(&["path", "approval_id"], "must be a UUID", "value_error");
        let id = Uuid::try_parse(id).map_err(|_| problem())?;
        let (decision, comment) = parse(body)?;
        let place = approval_place(call.caller.workspace_id(), id);
        let inbox = self.inbox_of(call, place).await?;
        let route = format!("POST /v1/approvals/{id}/decision");
        let claim = Claim::of(call, &route, body)?;
        if self.stored_approval(call, &inbox).await?.is_none()
            && let Ok(intent_id) = IntentId::from_slice(id.as_bytes())
        {
            self.settle_by_approval(call, intent_id, decision, &comment).await?;
        }
        let action = Action::Approval(ApprovalDecide { decision: decision.into(), comment });
        let approval_id = Bytes::copy_from_slice(id.as_bytes());
        let action_id = action_id(claim.as_ref());
        let done =
            self.act_on(call, &inbox, approval_id, action_id, claim.as_ref(), action).await?;
        done.approval.ok_or_else(ApiError::internal)
    }

    /// Answers the task of the intent with that id, or finds that it was answered just so.
    async fn settle_by_approval(
        &self,
        call: &Call,
        id: IntentId,
        decision: Decided,
        comment: &str,
    ) -> Result<(), ApiError> {
        let actor = self.acting_agent(call)?;
        match self.settle(call, id, &actor, decision, comment).await {
            Err(error) if error.code == ErrorCode::InvalidState => {
                // Somebody answered before us; if as we would have, it is decided as we want it.
                let view = self.get_by_id(call, id).await?;
                match Self::decided_by_end(&view) {
                    Some(Ok(decided)) if decided == decision => Ok(()),
                    _ => Err(error),
                }
            }
            settled => settled,
        }
    }

    async fn stored_approval(
        &self,
        call: &Call,
        inbox: &Inbox,
    ) -> Result<Option<Approval>, ApiError> {
        let get = GetApproval { mailbox: Some(inbox.mailbox.clone()) };
        match self.ask(call, inbox, query_request::Query::GetApproval(get)).await {
            Ok(query_response::Outcome::Approval(approval)) => Ok(Some(approval)),
            Ok(_) => Err(ApiError::internal()),
            Err(error) if error.code == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `approved`, `rejected` and `reason` are the words of an older form.
fn parse(body: &Bytes) -> Result<(Decided, String), ApiError> {
    let mut reader = Reader::new(body)?;
    let word = reader.required_string("decision", 1, 32).unwrap_or_default();
    let decision = match word.as_str() {
        "approve" | "approved" => Decided::Approved,
        "reject" | "rejected" => Decided::Rejected,
        "" => Decided::Unspecified,
        _ => {
            reader.problem("decision", "must be approve or reject", "value_error");
            Decided::Unspecified
        }
    };
    let comment = reader.string("comment", 1, COMMENT_MAX);
    let reason = reader.string("reason", 1, COMMENT_MAX);
    reader.finish()?;
    Ok((decision, comment.or(reason).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let read = |body: &'static str| parse(&Bytes::from_static(body.as_bytes()));
        assert_eq!(
            read(r#"{"decision":"approve","comment":"ok"}"#).unwrap(),
            (Decided::Approved, "ok".to_owned())
        );
        assert_eq!(
            read(r#"{"decision":"rejected","reason":"no","comment":null}"#).unwrap(),
            (Decided::Rejected, "no".to_owned())
        );
        for bad in ["{}", r#"{"decision":"maybe"}"#, r#"{"decision":7}"#] {
            assert_eq!(read(bad).unwrap_err().code, ErrorCode::ValidationError, "{bad}");
        }
    }
}
