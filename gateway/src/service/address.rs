//! Agent addresses: the forms in which they arrive, the one form that is stored (contract,
//! agents.md 1).

use axp_proto::error_code::ErrorCode;

use super::access::AccessSubject;
use crate::error::ApiError;

const SCHEME: &str = "agent://";
/// What a proxy that merges slashes makes of the scheme in a path.
const COLLAPSED: &str = "agent:/";
const LENGTH_MAX: usize = 383;

/// The parts of a canonical address, `agent://org/workspace/name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) organization: &'a str,
    pub(crate) workspace: &'a str,
    pub(crate) name: &'a str,
}

/// The stored form of an address. Bare names belong to the caller's workspace; anything that is
/// not canonical is an opaque mailbox.
///
/// # Errors
/// 422 for what cannot be an address.
pub(crate) fn normalise(
    text: &str,
    organization: &str,
    workspace: &str,
) -> Result<String, ApiError> {
    let invalid = |message: &'static str| ApiError::new(ErrorCode::InvalidAgentAddress, message);
    let text = text.trim();
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(invalid("an agent address has no white space"));
    }
    let stripped = text.strip_prefix(SCHEME).or_else(|| text.strip_prefix(COLLAPSED));
    let rest = stripped.unwrap_or(text).trim_matches('/');
    if rest.is_empty() || rest.contains("://") {
        return Err(invalid("an agent address looks like agent://org/workspace/name"));
    }
    let address = if stripped.is_none() && !rest.contains('/') {
        format!("{SCHEME}{organization}/{workspace}/{rest}")
    } else {
        format!("{SCHEME}{rest}")
    };
    if address.len() > LENGTH_MAX {
        return Err(invalid("an agent address has at most 383 characters"));
    }
    Ok(address)
}

/// The parts of a canonical address; absent for an opaque one.
pub(crate) fn parts(address: &str) -> Option<Parts<'_>> {
    let mut segments = address.strip_prefix(SCHEME)?.split('/');
    let parts = Parts {
        organization: segments.next()?,
        workspace: segments.next()?,
        name: segments.next()?,
    };
    let canonical = segments.next().is_none()
        && is_slug(parts.organization, b"-")
        && is_slug(parts.workspace, b"-")
        && is_slug(parts.name, b"-._");
    canonical.then_some(parts)
}

/// 2 or 3 to 63 characters of `a-z0-9` and some others inside. Organizations and workspaces have at
/// least 3, names at least 2.
fn is_slug(text: &str, inner: &[u8]) -> bool {
    let shortest = if inner.len() == 1 { 3 } else { 2 };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (shortest..=63).contains(&bytes.len())
        && bytes.iter().all(|&byte| plain(byte) || inner.contains(&byte))
        && plain(bytes[0])
        && plain(bytes[bytes.len() - 1])
}

/// A slug from a name: lower case, other characters to `-`, trimmed, neither too short nor too
/// long. Of a name that is an address the last segment counts.
pub(crate) fn slug(name: &str) -> String {
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name);
    let mut slug = String::with_capacity(last.len());
    for c in last.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    // Room for the suffix that tells it from another one.
    slug.truncate(56);
    let slug = slug.trim_matches('-');
    match slug.len() {
        0 => "agent".to_owned(),
        1 | 2 => format!("{slug}-0"),
        _ => slug.to_owned(),
    }
}

/// A slug for an agent's name, which may keep dots and underscores.
pub(crate) fn agent_slug(name: &str) -> String {
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name);
    if is_slug(last, b"-._") && last.len() <= 56 { last.to_owned() } else { slug(name) }
}

/// What a path below `/v1/agents/` asks for. The suffix is matched first, since an address in a
/// path may hold slashes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AgentPath<'a> {
    Agent(&'a str),
    Stream(&'a str),
    /// Who may send to the agent.
    Access(AccessSubject<'a>, AccessPart<'a>),
}

/// What of a policy a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessPart<'a> {
    Whole,
    Entries,
    Entry(&'a str),
}

impl<'a> AgentPath<'a> {
    pub(crate) fn parse(rest: &'a str) -> Self {
        let rest = rest.trim_matches('/');
        if let Some(address) = rest.strip_suffix("/intents/stream") {
            return Self::Stream(address.trim_end_matches('/'));
        }
        let (before, part) = if let Some(before) = rest.strip_suffix("/entries") {
            (before, AccessPart::Entries)
        } else if let Some((before, id)) = rest.rsplit_once('/')
            && let Some(before) = before.strip_suffix("/entries")
        {
            (before, AccessPart::Entry(id))
        } else {
            (rest, AccessPart::Whole)
        };
        let subject = if let Some(address) = before.strip_suffix("/policy") {
            AccessSubject::Send(address.trim_end_matches('/'))
        } else if let Some(address) = before.strip_suffix("/receive-override") {
            AccessSubject::Override(address.trim_end_matches('/'))
        } else {
            return Self::Agent(rest);
        };
        Self::Access(subject, part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        normalise(text, "acme", "prod").unwrap()
    }

    #[test]
    fn every_form_of_one_address_is_the_same() {
        for form in [
            "agent://acme/prod/checker",
            "acme/prod/checker",
            "checker",
            "agent:/acme/prod/checker",
            " /acme/prod/checker/ ",
        ] {
            assert_eq!(normal(form), "agent://acme/prod/checker", "{form}");
        }
    }

    #[test]
    fn other_addresses_are_opaque() {
        assert_eq!(normal("agent://conformance/receiver"), "agent://conformance/receiver");
        assert_eq!(normal("conformance/receiver"), "agent://conformance/receiver");
        assert_eq!(normal("agent://alice"), "agent://alice");
        assert_eq!(parts("agent://conformance/receiver"), None);
        assert_eq!(parts("agent://agent_core"), None);
        assert_eq!(parts("agent://acme/prod/Checker"), None);
        assert_eq!(parts("agent://acme/prod/a/b"), None);
        assert_eq!(parts("agent://ac/prod/name"), None);
        let parts = parts("agent://acme/prod/check.er_1").unwrap();
        assert_eq!(
            (parts.organization, parts.workspace, parts.name),
            ("acme", "prod", "check.er_1")
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "  ", "agent://", "a b", "https://host/x", "agent://x\n/y", "agent://a//https://b"]
        {
            let error = normalise(text, "acme", "prod").unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidAgentAddress, "{text:?}");
        }
        assert!(normalise(&"x".repeat(400), "acme", "prod").is_err());
    }

    #[test]
    fn slugs_fit_an_address() {
        for (name, expected) in [
            ("Compliance Checker", "compliance-checker"),
            ("agent://other/ws/the-name", "the-name"),
            ("Ünï", "n-0"),
            ("--", "agent"),
            ("ab", "ab-0"),
            ("a", "a-0"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
            let address = format!("agent://acme/prod/{}", slug(name));
            assert!(parts(&address).is_some(), "{address}");
        }
        assert_eq!(agent_slug("check.er_1"), "check.er_1");
        assert_eq!(agent_slug("Check.er"), "check-er");
        assert!(slug(&"x".repeat(200)).len() <= 56);
    }

    #[test]
    fn suffixes_are_matched_before_the_address() {
        let parse = AgentPath::parse;
        assert_eq!(parse("acme/prod/a/intents/stream"), AgentPath::Stream("acme/prod/a"));
        assert_eq!(
            parse("agent://acme/prod/a/intents/stream/"),
            AgentPath::Stream("agent://acme/prod/a")
        );
        assert_eq!(parse("a/intents/stream"), AgentPath::Stream("a"));
        assert_eq!(parse("intents/stream"), AgentPath::Agent("intents/stream"));
        assert_eq!(parse("acme/prod/a"), AgentPath::Agent("acme/prod/a"));
        let (send, whole) = (AccessSubject::Send, AccessPart::Whole);
        assert_eq!(parse("a/policy"), AgentPath::Access(send("a"), whole));
        let raw = "agent://acme/prod/a";
        assert_eq!(parse("agent://acme/prod/a/policy"), AgentPath::Access(send(raw), whole));
        let entries = AgentPath::Access(AccessSubject::Override("a"), AccessPart::Entries);
        assert_eq!(parse("a/receive-override/entries"), entries);
        let entry = AgentPath::Access(send("acme/prod/a"), AccessPart::Entry("ent_1"));
        assert_eq!(parse("acme/prod/a/policy/entries/ent_1"), entry);
        for agent in ["policy", "acme/prod/entries", "acme/entries/x", "receive-override"] {
            assert_eq!(parse(agent), AgentPath::Agent(agent));
        }
    }
}
