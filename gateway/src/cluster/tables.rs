//! The rows of the control group, typed and indexed as requests need them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axp_proto::control;
use axp_proto::ids::GroupId;
use axp_proto::node::{
    AccessPolicy, Agent, ApiKey, Organization, Row, SemanticSchema, ServiceAccount, ShardMap,
    SigningSecret, StoredAnswer, WebhookSubscription, Workspace,
};
use bytes::Bytes;
use prost::{DecodeError, Message};

use super::snapshot_map::SnapshotMap;

/// A row and the revision at which it last changed, which a compare-and-set has to name.
#[derive(Debug)]
pub(crate) struct Versioned<T> {
    pub(crate) revision: u64,
    pub(crate) value: T,
}

type Table<T> = SnapshotMap<Arc<Versioned<T>>>;
type Index = SnapshotMap<Arc<BTreeSet<String>>>;

/// One state of the control group. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables {
    pub(crate) revision: u64,
    pub(crate) organizations: Table<Organization>,
    /// Slug to organization id.
    pub(crate) organization_slugs: Table<String>,
    pub(crate) workspaces: Table<Workspace>,
    /// `<organization id>/<slug>` to workspace id.
    pub(crate) workspace_slugs: Table<String>,
    pub(crate) accounts: Table<ServiceAccount>,
    /// `<workspace id>/<name>` to service account id.
    pub(crate) account_names: Table<String>,
    pub(crate) keys: Table<ApiKey>,
    /// Hash of a token to key id.
    pub(crate) key_hashes: Table<String>,
    pub(crate) agents: Table<Agent>,
    /// By `<workspace id>/<semantic type>/<owner>`.
    pub(crate) schemas: Table<SemanticSchema>,
    pub(crate) answers: Table<StoredAnswer>,
    /// Service account id to what its pushes are signed with.
    pub(crate) signing_secrets: Table<SigningSecret>,
    /// By `send/<address>`, `override/<address>` or `org/<organization id>`.
    pub(crate) access_policies: Table<AccessPolicy>,
    /// Purpose to what the cluster signs with.
    pub(crate) cluster_secrets: Table<SigningSecret>,
    pub(crate) webhooks: Table<WebhookSubscription>,
    /// `<workspace id>/<hash of owner and callback>` to subscription id.
    pub(crate) webhook_callbacks: Table<String>,
    /// Absent until a node has published it.
    pub(crate) topology: Option<Arc<Topology>>,
    accounts_of_workspace: Index,
    keys_of_account: Index,
    webhooks_of_workspace: Index,
    schemas_of_workspace: Index,
    /// By `<workspace id>/<semantic type>`.
    schemas_of_type: Index,
}

/// Which groups there are and where their replicas live.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Topology {
    pub(crate) shard_groups: u16,
    pub(crate) members: HashMap<GroupId, Vec<Arc<str>>>,
    pub(crate) nodes: Vec<Arc<str>>,
}

impl Tables {
    /// Takes one row over.
    ///
    /// # Errors
    /// When the value is not what its key promises.
    pub(crate) fn apply(&mut self, row: &Row) -> Result<(), DecodeError> {
        let key = row.key.as_str();
        if let Some(id) = key.strip_prefix(control::ORGANIZATION) {
            put(&mut self.organizations, id, row, decode)?;
        } else if let Some(slug) = key.strip_prefix(control::ORGANIZATION_SLUG) {
            put(&mut self.organization_slugs, slug, row, text)?;
        } else if let Some(id) = key.strip_prefix(control::WORKSPACE) {
            put(&mut self.workspaces, id, row, decode)?;
        } else if let Some(slug) = key.strip_prefix(control::WORKSPACE_SLUG) {
            put(&mut self.workspace_slugs, slug, row, text)?;
        } else if let Some(id) = key.strip_prefix(control::SERVICE_ACCOUNT) {
            let (old, new) = put(&mut self.accounts, id, row, decode::<ServiceAccount>)?;
            let owner = |row: &Arc<Versioned<ServiceAccount>>| row.value.workspace_id.clone();
            let (old, new) = (old.as_ref().map(owner), new.as_ref().map(owner));
            reindex(&mut self.accounts_of_workspace, id, old, new);
        } else if let Some(name) = key.strip_prefix(control::SERVICE_ACCOUNT_NAME) {
            put(&mut self.account_names, name, row, text)?;
        } else if let Some(id) = key.strip_prefix(control::API_KEY) {
            let (old, new) = put(&mut self.keys, id, row, decode::<ApiKey>)?;
            let owner = |row: &Arc<Versioned<ApiKey>>| row.value.service_account_id.clone();
            let (old, new) = (old.as_ref().map(owner), new.as_ref().map(owner));
            reindex(&mut self.keys_of_account, id, old, new);
        } else if let Some(hash) = key.strip_prefix(control::API_KEY_HASH) {
            put(&mut self.key_hashes, hash, row, text)?;
        } else if let Some(address) = key.strip_prefix(control::AGENT) {
            put(&mut self.agents, address, row, decode)?;
        } else if let Some(id) = key.strip_prefix(control::SIGNING_SECRET) {
            put(&mut self.signing_secrets, id, row, decode)?;
        } else if let Some(subject) = key.strip_prefix(control::ACCESS_POLICY) {
            put(&mut self.access_policies, subject, row, decode)?;
        } else if let Some(purpose) = key.strip_prefix(control::CLUSTER_SECRET) {
            put(&mut self.cluster_secrets, purpose, row, decode)?;
        } else if let Some(id) = key.strip_prefix(control::WEBHOOK) {
            let (old, new) = put(&mut self.webhooks, id, row, decode::<WebhookSubscription>)?;
            let owner = |row: &Arc<Versioned<WebhookSubscription>>| row.value.workspace_id.clone();
            let (old, new) = (old.as_ref().map(owner), new.as_ref().map(owner));
            reindex(&mut self.webhooks_of_workspace, id, old, new);
        } else if let Some(callback) = key.strip_prefix(control::WEBHOOK_CALLBACK) {
            put(&mut self.webhook_callbacks, callback, row, text)?;
        } else if let Some(id) = key.strip_prefix(control::SCHEMA) {
            let (old, new) = put(&mut self.schemas, id, row, decode::<SemanticSchema>)?;
            let workspace = |row: &Arc<Versioned<SemanticSchema>>| row.value.workspace_id.clone();
            let (before, now) = (old.as_ref().map(workspace), new.as_ref().map(workspace));
            reindex(&mut self.schemas_of_workspace, id, before, now);
            let (before, now) = (old.as_ref().map(type_of), new.as_ref().map(type_of));
            reindex(&mut self.schemas_of_type, id, before, now);
        } else if let Some(hash) = key.strip_prefix(control::STORED_ANSWER) {
            put(&mut self.answers, hash, row, decode)?;
        } else if key == control::SHARD_MAP {
            let map = if row.deleted { None } else { Some(decode::<ShardMap>(&row.value)?) };
            self.topology = map.map(|map| Arc::new(Topology::new(&map)));
        }
        // Other tables belong to a newer version and are nothing to this one.
        Ok(())
    }

    pub(crate) fn accounts_of(&self, workspace: &str) -> Vec<Arc<Versioned<ServiceAccount>>> {
        resolve(&self.accounts_of_workspace, workspace, &self.accounts)
    }

    pub(crate) fn keys_of(&self, account: &str) -> Vec<Arc<Versioned<ApiKey>>> {
        resolve(&self.keys_of_account, account, &self.keys)
    }

    pub(crate) fn webhooks_of(&self, workspace: &str) -> Vec<Arc<Versioned<WebhookSubscription>>> {
        resolve(&self.webhooks_of_workspace, workspace, &self.webhooks)
    }

    /// The schemas of a semantic type, of all owners in a workspace.
    pub(crate) fn schemas_of(
        &self,
        workspace: &str,
        semantic_type: &str,
    ) -> Vec<Arc<Versioned<SemanticSchema>>> {
        resolve(&self.schemas_of_type, &format!("{workspace}/{semantic_type}"), &self.schemas)
    }

    pub(crate) fn schema_count(&self, workspace: &str) -> usize {
        self.schemas_of_workspace.get(workspace).map_or(0, |ids| ids.len())
    }

    pub(crate) fn key_by_hash(&self, hash_hex: &str) -> Option<&Arc<Versioned<ApiKey>>> {
        self.keys.get(&self.key_hashes.get(hash_hex)?.value)
    }

    pub(crate) fn workspace_by_slugs(
        &self,
        organization: &str,
        workspace: &str,
    ) -> Option<&Arc<Versioned<Workspace>>> {
        let organization = &self.organization_slugs.get(organization)?.value;
        let id = self.workspace_slugs.get(format!("{organization}/{workspace}"))?;
        self.workspaces.get(&id.value)
    }
}

impl Topology {
    fn new(map: &ShardMap) -> Self {
        let addresses: HashMap<u64, Arc<str>> =
            map.nodes.iter().map(|node| (node.id, Arc::from(node.address.as_str()))).collect();
        let members = map.groups.iter().filter_map(|group| {
            let nodes = group.node_ids.iter().filter_map(|id| addresses.get(id).cloned());
            Some((GroupId::try_from(group.id).ok()?, nodes.collect()))
        });
        let members: HashMap<_, _> = members.collect();
        let shards = members.keys().filter(|group| !group.is_control()).count();
        let mut nodes: Vec<_> = addresses.into_values().collect();
        nodes.sort_unstable();
        Self { shard_groups: u16::try_from(shards).unwrap_or(u16::MAX), members, nodes }
    }
}

type Replaced<T> = (Option<Arc<Versioned<T>>>, Option<Arc<Versioned<T>>>);

fn put<T>(
    table: &mut Table<T>,
    id: &str,
    row: &Row,
    read: impl Fn(&Bytes) -> Result<T, DecodeError>,
) -> Result<Replaced<T>, DecodeError> {
    if row.deleted {
        return Ok((table.remove(id), None));
    }
    let new = Arc::new(Versioned { revision: row.revision, value: read(&row.value)? });
    Ok((table.insert(id, Arc::clone(&new)), Some(new)))
}

fn reindex(index: &mut Index, id: &str, old: Option<String>, new: Option<String>) {
    if old == new {
        return;
    }
    if let Some(owner) = old
        && let Some(ids) = index.get(&owner)
    {
        let mut ids = BTreeSet::clone(ids);
        ids.remove(id);
        index.insert(&owner, Arc::new(ids));
    }
    if let Some(owner) = new {
        let mut ids = index.get(&owner).map(|ids| BTreeSet::clone(ids)).unwrap_or_default();
        ids.insert(id.to_owned());
        index.insert(&owner, Arc::new(ids));
    }
}

fn resolve<T>(index: &Index, owner: &str, table: &Table<T>) -> Vec<Arc<Versioned<T>>> {
    let ids = index.get(owner).into_iter().flat_map(|ids| ids.iter());
    ids.filter_map(|id| table.get(id).cloned()).collect()
}

fn type_of(row: &Arc<Versioned<SemanticSchema>>) -> String {
    format!("{}/{}", row.value.workspace_id, row.value.semantic_type)
}

fn decode<T: Message + Default>(value: &Bytes) -> Result<T, DecodeError> {
    T::decode(value.clone())
}

/// Rows whose value is an id are that text alone.
fn text(value: &Bytes) -> Result<String, DecodeError> {
    // Replaced bytes cannot name any id, so a broken row is found to lead nowhere.
    Ok(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests;
