//! Mail to people whose answer is waited for: what it says, and how it leaves this node. When it is
//! sent, and what happens if that fails, is decided where parcels are worked on (`push/attempt`).

mod letter;
mod outbox;
mod smtp;

use std::fmt;
use std::path::Path;

use futures_util::future::BoxFuture;
use lettre::message::Mailbox;

pub use self::letter::{Letter, compose};
pub use self::outbox::Outbox;
pub use self::smtp::Smtp;
use crate::config::MailConfig;

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// It can never be sent as it is.
    #[error("the mail server refuses it: {0}")]
    Refused(String),
    #[error("the mail server could not be reached or is busy: {0}")]
    Unreachable(String),
    #[error("the mail server did not answer in time")]
    TimedOut,
    #[error("the outbox folder cannot be written: {0}")]
    Folder(String),
    #[error("the mail cannot be composed: {0}")]
    Unsendable(String),
}

impl MailError {
    /// Whether another attempt can do better.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unsendable(_))
    }

    /// For metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Folder(_) => "folder",
            Self::Unsendable(_) => "unsendable",
        }
    }
}

/// Hands mail to whoever carries it on.
pub trait Mailer: fmt::Debug + Send + Sync + 'static {
    fn send(&self, mail: Letter) -> BoxFuture<'_, Result<(), MailError>>;
}

/// The mailer of a configuration that was checked.
///
/// # Errors
/// As [`check`].
pub fn mailer(config: &MailConfig, data_dir: &Path) -> Result<Box<dyn Mailer>, String> {
    if config.smtp_url.is_empty() {
        return Ok(Box::new(Outbox::new(data_dir, config.outbox_max as usize)));
    }
    Ok(Box::new(Smtp::new(&config.smtp_url, config.timeout())?))
}

/// Whether mail can be sent with a configuration.
///
/// # Errors
/// The key that is wrong, and how.
pub fn check(config: &MailConfig) -> Result<(), (&'static str, String)> {
    config.from.parse::<Mailbox>().map_err(|error| ("mail.from", error.to_string()))?;
    if !config.smtp_url.is_empty() {
        Smtp::new(&config.smtp_url, config.timeout())
            .map_err(|problem| ("mail.smtp-url", problem))?;
    }
    Ok(())
}
