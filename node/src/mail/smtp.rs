//! Sending by SMTP.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use super::letter::Letter;
use super::{MailError, Mailer};

/// As much of a server's words as is kept.
const WORDS_MAX: usize = 300;

#[derive(Debug)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    timeout: Duration,
}

impl Smtp {
    /// # Errors
    /// When the URL is none that mail can be sent to; in words without the URL, which may hold a
    /// password.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, String> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| "is no SMTP URL".to_owned())?;
        Ok(Self { transport: builder.timeout(Some(timeout)).build(), timeout })
    }

    async fn attempt(&self, mail: Letter) -> Result<(), MailError> {
        let message = mail.message()?;
        match tokio::time::timeout(self.timeout, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(cause(&error)),
            Err(_) => Err(MailError::TimedOut),
        }
    }
}

impl Mailer for Smtp {
    fn send(&self, mail: Letter) -> BoxFuture<'_, Result<(), MailError>> {
        self.attempt(mail).boxed()
    }
}

fn cause(error: &SmtpError) -> MailError {
    let words: String = error.to_string().chars().take(WORDS_MAX).collect();
    if error.is_permanent() { MailError::Refused(words) } else { MailError::Unreachable(words) }
}
