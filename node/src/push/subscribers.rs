//! The webhook subscriptions as this node's replica of the control group has them, in memory: every
//! event of every intent asks for them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axp_proto::control::WEBHOOK;
use axp_proto::node::{Row, WebhookSubscription};
use axp_raft_store::Error;
use prost::Message;

use crate::control::Control;

/// Subscriptions by workspace and id, without their secrets.
#[derive(Debug, Default)]
pub struct Subscribers(RwLock<HashMap<String, HashMap<String, WebhookSubscription>>>);

impl Subscribers {
    /// Takes over what the replica has now and then every change, for as long as it is polled. A
    /// subscription counts from when this replica has it, which is a heartbeat after its commit.
    pub async fn follow(self: Arc<Self>, control: Arc<Control>) {
        let mut changed = control.watch();
        let mut revision = 0;
        loop {
            changed.mark_unchanged();
            match self.catch_up(&control, revision) {
                Ok(upto) => revision = upto,
                Err(error) => {
                    tracing::error!(error = %error.chain(), "cannot read the subscriptions");
                    return;
                }
            }
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Reads on from a revision to the end and says where that is.
    pub(super) fn catch_up(&self, control: &Control, mut revision: u64) -> Result<u64, Error> {
        loop {
            let (rows, upto) = control.changes_after(revision)?;
            for row in &rows {
                self.apply(row)?;
            }
            if upto == revision {
                return Ok(revision);
            }
            revision = upto;
        }
    }

    /// Ids of the subscriptions of a workspace that an event is for.
    #[must_use]
    pub fn of(&self, workspace_id: &str, owner_agent: &str, event_type: &str) -> Vec<String> {
        let workspaces = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(subscriptions) = workspaces.get(workspace_id) else { return Vec::new() };
        let wants = |(_, it): &(&String, &WebhookSubscription)| it.wants(owner_agent, event_type);
        let mut ids: Vec<_> =
            subscriptions.iter().filter(wants).map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn apply(&self, row: &Row) -> Result<(), Error> {
        let Some(id) = row.key.strip_prefix(WEBHOOK) else { return Ok(()) };
        let mut workspaces = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if row.deleted {
            // A deletion does not say which workspace it was in.
            workspaces.retain(|_, subscriptions| {
                subscriptions.remove(id);
                !subscriptions.is_empty()
            });
            return Ok(());
        }
        let mut subscription =
            WebhookSubscription::decode(row.value.clone()).map_err(Error::applier)?;
        subscription.secret = None;
        let workspace = workspaces.entry(subscription.workspace_id.clone()).or_default();
        workspace.insert(id.to_owned(), subscription);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, workspace: &str, revision: u64) -> Row {
        let subscription = WebhookSubscription {
            subscription_id: id.to_owned(),
            workspace_id: workspace.to_owned(),
            event_types: vec!["intent.*".to_owned()],
            active: true,
            ..WebhookSubscription::default()
        };
        let value = subscription.encode_to_vec().into();
        Row { key: axp_proto::control::webhook(id), revision, value, deleted: false }
    }

    #[test]
    fn rows_come_and_go() {
        let subscribers = Subscribers::default();
        for row in [row("b", "w", 1), row("a", "w", 2), row("c", "other", 3)] {
            subscribers.apply(&row).unwrap();
        }
        assert_eq!(subscribers.of("w", "agent://x", "intent.created"), ["a", "b"]);
        assert!(subscribers.of("w", "agent://x", "invite.accepted").is_empty());
        subscribers.apply(&Row { deleted: true, ..row("a", "w", 4) }).unwrap();
        subscribers.apply(&Row { key: "agent/x".to_owned(), ..row("d", "w", 5) }).unwrap();
        assert_eq!(subscribers.of("w", "agent://x", "intent.created"), ["b"]);
    }
}
