//! Who asks: an API key, the service account that owns it, and where that account lives.

use std::sync::Arc;

use axp_proto::error_code::ErrorCode;
use axp_proto::node::{ApiKey, Organization, Scope, ServiceAccount, Workspace};
use serde_json::json;

use super::Service;
use super::credential::hash_hex;
use crate::clock::{self, Deadline};
use crate::cluster::{Tables, Versioned};
use crate::error::ApiError;

/// What a request brings along to say who it is from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Credentials<'a> {
    pub(crate) api_key: Option<&'a str>,
    /// A bearer token: an API key just as well, or an actor's JWT, which no route here needs.
    pub(crate) bearer: Option<&'a str>,
}

#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) key: Arc<Versioned<ApiKey>>,
    pub(crate) account: Arc<Versioned<ServiceAccount>>,
    pub(crate) workspace: Arc<Versioned<Workspace>>,
    pub(crate) organization: Arc<Versioned<Organization>>,
}

impl Caller {
    pub(crate) fn account_id(&self) -> &str {
        &self.account.value.service_account_id
    }

    pub(crate) fn workspace_id(&self) -> &str {
        &self.workspace.value.workspace_id
    }

    pub(crate) fn org_id(&self) -> &str {
        &self.organization.value.org_id
    }

    pub(crate) fn org_slug(&self) -> &str {
        &self.organization.value.slug
    }

    pub(crate) fn workspace_slug(&self) -> &str {
        &self.workspace.value.slug
    }

    /// The address that the caller sends from.
    pub(crate) fn address(&self) -> &str {
        &self.account.value.agent_address
    }

    /// The stored form of an address as this caller means it.
    ///
    /// # Errors
    /// 422 for what cannot be an address.
    pub(crate) fn normalise(&self, address: &str) -> Result<String, ApiError> {
        super::normalise(address, self.org_slug(), self.workspace_slug())
    }

    pub(crate) fn scope(&self, actor: &str) -> Scope {
        Scope {
            org_id: self.org_id().to_owned(),
            workspace_id: self.workspace_id().to_owned(),
            identity: self.account_id().to_owned(),
            actor: actor.to_owned(),
        }
    }
}

impl Service {
    /// Finds the caller behind a credential.
    ///
    /// # Errors
    /// 401 when there is none, or it is unknown, revoked or past its end.
    pub(crate) async fn authenticate(
        &self,
        credentials: Credentials<'_>,
        deadline: Deadline,
    ) -> Result<Arc<Caller>, ApiError> {
        let token = match (credentials.api_key, credentials.bearer) {
            (Some(key), _) => key,
            (None, Some(bearer)) if !looks_like_jwt(bearer) => bearer,
            _ => return Err(missing()),
        };
        let hash = hash_hex(token);
        self.cluster.cache.ready(deadline).await?;
        if let Some(found) = find(&self.cluster.cache.load(), &hash) {
            return found;
        }
        // It may have been made a moment ago, through another gateway.
        let tables = self.cluster.refresh(deadline).await?;
        find(&tables, &hash).unwrap_or_else(|| Err(invalid()))
    }
}

/// Absent when nothing is known about the key.
fn find(tables: &Tables, hash: &str) -> Option<Result<Arc<Caller>, ApiError>> {
    let key = Arc::clone(tables.key_by_hash(hash)?);
    let account = Arc::clone(tables.accounts.get(&key.value.service_account_id)?);
    let workspace = Arc::clone(tables.workspaces.get(&key.value.workspace_id)?);
    let organization = Arc::clone(tables.organizations.get(&key.value.org_id)?);
    let is_over = key.value.expires_at_ms.is_some_and(|end| end <= clock::now_ms());
    if is_over || key.value.status != "active" || account.value.status != "active" {
        return Some(Err(invalid()));
    }
    Some(Ok(Arc::new(Caller { key, account, workspace, organization })))
}

fn looks_like_jwt(token: &str) -> bool {
    token.starts_with("eyJ") && token.split('.').count() == 3
}

fn missing() -> ApiError {
    ApiError::new(ErrorCode::MissingPlatformApiKey, "missing platform api key")
        .with_details(json!({ "header": "x-api-key" }))
}

// One text for unknown, revoked and past its end: the CLI takes the word "expired" in a 401 as a
// reason to refresh its session, and a prober learns nothing.
fn invalid() -> ApiError {
    ApiError::new(ErrorCode::InvalidPlatformApiKey, "invalid platform api key")
}
