//! What can go wrong in this crate. Storage errors are final for the process: see `failure.rs`.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} ({engine} engine)")]
    Engine {
        engine: &'static str,
        action: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is in use by another process", path.display())]
    Locked { path: PathBuf },
    #[error("{} cannot be used: {reason}", path.display())]
    Format { path: PathBuf, reason: String },
    /// Stored bytes are damaged. Never repaired by guessing: the replica has to leave and be replaced.
    #[error("damaged data: {0}")]
    Corrupt(String),
    #[error("cannot read {what} from its wire form: {reason}")]
    Wire { what: &'static str, reason: String },
    #[error("snapshot refused: {0}")]
    Snapshot(String),
    /// A write or sync failed before; nothing is acknowledged any more.
    #[error("storage has failed: {0}")]
    Failed(String),
    /// The applier refused an entry; the replica stops.
    #[error("cannot apply an entry")]
    Applier(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("group {0} is open already")]
    GroupOpen(axp_proto::ids::GroupId),
    #[error("storage is closed")]
    Closed,
}

impl Error {
    /// Wraps an applier's own error.
    pub fn applier(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Applier(source.into())
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// The error and all its causes in one line, for logs and for `Store::failed`.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}
