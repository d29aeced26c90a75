//! Query parameters: present but empty means absent; wrong ones are named.

use axp_proto::log::Status;
use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;

use crate::error::ApiError;

#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(uri: &Uri) -> Result<Self, ApiError> {
        let Query(pairs) = Query::try_from_uri(uri)
            .map_err(|_| ApiError::bad_request("the query string cannot be read"))?;
        Ok(Self(pairs))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(key, _)| key == name)?.1.trim();
        (!value.is_empty()).then_some(value)
    }

    /// A number that is at least 0; what is beyond 32 bits is cut to them, as nothing is there.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, ApiError> {
        const MOST: u32 = i32::MAX as u32;
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse::<u64>() {
            Ok(number) => Ok(Some(u32::try_from(number).map_or(MOST, |number| number.min(MOST)))),
            Err(_) => Err(invalid(name, "must be an integer of 0 or more")),
        }
    }

    /// At most how many items, within what the route allows.
    pub(super) fn limit(&self, default: u32, most: u32) -> Result<u32, ApiError> {
        Ok(self.number("limit")?.unwrap_or(default).clamp(1, most))
    }

    /// A parameter that is `true`, `false` or absent.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(invalid(name, "must be true or false")),
        }
    }

    /// `wait_seconds`, 1 to 60.
    pub(super) fn wait_seconds(&self) -> Result<Option<u32>, ApiError> {
        Ok(self.number("wait_seconds")?.map(|seconds| seconds.clamp(1, 60)))
    }

    /// A comma list of statuses; `pending` and `active` stand for all that are not terminal.
    pub(super) fn statuses(&self) -> Result<Statuses, ApiError> {
        let mut statuses = Statuses::default();
        let words = self.get("status").into_iter().flat_map(|list| list.split(','));
        let words: Vec<_> = words.map(str::trim).filter(|word| !word.is_empty()).collect();
        statuses.only_pending = !words.is_empty() && words.iter().all(|&word| word == "pending");
        for word in words {
            match word {
                "pending" | "active" => {
                    statuses.pending |= word == "pending";
                    statuses.list.extend(Status::ALL.into_iter().filter(|it| !it.is_terminal()));
                }
                _ => {
                    let status = Status::from_wire_name(&word.to_ascii_uppercase());
                    let status = status.ok_or_else(|| invalid("status", "is no status"))?;
                    statuses.list.push(status);
                }
            }
        }
        statuses.list.sort_unstable();
        statuses.list.dedup();
        Ok(statuses)
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Statuses {
    pub(super) list: Vec<Status>,
    /// The word of agents that poll: what waits for the caller's own agent.
    pub(super) pending: bool,
    /// Nothing else was asked for.
    pub(super) only_pending: bool,
}

fn invalid(name: &str, message: &str) -> ApiError {
    ApiError::invalid(&["query", name], message, "value_error")
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::parse(&parts.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(&format!("/x?{query}").parse().unwrap()).unwrap()
    }

    #[test]
    fn empty_is_absent() {
        let params = params("since=&status=&limit=");
        assert_eq!(params.number("since").unwrap(), None);
        assert_eq!(params.statuses().unwrap(), Statuses::default());
        assert_eq!(params.limit(50, 1000).unwrap(), 50);
    }

    #[test]
    fn numbers_are_bounded() {
        assert_eq!(params("since=7").number("since").unwrap(), Some(7));
        assert_eq!(params("since=99999999999").number("since").unwrap(), Some(2_147_483_647));
        assert!(params("since=-1").number("since").is_err());
        assert!(params("since=x").number("since").is_err());
        assert_eq!(params("wait_seconds=0").wait_seconds().unwrap(), Some(1));
        assert_eq!(params("wait_seconds=600").wait_seconds().unwrap(), Some(60));
        assert_eq!(params("limit=5000").limit(50, 1000).unwrap(), 1000);
    }

    #[test]
    fn statuses_are_lists_and_words() {
        let statuses = params("status=DELIVERED,created%2C").statuses().unwrap();
        assert_eq!(statuses.list, [Status::Created, Status::Delivered]);
        let pending = params("status=pending").statuses().unwrap();
        assert!(pending.pending && pending.only_pending && pending.list.len() == 6);
        assert!(!params("status=pending,FAILED").statuses().unwrap().only_pending);
        assert!(!params("status=active").statuses().unwrap().pending);
        assert!(params("status=DONE").statuses().is_err());
    }
}
