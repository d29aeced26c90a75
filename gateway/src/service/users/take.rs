//! A user takes a nick: two records that lie apart become one change.
//!
//! ```text
//! 1. user.pending = nick     only one attempt at a time      -> revision r of the user
//! 2. nick -> user            unless another user has it
//! 3. user.nick = nick        at revision r, pending gone
//! 4. the old nick's row is deleted
//! ```
//!
//! A row of step 2 counts as long as its user names the nick, as its own or as pending. Whoever wants
//! the nick of a user that does neither writes over the row at the revision that it read *before* it
//! looked at the user; step 2 of a new attempt writes the row anew, so one of both is refused. Whoever
//! finds a pending nick that nobody comes back for takes it away from the user, which makes step 3
//! fail. So a crash after any step leaves what the next one who cares can go on from, and no clock
//! decides who has a nick.

use axp_proto::error_code::ErrorCode;
use axp_proto::log::RecordChange;
use axp_proto::node::{Invite, PendingNick, User};
use bytes::Bytes;
use tokio::time::{Duration, sleep};
use uuid::Uuid;

use super::nick::{Nick, PATIENCE_MS};
use super::{Details, USERS, is_own, unknown_user};
use crate::clock;
use crate::cluster::{Records, Stored, change, removal};
use crate::error::ApiError;
use crate::service::invites::{INVITES, acceptable, accepted};
use crate::service::{Call, Service};

/// A user without a nick is deleted after this.
const UNFINISHED_MS: i64 = 10 * 60 * 1000;
const PAUSE: Duration = Duration::from_millis(20);

pub(in crate::service) fn user_home(user_id: &str) -> String {
    format!("user/{user_id}")
}

/// An invite that is accepted in the same moment in which the user gets the nick.
#[derive(Debug, Clone)]
pub(in crate::service) struct Acceptance {
    pub(in crate::service) token: String,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub(in crate::service) struct Taking<'a> {
    user_id: &'a str,
    attempt: Bytes,
    nick: Nick,
    details: Details,
    creates: bool,
    acceptance: Option<Acceptance>,
}

impl<'a> Taking<'a> {
    /// `attempt` is the same when the same request comes again, and no other's.
    pub(in crate::service) fn new(
        user_id: &'a str,
        attempt: Uuid,
        nick: Nick,
        details: Details,
    ) -> Self {
        let attempt = Bytes::copy_from_slice(attempt.as_bytes());
        Self { user_id, attempt, nick, details, creates: false, acceptance: None }
    }

    /// The user is made by this.
    pub(in crate::service) fn creating(mut self) -> Self {
        self.creates = true;
        self
    }

    /// The user is made by accepting an invite.
    pub(in crate::service) fn accepting(mut self, acceptance: Acceptance) -> Self {
        self.acceptance = Some(acceptance);
        self.creating()
    }
}

/// What step 1 came to.
enum Begun {
    Done(User),
    /// The user as it stands now, and the invite that it comes from.
    Pending(Box<Stored<User>>, Option<Stored<Invite>>),
    /// Somebody else is at it.
    Busy,
}

impl Service {
    /// Gives a user a nick; all or nothing, see above.
    ///
    /// # Errors
    /// 409 when the nick is taken or the invite is used up, 404 for an unknown user.
    pub(in crate::service) async fn take_nick(
        &self,
        call: &Call,
        taking: Taking<'_>,
    ) -> Result<User, ApiError> {
        let users = self.records(call, "", user_home(taking.user_id));
        while !call.deadline.is_over() {
            let (user, invite) = match begin(&users, call, &taking).await? {
                Begun::Done(user) => return Ok(user),
                Begun::Pending(user, invite) => (user, invite),
                Begun::Busy => {
                    sleep(PAUSE.mul_f64(0.5 + rand::random::<f64>())).await;
                    continue;
                }
            };
            if let Err(error) = self.claim(call, &taking.nick, taking.user_id).await {
                // As it was before; if this fails too, the next one waits for a moment.
                users.commit(vec![cancel(&user)]).await.ok();
                return Err(error);
            }
            let old = Nick::parse(&user.row.value.nick);
            let (wanted, changes) = finish(&taking, *user, invite);
            if users.commit(changes).await?.is_none() {
                // Our own lost answer, or a change from outside: the next round tells.
                continue;
            }
            if let Some(old) = old.filter(|old| !old.is_of(&wanted)) {
                self.release(call, &old, taking.user_id).await.ok();
            }
            return Ok(wanted);
        }
        Err(ApiError::new(ErrorCode::Conflict, "another request changes the same user"))
    }
}

async fn begin(users: &Records<'_>, call: &Call, taking: &Taking<'_>) -> Result<Begun, ApiError> {
    let invite: Option<Stored<Invite>> = match &taking.acceptance {
        Some(acceptance) => users.get(INVITES, &acceptance.token).await?,
        None => None,
    };
    let known: Option<Stored<User>> = users.get(USERS, taking.user_id).await?;
    if taking.acceptance.is_some() {
        let invite = acceptable(invite.as_ref())?;
        if !invite.accepted_by.is_empty() {
            let ours = invite.accepted_by == taking.attempt;
            let user = known.map(|known| known.row.value).filter(|_| ours);
            return user.map(Begun::Done).ok_or_else(crate::service::invites::used_up);
        }
    }
    let now = clock::now_ms();
    let (revision, mut user) = match known {
        Some(known) => {
            let (revision, user) = (known.row.revision, known.row.value);
            if taking.creates && !user.nick.is_empty() {
                // With an invite that decides who made the user, and it was read before.
                let made_by_invite = taking.acceptance.is_some();
                return Ok(if made_by_invite { Begun::Busy } else { Begun::Done(user) });
            }
            if !taking.creates && !is_own(call, &user) {
                return Err(unknown_user());
            }
            (revision, user)
        }
        None if taking.creates => (0, new_user(call, taking.user_id, now)),
        None => return Err(unknown_user()),
    };
    if let Some(pending) = &user.pending
        && pending.attempt != taking.attempt
        && now.abs_diff(pending.since_ms) < PATIENCE_MS.unsigned_abs()
    {
        return Ok(Begun::Busy);
    }
    user.pending = Some(PendingNick {
        nick: taking.nick.shown().to_owned(),
        attempt: taking.attempt.clone(),
        since_ms: now,
    });
    // A user with a nick stays; one that gets none is nobody.
    let expire_at_ms = user.nick.is_empty().then_some(now + UNFINISHED_MS);
    let changes = vec![change(USERS, taking.user_id, revision, &user, expire_at_ms)];
    Ok(match users.commit(changes).await? {
        Some(revision) => {
            let row = crate::cluster::Versioned { revision, value: user };
            let id = taking.user_id.to_owned();
            Begun::Pending(Box::new(Stored { id, row, expire_at_ms }), invite)
        }
        None => Begun::Busy,
    })
}

fn new_user(call: &Call, user_id: &str, now: i64) -> User {
    User {
        user_id: user_id.to_owned(),
        org_id: call.caller.org_id().to_owned(),
        workspace_id: call.caller.workspace_id().to_owned(),
        created_at_ms: now,
        ..User::default()
    }
}

/// The user with its nick, and what makes it so.
fn finish(
    taking: &Taking<'_>,
    user: Stored<User>,
    invite: Option<Stored<Invite>>,
) -> (User, Vec<RecordChange>) {
    let now = clock::now_ms();
    let mut wanted = user.row.value;
    taking.nick.shown().clone_into(&mut wanted.nick);
    wanted.pending = None;
    wanted.updated_at_ms = now;
    taking.details.apply(&mut wanted);
    let mut changes = vec![change(USERS, taking.user_id, user.row.revision, &wanted, None)];
    changes.extend(invite.map(|invite| accepted(invite, &taking.nick, &taking.attempt, now)));
    (wanted, changes)
}

/// Takes a pending nick away from its user; a user who has no other is gone.
pub(super) fn cancel(user: &Stored<User>) -> RecordChange {
    if user.row.value.nick.is_empty() {
        return removal(USERS, &user.id, user.row.revision);
    }
    let without = User { pending: None, ..user.row.value.clone() };
    change(USERS, &user.id, user.row.revision, &without, None)
}
