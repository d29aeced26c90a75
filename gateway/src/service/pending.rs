//! What waits for an agent that polls (contract, agents.md 5): the open intents in its mailbox, oldest
//! first. The mailbox has one place and one order for each, whoever sent it and whatever shard keeps
//! it, so that pollers at the same time see the same and nothing starves behind what is newer.

use axp_proto::log::{MailboxEntry, MailboxKey};
use axp_proto::node::{MailboxBacklog, query_request, query_response};
use axp_proto::shard_map::{group_of, mailbox_slot};

use super::{Call, Service};
use crate::error::ApiError;

/// A page of what is pending.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) entries: Vec<MailboxEntry>,
    /// Where the next page begins; absent when this one was the last.
    pub(crate) next_since: Option<u32>,
}

impl Service {
    /// The open intents for an address, in the order in which they came, after a cursor.
    ///
    /// # Errors
    /// 403 for an address of another workspace.
    pub(crate) async fn pending(
        &self,
        call: &Call,
        address: String,
        since: u32,
        limit: u32,
    ) -> Result<Pending, ApiError> {
        let mailbox = self.own_mailbox(call, address).await?;
        self.backlog(call, mailbox, since, limit).await
    }

    /// A page of a mailbox.
    pub(super) async fn backlog(
        &self,
        call: &Call,
        mailbox: MailboxKey,
        since: u32,
        limit: u32,
    ) -> Result<Pending, ApiError> {
        let group = group_of(mailbox_slot(&mailbox), self.shard_groups(call).await?);
        let backlog = MailboxBacklog { mailbox: Some(mailbox), since, limit };
        let query = query_request::Query::MailboxBacklog(backlog);
        let query_response::Outcome::Deliveries(page) = self.query(call, group, query).await?
        else {
            return Err(ApiError::internal());
        };
        let full = page.entries.len() >= limit as usize;
        let last = page.entries.last().map(|entry| entry.cursor);
        Ok(Pending { next_since: last.filter(|_| full), entries: page.entries })
    }
}
