//! Nicks: how they are written, and who holds one.

use axp_proto::error_code::ErrorCode;
use axp_proto::node::{Nick as NickRow, User};

use super::USERS;
use super::take::{cancel, user_home};
use crate::clock;
use crate::cluster::{Records, Stored, change, removal};
use crate::error::ApiError;
use crate::json::Reader;
use crate::service::{Call, Service};

pub(super) const NICKS: &str = "nick";
pub(super) const RULE: &str = "must be 3 to 32 of a-z, 0-9, _ . - with @ before them";
/// How long an attempt to take a nick is left alone. Not what safety rests on, see `take.rs`.
pub(super) const PATIENCE_MS: i64 = 10_000;
const ATTEMPTS_MAX: u32 = 16;

/// A nick as it was asked for, and the form in which it is unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nick {
    shown: String,
}

impl Nick {
    /// Absent for what cannot be one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let name = text.strip_prefix('@').unwrap_or(text);
        let fits = (3..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        fits.then(|| Self { shown: format!("@{name}") })
    }

    pub(in crate::service) fn read(reader: &mut Reader<'_>, required: bool) -> Option<Self> {
        let text = match required {
            true => reader.required_string("nick", 1, 64),
            false => reader.string("nick", 1, 64),
        }?;
        let nick = Self::parse(&text);
        if nick.is_none() {
            reader.problem("nick", RULE, "value_error");
        }
        nick
    }

    /// With `@`, upper and lower case as asked for.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Without `@`, in lower case.
    pub(crate) fn normalized(&self) -> String {
        self.shown[1..].to_ascii_lowercase()
    }

    pub(crate) fn public_address(&self) -> String {
        format!("{}@ax", self.normalized())
    }

    pub(in crate::service) fn is_of(&self, user: &User) -> bool {
        Self::same(&user.nick, &self.shown)
    }

    pub(super) fn is_pending_of(&self, user: &User) -> bool {
        user.pending.as_ref().is_some_and(|pending| Self::same(&pending.nick, &self.shown))
    }

    fn same(a: &str, b: &str) -> bool {
        a.eq_ignore_ascii_case(b)
    }
}

/// What stands behind a nick's row.
enum Holder {
    Nobody,
    User,
    /// Somebody who began to take it and did not come back.
    Stuck(Box<Stored<User>>),
}

impl Service {
    pub(super) fn nicks(&self, call: &Call, nick: &Nick) -> Records<'_> {
        self.records(call, "", format!("nick/{}", nick.normalized()))
    }

    /// The user who holds a nick or is just taking it.
    pub(super) async fn holder(
        &self,
        call: &Call,
        nick: &Nick,
    ) -> Result<Option<String>, ApiError> {
        let key = nick.normalized();
        let row: Option<Stored<NickRow>> = self.nicks(call, nick).get(NICKS, &key).await?;
        let Some(row) = row else { return Ok(None) };
        let user_id = row.row.value.user_id;
        let held = matches!(self.behind(call, nick, &user_id).await?, Holder::User);
        Ok(held.then_some(user_id))
    }

    /// A row is as good as what its user says: the row alone may be left over.
    async fn behind(&self, call: &Call, nick: &Nick, user_id: &str) -> Result<Holder, ApiError> {
        let users = self.records(call, "", user_home(user_id));
        let user: Option<Stored<User>> = users.get(USERS, user_id).await?;
        let Some(user) = user else { return Ok(Holder::Nobody) };
        if nick.is_of(&user.row.value) {
            return Ok(Holder::User);
        }
        if !nick.is_pending_of(&user.row.value) {
            return Ok(Holder::Nobody);
        }
        let since = user.row.value.pending.as_ref().map_or(0, |pending| pending.since_ms);
        let fresh = clock::now_ms().abs_diff(since) < PATIENCE_MS.unsigned_abs();
        Ok(if fresh { Holder::User } else { Holder::Stuck(Box::new(user)) })
    }

    /// Makes the row of a nick name a user. Always writes, also what is there already: whoever
    /// looked at the row before is refused then.
    ///
    /// # Errors
    /// 409 when another user has the nick.
    pub(super) async fn claim(
        &self,
        call: &Call,
        nick: &Nick,
        user_id: &str,
    ) -> Result<(), ApiError> {
        let key = nick.normalized();
        let nicks = self.nicks(call, nick);
        for _ in 0..ATTEMPTS_MAX {
            let row: Option<Stored<NickRow>> = nicks.get(NICKS, &key).await?;
            if let Some(row) = &row
                && row.row.value.user_id != user_id
            {
                match self.behind(call, nick, &row.row.value.user_id).await? {
                    Holder::User => return Err(taken()),
                    Holder::Stuck(user) => {
                        let users = self.records(call, "", user_home(&row.row.value.user_id));
                        if users.commit(vec![cancel(&user)]).await?.is_none() {
                            continue;
                        }
                    }
                    Holder::Nobody => {}
                }
            }
            let revision = row.map_or(0, |row| row.row.revision);
            let claimed = NickRow { user_id: user_id.to_owned() };
            if nicks.commit(vec![change(NICKS, &key, revision, &claimed, None)]).await?.is_some() {
                return Ok(());
            }
        }
        Err(ApiError::unavailable("too many writers want this nick"))
    }

    /// Deletes the row of a nick that a user has no more. Nothing is lost if this does not happen:
    /// such a row holds nobody up.
    pub(super) async fn release(
        &self,
        call: &Call,
        nick: &Nick,
        user_id: &str,
    ) -> Result<(), ApiError> {
        let key = nick.normalized();
        let nicks = self.nicks(call, nick);
        // The row first: who takes the nick again meanwhile writes it anew, and we are refused.
        let row: Option<Stored<NickRow>> = nicks.get(NICKS, &key).await?;
        if let Some(row) = row.filter(|row| row.row.value.user_id == user_id)
            && matches!(self.behind(call, nick, user_id).await?, Holder::Nobody)
        {
            nicks.commit(vec![removal(NICKS, &key, row.row.revision)]).await?;
        }
        Ok(())
    }
}

pub(super) fn taken() -> ApiError {
    ApiError::new(ErrorCode::AlreadyExists, "the nick is taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicks_are_unique_without_case_and_shown_with_it() {
        let nick = Nick::parse(" @Invite.Conformance.User ").unwrap();
        assert_eq!(nick.shown(), "@Invite.Conformance.User");
        assert_eq!(nick.normalized(), "invite.conformance.user");
        assert_eq!(nick.public_address(), "invite.conformance.user@ax");
        assert_eq!(Nick::parse("a_b-c").unwrap().shown(), "@a_b-c");
        let user = User { nick: "@invite.conformance.USER".to_owned(), ..User::default() };
        assert!(nick.is_of(&user) && !nick.is_pending_of(&user));
    }

    #[test]
    fn what_cannot_be_a_nick_is_none() {
        for text in ["", "@", "ab", "@@abc", "a b c", "abc!", "\u{fc}bel", &"a".repeat(33)] {
            assert_eq!(Nick::parse(text), None, "{text}");
        }
    }
}
