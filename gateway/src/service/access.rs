//! Who may send to whom (contract, agents.md 6 and 7): the decision, and the rows that it is taken on.
//!
//! ```text
//! another organization?  the agent's override, else its organization's receive policy (closed)
//! everybody              the agent's send policy (open)
//! ```
//!
//! An address that no registered organization has is nobody's to close. An agent may always send to
//! itself: its outcomes go there.

mod manage;

use axp_proto::control;
use axp_proto::error_code::ErrorCode;
use axp_proto::node::AccessPolicy;

pub(super) use self::manage::forget;
pub(crate) use self::manage::{AccessSubject, AccessTarget, AccessView};
use super::target::Target;
use crate::cluster::Tables;
use crate::error::ApiError;

const OPEN: &str = "open";
const ALLOWLIST: &str = "allowlist";
const DENYLIST: &str = "denylist";
const CLOSED: &str = "closed";
const USE_ORG_DEFAULT: &str = "use_org_default";

/// Whether a sender may send to a target.
///
/// # Errors
/// 403 with the reason.
pub(super) fn check(
    tables: &Tables,
    sender: &str,
    sender_org_id: &str,
    target: &Target,
) -> Result<(), ApiError> {
    if sender == target.address {
        return Ok(());
    }
    if target.org_id != sender_org_id {
        check_foreign(tables, sender, target)?;
    }
    let denied = match row(tables, &control::send_policy(&target.address)) {
        Some(policy) if policy.policy_type == ALLOWLIST => !names(policy, sender),
        Some(policy) if policy.policy_type == DENYLIST => names(policy, sender),
        _ => false,
    };
    if denied {
        let message = "the send policy of the receiving agent does not let this sender in";
        return Err(ApiError::new(ErrorCode::PolicyDenied, message));
    }
    Ok(())
}

fn check_foreign(tables: &Tables, sender: &str, target: &Target) -> Result<(), ApiError> {
    let own = row(tables, &control::receive_override(&target.address));
    let own = own.filter(|policy| policy.policy_type != USE_ORG_DEFAULT);
    let (policy, code, closed) = match own {
        Some(own) => {
            let message = "the receiving agent does not take intents from other organizations";
            (Some(own), ErrorCode::ReceiverAgentClosed, message)
        }
        None => {
            let message = "the receiver's organization does not take intents from others";
            let policy = row(tables, &control::receive_policy(&target.org_id));
            (policy, ErrorCode::ReceiverOrgClosed, message)
        }
    };
    match policy {
        Some(policy) if policy.policy_type == OPEN => Ok(()),
        Some(policy) if policy.policy_type == ALLOWLIST && names(policy, sender) => Ok(()),
        Some(policy) if policy.policy_type == ALLOWLIST => {
            let message = "the sender is not in the receiver's allowlist";
            Err(ApiError::new(ErrorCode::SenderNotInReceiveAllowlist, message))
        }
        _ => Err(ApiError::new(code, closed)),
    }
}

/// `key`: as the row is stored under.
fn row<'a>(tables: &'a Tables, key: &str) -> Option<&'a AccessPolicy> {
    let subject = key.strip_prefix(control::ACCESS_POLICY)?;
    tables.access_policies.get(subject).map(|policy| &policy.value)
}

fn names(policy: &AccessPolicy, sender: &str) -> bool {
    policy.entries.iter().any(|entry| matches(&entry.sender_pattern, sender))
}

/// An address, `agent://org/workspace/*`, `agent://org/*` or `*`.
fn matches(pattern: &str, sender: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => sender.starts_with(prefix),
        None => pattern == sender,
    }
}

#[cfg(test)]
mod tests {
    use axp_proto::log::DeliveryMode;
    use axp_proto::node::{AccessEntry, Row};
    use prost::Message as _;

    use super::*;

    const ALICE: &str = "agent://acme/prod/alice";
    const BOB: &str = "agent://other/ws/bob";

    fn target(org_id: &str) -> Target {
        Target {
            address: BOB.to_owned(),
            org_id: org_id.to_owned(),
            workspace_id: "w".to_owned(),
            mode: DeliveryMode::Stream,
        }
    }

    fn tables(rows: &[(String, &str, &[&str])]) -> Tables {
        let mut tables = Tables::default();
        for (key, policy_type, patterns) in rows {
            let entry = |pattern: &&str| AccessEntry {
                sender_pattern: (*pattern).to_owned(),
                ..AccessEntry::default()
            };
            let policy = AccessPolicy {
                policy_type: (*policy_type).to_owned(),
                entries: patterns.iter().map(entry).collect(),
                ..AccessPolicy::default()
            };
            let value = policy.encode_to_vec().into();
            let row = Row { key: key.clone(), revision: 1, value, deleted: false };
            tables.apply(&row).unwrap();
        }
        tables
    }

    fn outcome(tables: &Tables, org_id: &str) -> &'static str {
        check(tables, ALICE, "o", &target(org_id)).map_or_else(|it| it.code.as_str(), |()| "ok")
    }

    #[test]
    fn patterns_end_at_slashes() {
        for pattern in [ALICE, "agent://acme/prod/*", "agent://acme/*", "*"] {
            assert!(matches(pattern, ALICE), "{pattern}");
        }
        for pattern in ["agent://acme/prod", "agent://acm/*", "agent://acme/pro/*", BOB, ""] {
            assert!(!matches(pattern, ALICE), "{pattern}");
        }
    }

    #[test]
    fn other_organizations_are_closed_unless_they_say_so() {
        let org = || control::receive_policy("p");
        let own = || control::receive_override(BOB);
        assert_eq!(outcome(&tables(&[]), "o"), "ok", "the same organization");
        assert_eq!(outcome(&tables(&[(org(), CLOSED, &[])]), "o"), "ok");
        assert_eq!(outcome(&tables(&[]), "p"), "receiver_org_closed");
        assert_eq!(outcome(&tables(&[(org(), OPEN, &[])]), "p"), "ok");
        let allows: &[&str] = &["agent://acme/*"];
        assert_eq!(outcome(&tables(&[(org(), ALLOWLIST, allows)]), "p"), "ok");
        let others: &[&str] = &["agent://zeta/*"];
        let refused = "sender_not_in_receive_allowlist";
        assert_eq!(outcome(&tables(&[(org(), ALLOWLIST, others)]), "p"), refused);
        // Entries of a closed one wait for the day that it is an allowlist.
        assert_eq!(outcome(&tables(&[(org(), CLOSED, allows)]), "p"), "receiver_org_closed");
        for (kind, patterns, expected) in [
            (OPEN, others, "ok"),
            (CLOSED, allows, "receiver_agent_closed"),
            (ALLOWLIST, allows, "ok"),
            (ALLOWLIST, others, refused),
        ] {
            let rows = [
                (org(), if expected == "ok" { CLOSED } else { OPEN }, &[][..]),
                (own(), kind, patterns),
            ];
            assert_eq!(outcome(&tables(&rows), "p"), expected, "{kind} {patterns:?}");
        }
        let rows = [(org(), OPEN, &[][..]), (own(), USE_ORG_DEFAULT, others)];
        assert_eq!(outcome(&tables(&rows), "p"), "ok");
    }

    #[test]
    fn a_send_policy_is_for_everybody_but_the_agent_itself() {
        let send = || control::send_policy(BOB);
        let alice: &[&str] = &["agent://acme/prod/*"];
        for (kind, patterns, expected) in [
            (OPEN, alice, "ok"),
            (ALLOWLIST, alice, "ok"),
            (ALLOWLIST, &[], "policy_denied"),
            (DENYLIST, alice, "policy_denied"),
            (DENYLIST, &[], "ok"),
        ] {
            let rows = [(send(), kind, patterns), (control::receive_policy("p"), OPEN, &[][..])];
            for org_id in ["o", "p"] {
                assert_eq!(outcome(&tables(&rows), org_id), expected, "{kind} {patterns:?}");
            }
        }
        let nobody = tables(&[(send(), ALLOWLIST, &[])]);
        assert!(check(&nobody, BOB, "p", &target("p")).is_ok());
    }
}
