//! What an answer to a human task has to keep to (contract, tasks.md 2 and 3). The gateway tells with
//! it what is wrong before it looks at the form; the node decides with it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::ids::IntentId;
use crate::log::TaskRules;

/// Outcomes that say no: they fail an intent, and no form has to be filled in for them.
pub const NEGATIVE: [&str; 5] = ["rejected", "denied", "declined", "failed", "changes_requested"];

/// What is wrong with an answer: a member of it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub field: &'static str,
    pub message: String,
}

#[must_use]
pub fn is_negative(outcome: &str) -> bool {
    NEGATIVE.contains(&outcome)
}

/// Holds an answer to the rules of its task, in the order of the contract.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(
    rules: &TaskRules,
    outcome: &str,
    comment: &str,
    has_evidence: bool,
) -> Result<(), Problem> {
    let broken = |field, message: String| Err(Problem { field, message });
    let takes = |list: &[String]| list.iter().any(|known| known == outcome);
    // Tasks from before rules were stored have none.
    let any = rules.allowed_outcomes.is_empty();
    if !any && !takes(&rules.allowed_outcomes) && !takes(&rules.aliases) {
        let allowed = rules.allowed_outcomes.join(", ");
        return broken("outcome", format!("{outcome} is not one of {allowed}"));
    }
    if rules.comment_required && comment.trim().is_empty() {
        return broken("comment", "is required by this task".to_owned());
    }
    if rules.evidence_required && !is_negative(outcome) && !has_evidence {
        return broken("data.evidence", "is required by this task".to_owned());
    }
    Ok(())
}

/// Whether somebody may answer a task with these assignees. Assignees are addresses, mail addresses
/// or names; a name means the last part of an address.
#[must_use]
pub fn is_assigned(assignees: &[String], address: &str) -> bool {
    let name = address.rsplit('/').next().unwrap_or(address);
    assignees.is_empty() || assignees.iter().any(|known| known == address || known == name)
}

/// Whether an assignee is told by mail.
#[must_use]
pub fn is_mail_address(assignee: &str) -> bool {
    let (name, host) = assignee.rsplit_once('@').unwrap_or_default();
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"<>(),;:\\\"[]/".contains(c);
    !name.is_empty() && !host.is_empty() && assignee.len() <= 320 && assignee.chars().all(plain)
}

/// What a link that answers a task carries: which intent, so that every gateway finds its shard, and
/// a random secret, of which only the hash is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkToken {
    pub intent_id: IntentId,
    pub secret: [u8; 32],
}

impl LinkToken {
    #[must_use]
    pub fn hash(&self) -> Bytes {
        Bytes::copy_from_slice(&Sha256::digest(self.secret))
    }
}

impl fmt::Display for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = [&self.intent_id.as_bytes()[..], &self.secret].concat();
        f.write_str(&URL_SAFE_NO_PAD.encode(whole))
    }
}

/// The secret is nobody's business in a log.
impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkToken").field("intent_id", &self.intent_id).finish_non_exhaustive()
    }
}

/// The text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no link token")]
pub struct NoToken;

impl FromStr for LinkToken {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let whole = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoToken)?;
        let (id, secret) = whole.split_at_checked(16).ok_or(NoToken)?;
        Ok(Self {
            intent_id: IntentId::from_slice(id).map_err(|_| NoToken)?,
            secret: secret.try_into().map_err(|_| NoToken)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Slot;

    #[test]
    fn a_token_comes_back_from_its_text() {
        let intent_id = IntentId::new(1_700_000_000_000, Slot::new(9).unwrap(), 1);
        let token = LinkToken { intent_id, secret: [0xfb; 32] };
        let text = token.to_string();
        assert_eq!(text.len(), 64);
        assert_eq!(text.parse(), Ok(token));
        assert!(!format!("{token:?}").contains("251"));
        for bad in ["", "x", &text[..63], &format!("{text}A"), &text.replace('-', "+")] {
            assert_eq!(bad.parse::<LinkToken>(), Err(NoToken), "{bad}");
        }
    }

    fn rules(allowed: &[&str], aliases: &[&str]) -> TaskRules {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        TaskRules {
            allowed_outcomes: words(allowed),
            aliases: words(aliases),
            ..TaskRules::default()
        }
    }

    fn field(rules: &TaskRules, outcome: &str, comment: &str, evidence: bool) -> &'static str {
        check(rules, outcome, comment, evidence).map_or_else(|problem| problem.field, |()| "")
    }

    #[test]
    fn the_first_broken_rule_is_told() {
        let strict = TaskRules {
            comment_required: true,
            evidence_required: true,
            ..rules(&["completed", "failed"], &[])
        };
        assert_eq!(field(&strict, "done", "", false), "outcome");
        assert_eq!(field(&strict, "completed", " ", false), "comment");
        assert_eq!(field(&strict, "completed", "ok", false), "data.evidence");
        assert_eq!(field(&strict, "completed", "ok", true), "");
        assert_eq!(field(&strict, "failed", "broken", false), "", "a failure needs no proof");
    }

    #[test]
    fn aliases_are_taken_and_not_named() {
        let task = rules(&["confirmed", "denied"], &["approved", "rejected"]);
        assert_eq!(field(&task, "rejected", "", false), "");
        let refused = check(&task, "maybe", "", false).unwrap_err();
        assert_eq!(refused.message, "maybe is not one of confirmed, denied");
        assert_eq!(field(&rules(&["yes"], &[]), "approved", "", false), "outcome");
        assert_eq!(field(&rules(&[], &[]), "anything", "", false), "");
    }

    #[test]
    fn assignees_are_addresses_or_names() {
        let list = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        assert!(is_assigned(&[], "agent://a/b/c"));
        assert!(is_assigned(&list(&["agent://a/b/c"]), "agent://a/b/c"));
        assert!(is_assigned(&list(&["x", "c"]), "agent://a/b/c"));
        assert!(is_assigned(&list(&["ann@acme.test"]), "ann@acme.test"));
        assert!(!is_assigned(&list(&["ann@acme.test"]), "agent://a/b/ann"));
    }

    #[test]
    fn mail_addresses_are_told_from_names() {
        for good in ["ann@acme.test", "a.b+c@x"] {
            assert!(is_mail_address(good), "{good}");
        }
        for bad in ["ann", "agent://a/b@c", "@x", "a@", "a b@c", "a@b,c@d", "a@b\r\nBcc: c@d", ""] {
            assert!(!is_mail_address(bad), "{bad}");
        }
    }
}
