//! Where an intent goes: whose mailbox an address is, and how its agent wants deliveries.

use axp_proto::log::{DeliveryMode, Holder, MailboxKey};

use super::address::parts;
use super::{Call, Service, access};
use crate::cluster::Tables;
use crate::error::ApiError;

/// An address with the workspace that its mailbox belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: String,
    pub(super) org_id: String,
    pub(super) workspace_id: String,
    /// Unspecified when no agent is registered under the address.
    pub(super) mode: DeliveryMode,
}

impl Target {
    /// Where deliveries for the target lie.
    pub(super) fn mailbox(&self) -> MailboxKey {
        MailboxKey { workspace_id: self.workspace_id.clone(), address: self.address.clone() }
    }

    pub(super) fn into_holder(self) -> Holder {
        Holder { mailbox: Some(self.mailbox()), mode: self.mode.into(), org_id: self.org_id }
    }
}

impl Service {
    /// Finds the home of an address.
    pub(super) async fn target(&self, call: &Call, address: String) -> Result<Target, ApiError> {
        let found = locate(&self.cluster.cache.load(), &address);
        let found = match found {
            Located::Agent(..) | Located::Opaque => found,
            // The mailbox is certain; how its agent wants deliveries may be a second old.
            Located::Workspace(..) => {
                locate(&*self.cluster.refresh_if_old(call.deadline).await?, &address)
            }
            // An organization made a moment ago through another gateway: whose mailbox it is
            // depends on knowing it.
            Located::Nowhere => locate(&*self.cluster.refresh(call.deadline).await?, &address),
        };
        let caller = &call.caller;
        let (org_id, workspace_id, mode) = match found {
            Located::Agent(org_id, workspace_id, mode) => (org_id, workspace_id, mode),
            Located::Workspace(org_id, workspace_id) => {
                (org_id, workspace_id, DeliveryMode::Unspecified)
            }
            Located::Opaque | Located::Nowhere => {
                let (org_id, workspace_id) = (caller.org_id(), caller.workspace_id());
                (org_id.to_owned(), workspace_id.to_owned(), DeliveryMode::Unspecified)
            }
        };
        Ok(Target { address, org_id, workspace_id, mode })
    }

    /// As [`Self::target`], for sending to it.
    ///
    /// # Errors
    /// 403 when the receiver does not let the caller in: `access.rs` says who may send to whom.
    pub(super) async fn receiver(&self, call: &Call, address: String) -> Result<Target, ApiError> {
        let target = self.target(call, address).await?;
        let (sender, org_id) = (call.caller.address(), call.caller.org_id());
        if target.org_id == org_id {
            access::check(&self.cluster.cache.load(), sender, org_id, &target)?;
        } else {
            // Who has just closed a door must find it closed, whichever gateway is asked.
            let tables = self.cluster.refresh(call.deadline).await?;
            access::check(&tables, sender, org_id, &target)?;
        }
        Ok(target)
    }

    /// A registered agent of an organization, as whoever holds an intent.
    pub(super) fn registered(&self, organization: &str, address: &str) -> Option<Holder> {
        match locate(&self.cluster.cache.load(), address) {
            Located::Agent(org_id, workspace_id, mode) if org_id == organization => {
                let address = address.to_owned();
                Some(Target { address, org_id, workspace_id, mode }.into_holder())
            }
            _ => None,
        }
    }

    /// Who is asked when nobody answers: an address like any other, or a person's mail address, whose
    /// mailbox is the caller's workspace's.
    ///
    /// # Errors
    /// As [`Self::receiver`].
    pub(super) async fn escalation(&self, call: &Call, to: &str) -> Result<Holder, ApiError> {
        if to.contains('@') && !to.contains('/') {
            let workspace_id = call.caller.workspace_id().to_owned();
            let mailbox = MailboxKey { workspace_id, address: to.to_owned() };
            let org_id = call.caller.org_id().to_owned();
            return Ok(Holder { mailbox: Some(mailbox), org_id, ..Holder::default() });
        }
        let target = self.receiver(call, call.caller.normalise(to)?).await?;
        Ok(target.into_holder())
    }
}

enum Located {
    /// Organization, workspace and delivery mode of a registered agent.
    Agent(String, String, DeliveryMode),
    /// Organization and workspace that the address names.
    Workspace(String, String),
    /// It names a workspace that is not known.
    Nowhere,
    /// It names no workspace.
    Opaque,
}

fn locate(tables: &Tables, address: &str) -> Located {
    if let Some(agent) = tables.agents.get(address)
        && agent.value.status == "active"
    {
        let agent = &agent.value;
        let account = tables.accounts.get(&agent.service_account_id);
        let mode = account.map_or(DeliveryMode::Stream, |account| account.value.delivery_mode());
        let mode = if mode == DeliveryMode::Unspecified { DeliveryMode::Stream } else { mode };
        return Located::Agent(agent.org_id.clone(), agent.workspace_id.clone(), mode);
    }
    let Some(parts) = parts(address) else { return Located::Opaque };
    match tables.workspace_by_slugs(parts.organization, parts.workspace) {
        Some(workspace) => {
            let workspace = &workspace.value;
            Located::Workspace(workspace.org_id.clone(), workspace.workspace_id.clone())
        }
        None => Located::Nowhere,
    }
}

/// The organization that an address belongs to, if it belongs to any.
pub(super) fn home_organization(tables: &Tables, address: &str) -> Option<String> {
    match locate(tables, address) {
        Located::Agent(org_id, ..) | Located::Workspace(org_id, _) => Some(org_id),
        Located::Nowhere | Located::Opaque => None,
    }
}
