//! Exit codes: a stable contract with scripts. A code is never given a second meaning.

use std::io;
use std::process::ExitCode;

use crate::api;

/// Shown at the end of `axp --help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0   success (of a watched intent: COMPLETED; of a cluster: healthy)
  1   anything not listed below
  2   wrong arguments
  3   the server cannot be reached, or the connection broke
  4   refused: the key is missing, wrong or not allowed to do this
  5   not found
  6   refused: conflict with the current state, or an invalid request
  7   the server is overloaded or has an internal problem; trying again can help
  8   the watched intent ended FAILED
  9   the cluster is degraded: it serves, but a node is missing or far behind
  10  the cluster is unavailable: a group has no leader, or no node answers
  11  the watched intent ended CANCELED
  12  the watched intent ended TIMED_OUT
  13  scenarios validate: the bundle is not valid
  14  doctor: something is wrong
  15  cluster verify: replicas of a group differ
  70  dev: a node's storage failed, and nothing more may be acknowledged
  130 interrupted (Ctrl-C) while watching; the intent itself goes on";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    Other = 1,
    Usage = 2,
    Unreachable = 3,
    Unauthorized = 4,
    NotFound = 5,
    Refused = 6,
    Unavailable = 7,
    Failed = 8,
    ClusterDegraded = 9,
    ClusterUnavailable = 10,
    Canceled = 11,
    TimedOut = 12,
    Invalid = 13,
    Unwell = 14,
    ReplicasDiffer = 15,
    StorageFailed = 70,
    Interrupted = 130,
}

/// Arguments that are each fine and do not make sense together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// What a node, and not the HTTP API, refused, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

impl Exit {
    /// Looks through the causes, so that context added on the way does not change the code.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if let Some(error) = cause.downcast_ref::<api::Error>() {
                return Self::of_api(error);
            }
            if cause.is::<Usage>() {
                return Self::Usage;
            }
            if cause.is::<Refused>() {
                return Self::Refused;
            }
            if let Some(error) = cause.downcast_ref::<io::Error>()
                && error.kind() == io::ErrorKind::BrokenPipe
            {
                return Self::Success;
            }
        }
        Self::Other
    }

    pub(crate) fn of_api(error: &api::Error) -> Self {
        match error {
            api::Error::Target(_) | api::Error::Request(_) => Self::Usage,
            api::Error::NoKey(_) => Self::Unauthorized,
            api::Error::Connect { .. }
            | api::Error::Tls(_)
            | api::Error::Broken(_)
            | api::Error::Timeout(_) => Self::Unreachable,
            api::Error::NotTheContract(_) => Self::Other,
            api::Error::Refused(refusal) => Self::of_status(refusal.status),
        }
    }

    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            200..300 => Self::Success,
            401 | 403 => Self::Unauthorized,
            404 => Self::NotFound,
            429 | 500.. => Self::Unavailable,
            _ => Self::Refused,
        }
    }

    /// Of an intent's status; `None` while it has not ended.
    pub(crate) fn of_outcome(status: &str) -> Option<Self> {
        match status {
            "COMPLETED" => Some(Self::Success),
            "FAILED" => Some(Self::Failed),
            "CANCELED" => Some(Self::Canceled),
            "TIMED_OUT" => Some(Self::TimedOut),
            _ => None,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn refused(status: u16) -> anyhow::Error {
        let refusal = api::Refusal { status, ..api::Refusal::default() };
        Err::<(), _>(api::Error::Refused(Box::new(refusal))).context("submitting").unwrap_err()
    }

    #[test]
    fn a_refusal_keeps_its_code_under_context() {
        let codes: Vec<_> = [401, 403, 404, 409, 422, 429, 500, 503]
            .map(|status| Exit::of(&refused(status)) as u8)
            .into();
        assert_eq!(codes, [4, 4, 5, 6, 6, 7, 7, 7]);
    }

    #[test]
    fn the_reference_has_every_code_and_no_other() {
        let first = |line: &str| line.split_whitespace().next()?.parse::<u8>().ok();
        let told: Vec<_> = HELP.lines().skip(1).filter_map(first).collect();
        let reference = include_str!("../../docs/cli.md");
        let row = |line: &str| first(line.strip_prefix("| ")?);
        let listed: Vec<_> = reference.lines().filter_map(row).collect();
        assert_eq!(told, listed);
        let ends = ["COMPLETED", "FAILED", "CANCELED", "TIMED_OUT", "WAITING"];
        let codes = ends.map(|status| Exit::of_outcome(status).map(|exit| exit as u8));
        assert_eq!(codes, [Some(0), Some(8), Some(11), Some(12), None]);
    }

    #[test]
    fn a_closed_pipe_is_success() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(Exit::of(&error.context("writing")), Exit::Success);
    }
}
