//! A parcel that goes by mail: a link is made, its hash committed to the intent, the mail sent.
//!
//! ```text
//! is it still asked for? -> claim -> AddLink (the hash) -> send -> remove, again later, or bury
//! ```
//!
//! A crash between two of these leaves a link that nobody has, or a mail that comes twice; never a mail
//! whose link is not known.

use axp_proto::ids::IntentId;
use axp_proto::log::{Mail, Parcel, ParcelState, TaskLink, TaskLinkState, TimerKind};
use axp_proto::task::LinkToken;
use tokio::time::Instant;

use super::{Attempt, count, names, retry};
use crate::intent::{Command, Intent, Task, current};
use crate::mail::{self, MailError};
use crate::shard::handle::{ExecuteError, storage};

/// How long a link is good, if nothing ends it before.
const LINK_MS: i64 = 7 * 24 * 60 * 60 * 1000;

impl Attempt {
    pub(super) async fn mail(&self, parcel: &Parcel, mail: &Mail) -> Result<(), ExecuteError> {
        let Some((intent, task)) = self.asked(parcel, mail)? else {
            return self.remove(parcel).await;
        };
        let timeout = self.push.mail.timeout();
        let Some(claimed) = self.claim(parcel, timeout).await? else { return Ok(()) };
        let token = LinkToken { intent_id: intent.id, secret: rand::random() };
        let expires_at_ms = expiry(&intent, self.shard.clock.now_ms());
        let link = TaskLink {
            hash: token.hash(),
            recipient: mail.recipient.clone(),
            task: mail.task,
            expires_at_ms,
            state: TaskLinkState::Open.into(),
        };
        match self.execute(intent.id, Command::AddLink(link)).await {
            Ok(_) => {}
            // Decided, or passed on, since we looked.
            Err(ExecuteError::Rejected(_)) => return self.remove(&claimed).await,
            Err(error) => return Err(error),
        }
        let times = (&token, expires_at_ms, parcel.queued_at_ms);
        let letter = mail::compose(&self.push.mail, &intent, &task, mail, times);
        let began = Instant::now();
        let sent = self.push.mailer.send(letter).await;
        metrics::histogram!(names::ATTEMPT_SECONDS).record(began.elapsed().as_secs_f64());
        match sent {
            Ok(()) => {
                count(parcel, "delivered");
                self.remove(&claimed).await
            }
            Err(error) => {
                count(parcel, error.label());
                self.mail_failed(&claimed, &error).await
            }
        }
    }

    /// The intent and its task, while the mail's recipient is asked.
    fn asked(&self, parcel: &Parcel, mail: &Mail) -> Result<Option<(Intent, Task)>, ExecuteError> {
        let Ok(id) = IntentId::from_slice(&parcel.intent_id) else { return Ok(None) };
        let intent = self.shard.reader().intent(id).map_err(storage)?;
        Ok(intent.and_then(|intent| {
            let task = current(&intent).filter(|task| task.number == mail.task)?;
            Some((intent, task))
        }))
    }

    async fn mail_failed(&self, parcel: &Parcel, error: &MailError) -> Result<(), ExecuteError> {
        let config = &self.push.mail;
        let failures = parcel.failures + 1;
        let parcel = Parcel { failures, ..parcel.clone() };
        tracing::warn!(%error, failures, "a mail could not be sent");
        if error.is_final() || failures > u32::try_from(config.retry_ms.len()).unwrap_or(u32::MAX) {
            return self.bury(&parcel, &error.to_string()).await;
        }
        let now_ms = self.shard.clock.now_ms();
        let jitter = self.push.config.retry_jitter;
        let pause = retry::pause_ms(&config.retry_ms, jitter, failures, rand::random());
        let again = Parcel {
            state: ParcelState::Queued.into(),
            due_at_ms: now_ms + pause,
            changed_at_ms: now_ms,
            last_error: error.to_string(),
            ..parcel.clone()
        };
        self.change(&parcel, again).await.map(drop)
    }
}

/// A link ends with the time that there is for the answer.
fn expiry(intent: &Intent, now_ms: i64) -> i64 {
    let ends = [TimerKind::Deadline, TimerKind::Execution];
    let first = ends.into_iter().filter_map(|kind| intent.timer(kind)).min();
    first.unwrap_or(i64::MAX).min(now_ms.saturating_add(LINK_MS))
}
