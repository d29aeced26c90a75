//! Deciding an approval that is no thread: the first decision stays (contract, approvals.md).

use axp_proto::error_code::ErrorCode;
use axp_proto::log::{Approval, Decided};

use crate::intent::Rejection;

/// What is to be stored; absent when the same decision is stored already.
///
/// # Errors
/// A [`Rejection`] when it was decided otherwise.
pub fn decide(
    stored: Option<&Approval>,
    wanted: &Approval,
    now_ms: i64,
) -> Result<Option<Approval>, Rejection> {
    if wanted.decision() == Decided::Unspecified {
        let message = "a decision is approve or reject";
        return Err(Rejection::new(ErrorCode::ValidationError, message));
    }
    match stored {
        None => Ok(Some(Approval { decided_at_ms: now_ms, ..wanted.clone() })),
        Some(stored) if stored.decision == wanted.decision => Ok(None),
        Some(_) => {
            let message = "the approval was decided otherwise";
            Err(Rejection::new(ErrorCode::InvalidState, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_decision_stays() {
        let wanted =
            |decision: Decided| Approval { decision: decision.into(), ..Approval::default() };
        let stored = decide(None, &wanted(Decided::Approved), 7).unwrap().unwrap();
        assert_eq!(stored.decided_at_ms, 7);
        assert_eq!(decide(Some(&stored), &wanted(Decided::Approved), 9), Ok(None));
        let opposite = decide(Some(&stored), &wanted(Decided::Rejected), 9).unwrap_err();
        assert_eq!(opposite.code, ErrorCode::InvalidState);
        assert!(decide(None, &wanted(Decided::Unspecified), 9).is_err());
    }
}
