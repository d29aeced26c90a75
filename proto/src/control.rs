//! Keys of the rows in the control group. A row's key is `<table>/<id>`; whatever must be unique
//! is part of a key, since a commit can demand that a row does not exist yet.

pub const ORGANIZATION: &str = "org/";
pub const ORGANIZATION_SLUG: &str = "org-slug/";
pub const WORKSPACE: &str = "workspace/";
pub const WORKSPACE_SLUG: &str = "workspace-slug/";
pub const SERVICE_ACCOUNT: &str = "service-account/";
pub const SERVICE_ACCOUNT_NAME: &str = "service-account-name/";
pub const API_KEY: &str = "api-key/";
pub const API_KEY_HASH: &str = "api-key-hash/";
pub const AGENT: &str = "agent/";
pub const SIGNING_SECRET: &str = "signing-secret/";
pub const WEBHOOK: &str = "webhook/";
pub const WEBHOOK_CALLBACK: &str = "webhook-callback/";
pub const SCHEMA: &str = "schema/";
pub const STORED_ANSWER: &str = "answer/";
pub const ACCESS_POLICY: &str = "access-policy/";
pub const CLUSTER_SECRET: &str = "cluster-secret/";
pub const SHARD_MAP: &str = "shard-map";
/// Who is in the cluster.
pub const CLUSTER_MEMBERS: &str = "cluster-members";

#[must_use]
pub fn organization(org_id: &str) -> String {
    format!("{ORGANIZATION}{org_id}")
}

/// Value: the organization id.
#[must_use]
pub fn organization_slug(slug: &str) -> String {
    format!("{ORGANIZATION_SLUG}{slug}")
}

#[must_use]
pub fn workspace(workspace_id: &str) -> String {
    format!("{WORKSPACE}{workspace_id}")
}

/// Value: the workspace id. Slugs are unique in an organization.
#[must_use]
pub fn workspace_slug(org_id: &str, slug: &str) -> String {
    format!("{WORKSPACE_SLUG}{org_id}/{slug}")
}

#[must_use]
pub fn service_account(id: &str) -> String {
    format!("{SERVICE_ACCOUNT}{id}")
}

/// Value: the service account id. Names are unique in a workspace.
#[must_use]
pub fn service_account_name(workspace_id: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT_NAME}{workspace_id}/{name}")
}

#[must_use]
pub fn api_key(key_id: &str) -> String {
    format!("{API_KEY}{key_id}")
}

/// `hash`: hex of the SHA-256 of the whole token. Value: the key id. One token is one key.
#[must_use]
pub fn api_key_hash(hash: &str) -> String {
    format!("{API_KEY_HASH}{hash}")
}

#[must_use]
pub fn agent(address: &str) -> String {
    format!("{AGENT}{address}")
}

/// One of each owner in each workspace.
#[must_use]
pub fn schema(workspace_id: &str, semantic_type: &str, owner_agent: &str) -> String {
    format!("{SCHEMA}{workspace_id}/{semantic_type}/{owner_agent}")
}

/// `hash`: hex of identity, route and idempotency key.
#[must_use]
pub fn stored_answer(hash: &str) -> String {
    format!("{STORED_ANSWER}{hash}")
}

/// What pushes to the agent of a service account are signed with.
#[must_use]
pub fn signing_secret(account_id: &str) -> String {
    format!("{SIGNING_SECRET}{account_id}")
}

/// Who may send to an agent.
#[must_use]
pub fn send_policy(address: &str) -> String {
    format!("{ACCESS_POLICY}send/{address}")
}

/// Who of other organizations may send to an agent, whatever its organization says.
#[must_use]
pub fn receive_override(address: &str) -> String {
    format!("{ACCESS_POLICY}override/{address}")
}

/// Who of other organizations may send to agents of an organization.
#[must_use]
pub fn receive_policy(org_id: &str) -> String {
    format!("{ACCESS_POLICY}org/{org_id}")
}

/// What the cluster itself signs with, by its purpose.
#[must_use]
pub fn cluster_secret(purpose: &str) -> String {
    format!("{CLUSTER_SECRET}{purpose}")
}

#[must_use]
pub fn webhook(subscription_id: &str) -> String {
    format!("{WEBHOOK}{subscription_id}")
}

/// Value: the subscription id. One owner has one subscription for each callback; `hash`: hex of
/// both.
#[must_use]
pub fn webhook_callback(workspace_id: &str, hash: &str) -> String {
    format!("{WEBHOOK_CALLBACK}{workspace_id}/{hash}")
}
