//! People as the API knows them: a user with a nick that no other user of the server has (contract,
//! users-invites-media-schemas.md).
//!
//! A user and a nick are records of different homes, so that both can be found without a list of
//! all. Which of them decides, and when, is told in `take.rs`.

mod nick;
mod take;

use axp_proto::node::{Nick as NickRow, User};
use bytes::Bytes;
use serde_json::Value;

pub(crate) use self::nick::Nick;
pub(super) use self::take::{Acceptance, Taking, user_home};
use super::{Call, Service};
use crate::clock;
use crate::cluster::{Plan, Stored, change};
use crate::error::ApiError;
use crate::json::Reader;
use crate::model::{NickCheck, NickResolved, Profile, Registered, Renamed};

pub(super) const USERS: &str = "user";
const OWNER: &str = "user/";

/// What is told of a user beside the nick; what is absent stays as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Details {
    pub(super) display_name: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) email: Option<String>,
}

impl Details {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            display_name: reader.string("display_name", 1, 120),
            phone: reader.string("phone", 3, 32),
            email: reader.string("email", 3, 255),
        }
    }

    fn apply(&self, user: &mut User) {
        let set = |field: &mut String, value: &Option<String>| {
            if let Some(value) = value {
                field.clone_from(value);
            }
        };
        set(&mut user.display_name, &self.display_name);
        set(&mut user.phone, &self.phone);
        set(&mut user.email, &self.email);
    }
}

impl Service {
    /// Whether a nick is free.
    ///
    /// # Errors
    /// 422 for what cannot be a nick.
    pub(crate) async fn check_nick(
        &self,
        call: &Call,
        nick: Option<&str>,
    ) -> Result<NickCheck, ApiError> {
        let nick = query_nick(nick)?;
        let available = self.holder(call, &nick).await?.is_none();
        Ok(NickCheck::new(&nick, available))
    }

    /// Registers a user under a nick.
    ///
    /// # Errors
    /// 409 when the nick is taken, 422 for a bad body.
    pub(crate) async fn register_nick(&self, call: &Call, body: &Bytes) -> Result<Value, ApiError> {
        let mut reader = Reader::new(body)?;
        let nick = Nick::read(&mut reader, true);
        let details = Details::read(&mut reader);
        reader.finish()?;
        let nick = nick.ok_or_else(ApiError::internal)?;
        self.once(call, "POST /v1/users/register-nick", body, |seed| async move {
            let user_id = seed.to_string();
            let taking = Taking::new(&user_id, seed, nick, details);
            let user = self.take_nick(call, taking.creating()).await?;
            Ok(Registered::new(&user))
        })
        .await
    }

    /// Gives a user another nick; the old one is free afterwards.
    ///
    /// # Errors
    /// 404 for a user that is none of the workspace's, 409 when the nick is taken.
    pub(crate) async fn rename_nick(&self, call: &Call, body: &Bytes) -> Result<Value, ApiError> {
        let mut reader = Reader::new(body)?;
        let owner = reader.required_string("owner_agent", 3, 255).unwrap_or_default();
        let nick = Nick::read(&mut reader, true);
        let details = Details::read(&mut reader);
        reader.finish()?;
        let nick = nick.ok_or_else(ApiError::internal)?;
        let user_id = user_id(&owner).ok_or_else(unknown_user)?;
        self.once(call, "POST /v1/users/rename-nick", body, |seed| async move {
            let taking = Taking::new(&user_id, seed, nick, details);
            Ok(Renamed::new(&self.take_nick(call, taking).await?))
        })
        .await
    }

    /// A user of the caller's workspace.
    ///
    /// # Errors
    /// 404 for any other.
    pub(crate) async fn profile(
        &self,
        call: &Call,
        owner: Option<&str>,
    ) -> Result<Profile, ApiError> {
        let missing = || ApiError::invalid(&["query", "owner_agent"], "field required", "missing");
        let user_id = user_id(owner.ok_or_else(missing)?).ok_or_else(unknown_user)?;
        let users = self.records(call, "", user_home(&user_id));
        let user: Option<Stored<User>> = users.get(USERS, &user_id).await?;
        let user = user.filter(|user| is_own(call, &user.row.value)).ok_or_else(unknown_user)?;
        Ok(Profile::new(&user.row.value))
    }

    /// Changes what is told of a user, and the nick if one is named.
    ///
    /// # Errors
    /// As [`Self::rename_nick`].
    pub(crate) async fn update_profile(
        &self,
        call: &Call,
        body: &Bytes,
    ) -> Result<Value, ApiError> {
        let mut reader = Reader::new(body)?;
        let owner = reader.required_string("owner_agent", 3, 255).unwrap_or_default();
        let nick = Nick::read(&mut reader, false);
        let details = Details::read(&mut reader);
        reader.finish()?;
        let user_id = user_id(&owner).ok_or_else(unknown_user)?;
        self.once(call, "POST /v1/users/profile/update", body, |seed| async move {
            let user = match nick {
                Some(nick) => {
                    self.take_nick(call, Taking::new(&user_id, seed, nick, details)).await?
                }
                None => self.update_user(call, &user_id, &details).await?,
            };
            Ok(Profile::new(&user))
        })
        .await
    }

    async fn update_user(
        &self,
        call: &Call,
        user_id: &str,
        details: &Details,
    ) -> Result<User, ApiError> {
        let users = self.records(call, "", user_home(user_id));
        users
            .transact(USERS, user_id, |known: Option<Stored<User>>| {
                let known = known
                    .filter(|known| is_own(call, &known.row.value))
                    .ok_or_else(unknown_user)?;
                let mut user = known.row.value;
                details.apply(&mut user);
                user.updated_at_ms = clock::now_ms();
                let changes = vec![change(USERS, user_id, known.row.revision, &user, None)];
                Ok(Plan::Commit { changes, then: user })
            })
            .await
    }

    /// Who has a nick. Telephone and mail are told within the organization only.
    ///
    /// # Errors
    /// 422 for what cannot be a nick.
    pub(crate) async fn resolve_nick(
        &self,
        call: &Call,
        nick: Option<&str>,
    ) -> Result<NickResolved, ApiError> {
        let nick = query_nick(nick)?;
        let key = nick.normalized();
        let row: Option<Stored<NickRow>> = self.nicks(call, &nick).get(nick::NICKS, &key).await?;
        let user = match row {
            None => None,
            Some(row) => {
                let user_id = row.row.value.user_id;
                self.records(call, "", user_home(&user_id)).get(USERS, &user_id).await?
            }
        };
        let user = user.map(|user: Stored<User>| user.row.value).filter(|user| nick.is_of(user));
        let inside = user.as_ref().is_some_and(|user| user.org_id == call.caller.org_id());
        Ok(NickResolved::new(&nick, user.as_ref(), inside))
    }
}

fn query_nick(nick: Option<&str>) -> Result<Nick, ApiError> {
    let location = ["query", "nick"];
    let nick = nick.ok_or_else(|| ApiError::invalid(&location, "field required", "missing"))?;
    Nick::parse(nick).ok_or_else(|| ApiError::invalid(&location, nick::RULE, "value_error"))
}

/// The address under which a user acts.
pub(crate) fn user_address(user_id: &str) -> String {
    format!("agent://{OWNER}{user_id}")
}

/// The user whose address this is.
fn user_id(address: &str) -> Option<String> {
    let address = address.trim();
    let rest = address.strip_prefix("agent://").unwrap_or(address);
    let id = uuid::Uuid::try_parse(rest.strip_prefix(OWNER)?).ok()?;
    Some(id.to_string())
}

/// A user that is being registered is nobody's yet.
fn is_own(call: &Call, user: &User) -> bool {
    !user.nick.is_empty()
        && user.workspace_id == call.caller.workspace_id()
        && user.org_id == call.caller.org_id()
}

fn unknown_user() -> ApiError {
    ApiError::not_found("user not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_address() {
        let id = "6f2c1a34-8f0e-4c3a-9d55-0123456789ab";
        for address in [user_address(id), format!("user/{id}"), format!(" agent://user/{id} ")] {
            assert_eq!(user_id(&address).as_deref(), Some(id), "{address}");
        }
        for address in ["agent://user/1", "agent://acme/prod/user", id, ""] {
            assert_eq!(user_id(address), None, "{address}");
        }
    }
}
