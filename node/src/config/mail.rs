//! Section `mail`: telling people by e-mail that their answer is waited for.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, at_least};

/// Where mail goes, who it is from, and where its links lead.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MailConfig {
    /// The mail server, as smtp://user:password@host:587?tls=required or smtps://host. Empty: mail is
    /// written into the folder `mail-outbox` beside the data, and nobody gets it.
    pub smtp_url: String,
    /// The sender.
    pub from: String,
    /// What links start with: where people reach a gateway.
    pub public_url: String,
    /// How long one attempt may take.
    pub timeout_ms: u64,
    /// Pauses before the second, third ... attempt. After one more a mail is given up.
    pub retry_ms: Vec<u64>,
    /// Mails that the folder keeps; the oldest go first.
    pub outbox_max: u32,
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            smtp_url: String::new(),
            from: "AXP <axp@localhost>".to_owned(),
            public_url: "http://127.0.0.1:8100".to_owned(),
            timeout_ms: 20_000,
            retry_ms: vec![30_000, 120_000, 600_000, 3_600_000],
            outbox_max: 1_000,
        }
    }
}

/// Without the password that the URL may hold.
impl fmt::Debug for MailConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailConfig")
            .field("from", &self.from)
            .field("public_url", &self.public_url)
            .finish_non_exhaustive()
    }
}

impl MailConfig {
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        at_least("mail.timeout-ms", self.timeout_ms, 100)?;
        at_least("mail.outbox-max", self.outbox_max.into(), 1)?;
        let url = &self.public_url;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let fix =
                "set the URL at which people reach a gateway, such as https://axp.example.com";
            return Err(Error::invalid("mail.public-url", format!("is {url:?}"), fix));
        }
        if self.retry_ms.is_empty() || self.retry_ms.contains(&0) {
            let problem = format!("is {:?}", self.retry_ms);
            return Err(Error::invalid("mail.retry-ms", problem, "set one pause or more, above 0"));
        }
        crate::mail::check(self).map_err(|(key, problem)| {
            Error::invalid(key, problem, "see node/config/example.toml for the form")
        })
    }
}
