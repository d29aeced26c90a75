//! Pending intents follow their agent when it wants them by another road (ADR 0008).
//!
//! A push that finds its agent elsewhere is handed over by the node that would push. The other way
//! round nobody would look: what was delivered to a mailbox has to be pushed from now on. So gateways
//! look into the mailboxes of agents that changed a moment ago, and at their start into those of all
//! agents that are pushed to. What was submitted with knowledge from before the change is found by a
//! later look. Several gateways may do the same: an intent that is pushed already stays as it is.

use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::IntentId;
use axp_proto::log::{DeliveryMode, MailboxEntry, MailboxKey};
use axp_proto::node::{
    ExecuteRequest, MailboxBacklog, QueryRequest, Rebind, Scope, ServiceAccount, execute_request,
    query_request, query_response,
};
use axp_proto::shard_map::{group_of, mailbox_slot};
use futures_util::{StreamExt as _, stream};
use tokio::time::sleep;

use super::Service;
use crate::clock;
use crate::cluster::Tables;
use crate::error::ApiError;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Beside the longest request: how old a gateway's knowledge may be, and how far clocks are apart.
const SLACK_MS: i64 = 5_000;
const MAILBOXES_AT_ONCE: usize = 4;
const INTENTS_AT_ONCE: usize = 16;
const PAGE: u32 = 500;

/// Looks for as long as it is polled.
pub(crate) async fn follow_bindings(service: Arc<Service>) {
    // At first all, since nobody may have looked for a while.
    let mut since_ms = i64::MIN;
    loop {
        let tables = service.cluster.cache.load_full();
        let changed = pushed_to(&tables, since_ms);
        let looks: Vec<_> = changed.iter().map(|account| service.rebind(account)).collect();
        let looked: Vec<_> = stream::iter(looks).buffered(MAILBOXES_AT_ONCE).collect().await;
        match looked.into_iter().find_map(Result::err) {
            Some(error) => tracing::debug!(%error, "pending intents are bound later"),
            None if service.cluster.cache.is_ready() => since_ms = service.recent_ms(),
            None => {}
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Accounts that want pushes and changed since then.
fn pushed_to(tables: &Tables, since_ms: i64) -> Vec<ServiceAccount> {
    let accounts = tables.accounts.iter().map(|(_, account)| &account.value);
    let wanted = accounts.filter(|account| {
        account.delivery_mode() == DeliveryMode::Http
            && account.status == "active"
            && account.updated_at_ms >= since_ms
    });
    wanted.cloned().collect()
}

impl Service {
    /// What changed after this may still meet submits that did not know.
    fn recent_ms(&self) -> i64 {
        let longest = self.config.cluster.request_timeout().as_millis();
        clock::now_ms() - i64::try_from(longest).unwrap_or(i64::MAX / 2) - SLACK_MS
    }

    async fn rebind(&self, account: &ServiceAccount) -> Result<(), ApiError> {
        let mailbox = MailboxKey {
            workspace_id: account.workspace_id.clone(),
            address: account.agent_address.clone(),
        };
        let mut since = 0;
        loop {
            let page = self.mailbox_page(account, &mailbox, since).await?;
            let Some(last) = page.last().map(|entry| entry.cursor) else { return Ok(()) };
            let unbound = page.iter().filter_map(unbound);
            let rebinds: Vec<_> = unbound.map(|id| self.rebind_one(account, id)).collect();
            let done: Vec<_> = stream::iter(rebinds).buffered(INTENTS_AT_ONCE).collect().await;
            done.into_iter().collect::<Result<(), _>>()?;
            since = last;
        }
    }

    async fn mailbox_page(
        &self,
        account: &ServiceAccount,
        mailbox: &MailboxKey,
        since: u32,
    ) -> Result<Vec<MailboxEntry>, ApiError> {
        let backlog = MailboxBacklog { mailbox: Some(mailbox.clone()), since, limit: PAGE };
        let request = QueryRequest {
            group: group_of(mailbox_slot(mailbox), self.groups()).into(),
            scope: Some(scope(account)),
            query: Some(query_request::Query::MailboxBacklog(backlog)),
        };
        match self.cluster.router.query(&request, self.deadline()).await? {
            query_response::Outcome::Deliveries(page) => Ok(page.entries),
            query_response::Outcome::Rejection(rejection) => Err(rejection.into()),
            _ => Err(ApiError::internal()),
        }
    }

    async fn rebind_one(&self, account: &ServiceAccount, id: IntentId) -> Result<(), ApiError> {
        let request = ExecuteRequest {
            group: group_of(id.slot(), self.groups()).into(),
            intent_id: id.to_bytes(),
            scope: Some(scope(account)),
            command: Some(execute_request::Command::Rebind(Rebind {
                mode: DeliveryMode::Http.into(),
            })),
            ..ExecuteRequest::default()
        };
        let outcome = self.cluster.router.execute(&request, self.deadline()).await?;
        outcome.value.map(|_| ()).map_err(ApiError::from)
    }

    fn groups(&self) -> u16 {
        let tables = self.cluster.cache.load();
        tables.topology.as_ref().map_or(1, |topology| topology.shard_groups)
    }
}

/// An entry whose intent is not pushed yet.
fn unbound(entry: &MailboxEntry) -> Option<IntentId> {
    let delivery = entry.delivery.as_ref()?;
    if delivery.mode() == DeliveryMode::Http {
        return None;
    }
    IntentId::from_slice(&delivery.intent_id).ok()
}

fn scope(account: &ServiceAccount) -> Scope {
    Scope {
        org_id: account.org_id.clone(),
        workspace_id: account.workspace_id.clone(),
        identity: account.service_account_id.clone(),
        actor: account.agent_address.clone(),
    }
}
