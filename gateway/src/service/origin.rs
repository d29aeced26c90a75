//! How a request came and from where, for the audit trail of human decisions.

use std::net::IpAddr;

/// The way by which somebody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Channel {
    #[default]
    Api,
    Cli,
}

impl Channel {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Cli => "cli",
        }
    }

    /// Command lines say who they are; nobody has to.
    pub(crate) fn of(client: Option<&str>, user_agent: Option<&str>) -> Self {
        let is_cli = |name: &str| ["axme-cli", "axp/"].iter().any(|cli| name.starts_with(cli));
        if client.is_some_and(is_cli) || user_agent.is_some_and(is_cli) {
            Self::Cli
        } else {
            Self::Api
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Origin {
    pub(crate) channel: Channel,
    /// Absent where the protocol does not tell.
    pub(crate) peer: Option<IpAddr>,
}

impl Origin {
    /// The address as text; empty when it is not known.
    pub(crate) fn address(&self) -> String {
        self.peer.map(|peer| peer.to_canonical().to_string()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_known_by_their_names() {
        assert_eq!(Channel::of(Some("axme-cli/1.2"), Some("Go-http-client/1.1")), Channel::Cli);
        assert_eq!(Channel::of(None, Some("axp/0.1.0")), Channel::Cli);
        assert_eq!(Channel::of(Some("axme-sdk-go/0.2"), None), Channel::Api);
        assert_eq!(Channel::of(None, None), Channel::Api);
    }
}
