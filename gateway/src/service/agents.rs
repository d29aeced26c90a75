//! Registered agents, and the mailbox of an address.

use std::sync::Arc;

use axp_proto::error_code::ErrorCode;
use axp_proto::log::{MailboxKey, Status};
use axp_proto::node::{Agent, ServiceAccount};
use axp_proto::shard_map::{group_of, mailbox_slot};

use super::{Call, Service};
use crate::cluster::{Subscription, Tables, Versioned};
use crate::error::ApiError;

/// An agent with the account behind it.
#[derive(Debug, Clone)]
pub(crate) struct AgentEntry {
    pub(crate) agent: Arc<Versioned<Agent>>,
    pub(crate) account: Arc<Versioned<ServiceAccount>>,
}

/// An open subscription to a mailbox, with what its reader wants to see.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) subscription: Subscription,
    /// Statuses to show; empty for all that are not terminal.
    pub(crate) statuses: Vec<Status>,
}

impl Service {
    /// The agents of the caller's workspace, by address.
    ///
    /// # Errors
    /// 403 when another organization or workspace is named.
    pub(crate) async fn agents(
        &self,
        call: &Call,
        org_id: Option<&str>,
        workspace_id: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AgentEntry>, ApiError> {
        require_own(call, org_id, workspace_id)?;
        let tables = self.cluster.refresh(call.deadline).await?;
        let mut entries: Vec<AgentEntry> = tables
            .accounts_of(call.caller.workspace_id())
            .into_iter()
            .filter_map(|account| entry(&tables, &account.value.agent_address))
            .collect();
        entries.sort_unstable_by(|a, b| a.agent.value.address.cmp(&b.agent.value.address));
        entries.truncate(limit);
        Ok(entries)
    }

    /// One agent of the caller's organization.
    ///
    /// # Errors
    /// 404 when nothing is registered under the address.
    pub(crate) async fn agent(&self, call: &Call, address: &str) -> Result<AgentEntry, ApiError> {
        let address = call.caller.normalise(address)?;
        let tables = self.cluster.refresh(call.deadline).await?;
        entry(&tables, &address)
            .filter(|entry| entry.agent.value.org_id == call.caller.org_id())
            .ok_or_else(|| ApiError::new(ErrorCode::AgentNotFound, "agent not found"))
    }

    /// Follows the deliveries of an address after a cursor. An unregistered address in the caller's
    /// workspace has a mailbox as well.
    ///
    /// # Errors
    /// 403 for an address of another workspace.
    pub(crate) async fn listen(
        &self,
        call: &Call,
        address: &str,
        since: u32,
        statuses: Vec<Status>,
    ) -> Result<Listening, ApiError> {
        let mailbox = self.own_mailbox(call, call.caller.normalise(address)?).await?;
        let group = group_of(mailbox_slot(&mailbox), self.shard_groups(call).await?);
        let subscription = Subscription::to_mailbox(
            Arc::clone(&self.cluster.router),
            group,
            call.caller.scope(call.caller.address()),
            mailbox,
            since,
            self.config.streams.window,
        );
        Ok(Listening { subscription, statuses })
    }

    /// The mailbox of an address in the caller's workspace, registered or not.
    ///
    /// # Errors
    /// 403 for an address of another workspace.
    pub(super) async fn own_mailbox(
        &self,
        call: &Call,
        address: String,
    ) -> Result<MailboxKey, ApiError> {
        let target = self.target(call, address).await?;
        if target.workspace_id != call.caller.workspace_id() {
            return Err(ApiError::new(
                ErrorCode::InvalidActorScope,
                "the address belongs to another workspace",
            ));
        }
        Ok(target.mailbox())
    }
}

impl Listening {
    /// Whether a delivery in that status is shown.
    pub(crate) fn shows(statuses: &[Status], status: Status) -> bool {
        if statuses.is_empty() { !status.is_terminal() } else { statuses.contains(&status) }
    }
}

/// A key acts in its own workspace only.
pub(super) fn require_own(
    call: &Call,
    org_id: Option<&str>,
    workspace_id: Option<&str>,
) -> Result<(), ApiError> {
    let scope = |message| Err(ApiError::new(ErrorCode::InvalidActorScope, message));
    if org_id.is_some_and(|id| id != call.caller.org_id()) {
        return scope("org_id is outside actor membership scope");
    }
    if workspace_id.is_some_and(|id| id != call.caller.workspace_id()) {
        return scope("workspace_id does not match target workspace_id");
    }
    Ok(())
}

fn entry(tables: &Tables, address: &str) -> Option<AgentEntry> {
    let agent = Arc::clone(tables.agents.get(address)?);
    let account = Arc::clone(tables.accounts.get(&agent.value.service_account_id)?);
    (agent.value.status != "deleted").then_some(AgentEntry { agent, account })
}
