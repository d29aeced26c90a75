//! The first organization, workspace, service account and key of a cluster. Idempotent: what is
//! there stays, so every gateway may do it at every start.

use std::sync::Arc;
use std::time::Duration;

use axp_proto::control;
use axp_proto::log::{DeliveryMode, RowChange};
use axp_proto::node::{Organization, ServiceAccount, Workspace};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::clock::{self, Deadline};
use crate::cluster::{Cluster, Plan, Tables, transact};
use crate::config::ClusterConfig;
use crate::error::ApiError;
use crate::net::Dial;
use crate::service::{
    AccountPlan, hash_hex, new_id, new_key, new_token, plan_account, put, put_id, slug,
};

/// The service account that owns the seeded key.
const ACCOUNT_NAME: &str = "default";
const CREATOR: &str = "agent://agent_core";

/// What is to be there.
#[derive(Clone)]
pub struct SeedRequest {
    /// Name of the organization; its slug names it in addresses.
    pub org: String,
    /// Name of the workspace.
    pub workspace: String,
    /// A key to accept; absent to have one made. At least 12 characters.
    pub api_key: Option<String>,
}

impl std::fmt::Debug for SeedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (org, workspace) = (&self.org, &self.workspace);
        write!(f, "SeedRequest {{ org: {org:?}, workspace: {workspace:?}, .. }}")
    }
}

/// What is there now.
#[derive(Clone)]
pub struct Seeded {
    /// The key that works: the given one, or the one that was made.
    pub api_key: String,
    pub org_id: String,
    pub workspace_id: String,
    pub service_account_id: String,
    /// The address that the key sends from.
    pub agent_address: String,
}

impl std::fmt::Debug for Seeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seeded")
            .field("org_id", &self.org_id)
            .field("workspace_id", &self.workspace_id)
            .field("agent_address", &self.agent_address)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("the api key has fewer than 12 characters")]
    KeyTooShort,
    #[error("the api key belongs to another workspace, or was revoked")]
    KeyTaken,
    #[error("no agent address is free for the seeded service account")]
    NoAddress,
    #[error("the cluster did not commit the seed: {0}")]
    Cluster(String),
}

/// Makes sure that organization, workspace and key exist, through the nodes at these addresses.
/// Waits for the cluster to form, up to `patience`.
///
/// # Errors
/// When the cluster does not answer in time, or the key is somebody else's.
#[inline(never)] // compiled once, here: see `Gateway::start`
pub fn ensure<'a>(
    nodes: &'a [String],
    request: &'a SeedRequest,
    patience: Duration,
) -> BoxFuture<'a, Result<Seeded, SeedError>> {
    Box::pin(ensure_at(nodes, request, patience))
}

async fn ensure_at(
    nodes: &[String],
    request: &SeedRequest,
    patience: Duration,
) -> Result<Seeded, SeedError> {
    let config = ClusterConfig { nodes: nodes.to_vec(), ..ClusterConfig::default() };
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let cluster = Cluster::start(&config, Dial::default(), &tasks, &stop);
    let seeded = ensure_in(&cluster, request, Deadline::after(patience)).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    seeded
}

pub(crate) async fn ensure_in(
    cluster: &Arc<Cluster>,
    request: &SeedRequest,
    deadline: Deadline,
) -> Result<Seeded, SeedError> {
    if request.api_key.as_ref().is_some_and(|key| key.len() < 12) {
        return Err(SeedError::KeyTooShort);
    }
    let failed = |error: ApiError| SeedError::Cluster(error.message.into_owned());
    let wish = Wish::new(request);
    cluster.cache.ready(deadline).await.map_err(|error| failed(error.into()))?;
    cluster.refresh(deadline).await.map_err(|error| failed(error.into()))?;
    // A refusal is a value here: the transaction itself knows API errors only.
    transact(cluster, deadline, |tables| {
        Ok(match wish.plan(tables) {
            Ok((seeded, changes)) if changes.is_empty() => Plan::Done(Ok(seeded)),
            Ok((seeded, changes)) => Plan::Commit { changes, then: Ok(seeded) },
            Err(error) => Plan::Done(Err(error)),
        })
    })
    .await
    .map_err(failed)?
}

/// A request with all ids fixed, so that deciding again comes to the same.
struct Wish {
    organization: Organization,
    workspace: Workspace,
    account_id: String,
    key_id: String,
    token: String,
    now: i64,
}

impl Wish {
    fn new(request: &SeedRequest) -> Self {
        let now = clock::now_ms();
        let account_id = new_id("sa_");
        Self {
            organization: Organization {
                org_id: Uuid::now_v7().to_string(),
                slug: slug(&request.org),
                name: request.org.clone(),
                created_at_ms: now,
            },
            workspace: Workspace {
                workspace_id: Uuid::now_v7().to_string(),
                org_id: String::new(),
                slug: slug(&request.workspace),
                name: request.workspace.clone(),
                environment: "production".to_owned(),
                created_at_ms: now,
            },
            key_id: new_id("sak_"),
            token: request.api_key.clone().unwrap_or_else(|| new_token(&account_id)),
            account_id,
            now,
        }
    }

    fn plan(&self, tables: &Tables) -> Result<(Seeded, Vec<RowChange>), SeedError> {
        let mut changes = Vec::new();
        let organization = self.organization(tables, &mut changes);
        let workspace = self.workspace(tables, &organization, &mut changes);
        let account = self.account(tables, &organization, &workspace, &mut changes)?;
        let account = self.key(tables, account, &mut changes)?;
        let seeded = Seeded {
            api_key: self.token.clone(),
            org_id: organization.org_id,
            workspace_id: workspace.workspace_id,
            service_account_id: account.service_account_id,
            agent_address: account.agent_address,
        };
        Ok((seeded, changes))
    }

    fn organization(&self, tables: &Tables, changes: &mut Vec<RowChange>) -> Organization {
        let wanted = &self.organization;
        let known = tables.organization_slugs.get(&wanted.slug);
        if let Some(known) = known.and_then(|row| tables.organizations.get(&row.value)) {
            return known.value.clone();
        }
        changes.push(put(control::organization(&wanted.org_id), 0, wanted));
        changes.push(put_id(control::organization_slug(&wanted.slug), 0, &wanted.org_id));
        wanted.clone()
    }

    fn workspace(
        &self,
        tables: &Tables,
        organization: &Organization,
        changes: &mut Vec<RowChange>,
    ) -> Workspace {
        let slug = &self.workspace.slug;
        if let Some(known) = tables.workspace_by_slugs(&organization.slug, slug) {
            return known.value.clone();
        }
        let wanted = Workspace { org_id: organization.org_id.clone(), ..self.workspace.clone() };
        changes.push(put(control::workspace(&wanted.workspace_id), 0, &wanted));
        let name = control::workspace_slug(&wanted.org_id, &wanted.slug);
        changes.push(put_id(name, 0, &wanted.workspace_id));
        wanted
    }

    fn account(
        &self,
        tables: &Tables,
        organization: &Organization,
        workspace: &Workspace,
        changes: &mut Vec<RowChange>,
    ) -> Result<ServiceAccount, SeedError> {
        let wanted = ServiceAccount {
            service_account_id: self.account_id.clone(),
            org_id: organization.org_id.clone(),
            workspace_id: workspace.workspace_id.clone(),
            name: ACCOUNT_NAME.to_owned(),
            description: String::new(),
            display_name: String::new(),
            status: "active".to_owned(),
            created_by_actor_id: CREATOR.to_owned(),
            created_at_ms: self.now,
            updated_at_ms: self.now,
            agent_address: String::new(),
            delivery_mode: DeliveryMode::Stream.into(),
            callback_url: String::new(),
        };
        let base = format!("agent://{}/{}/", organization.slug, workspace.slug);
        match plan_account(tables, &wanted, &base) {
            AccountPlan::New(account, rows) => {
                changes.extend(rows);
                Ok(*account)
            }
            AccountPlan::Ours(known) | AccountPlan::Taken(known) => Ok(known.value.clone()),
            AccountPlan::NoAddress => Err(SeedError::NoAddress),
        }
    }

    /// Finds or makes the key; it may belong to another account of the same workspace.
    fn key(
        &self,
        tables: &Tables,
        account: ServiceAccount,
        changes: &mut Vec<RowChange>,
    ) -> Result<ServiceAccount, SeedError> {
        let Some(known) = tables.key_by_hash(&hash_hex(&self.token)) else {
            let made = new_key(&account, &self.key_id, &self.token, CREATOR, self.now, None);
            changes.extend(made.1);
            return Ok(account);
        };
        let key = &known.value;
        let owner = tables.accounts.get(&key.service_account_id);
        match owner {
            Some(owner) if key.status == "active" && key.workspace_id == account.workspace_id => {
                Ok(owner.value.clone())
            }
            _ => Err(SeedError::KeyTaken),
        }
    }
}
