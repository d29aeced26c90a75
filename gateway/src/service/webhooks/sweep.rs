//! Forgets subscriptions that were revoked long ago, some at a time. Every gateway does this now and
//! then; who comes second meets a conflict and finds nothing left.

use axp_proto::control;
use axp_proto::log::RowChange;
use axp_proto::node::WebhookSubscription;
use bytes::Bytes;

use super::callback_hash;
use crate::clock::{self, Deadline};
use crate::cluster::{Cluster, Plan, Tables, Versioned, transact};
use crate::error::ApiError;

/// Two rows for each.
const SWEPT_AT_ONCE: usize = 100;

/// # Errors
/// When the cluster does not commit in time; they are forgotten next time.
pub(crate) async fn sweep_subscriptions(
    cluster: &Cluster,
    kept_ms: i64,
    deadline: Deadline,
) -> Result<usize, ApiError> {
    let oldest = clock::now_ms().saturating_sub(kept_ms);
    transact(cluster, deadline, |tables| {
        let old = revoked_before(tables, oldest);
        if old.is_empty() {
            return Ok(Plan::Done(0));
        }
        let changes = old.iter().flat_map(|it| removal(tables, it)).collect();
        Ok(Plan::Commit { changes, then: old.len() })
    })
    .await
}

fn revoked_before(tables: &Tables, oldest: i64) -> Vec<&Versioned<WebhookSubscription>> {
    let rows = tables.webhooks.iter().map(|(_, row)| row.as_ref());
    let old = rows.filter(|row| row.value.revoked_at_ms.is_some_and(|at| at <= oldest));
    old.take(SWEPT_AT_ONCE).collect()
}

/// The row, and the place that it has among its owner's.
fn removal(tables: &Tables, row: &Versioned<WebhookSubscription>) -> Vec<RowChange> {
    let gone = |key: String, expected_revision: u64| RowChange {
        key,
        expected_revision,
        value: Bytes::new(),
        deleted: true,
    };
    let it = &row.value;
    let mut changes = vec![gone(control::webhook(&it.subscription_id), row.revision)];
    let callback = callback_hash(&it.owner_agent, &it.callback_url);
    let place = tables.webhook_callbacks.get(format!("{}/{callback}", it.workspace_id));
    if let Some(place) = place.filter(|place| place.value == it.subscription_id) {
        let key = control::webhook_callback(&it.workspace_id, &callback);
        changes.push(gone(key, place.revision));
    }
    changes
}

#[cfg(test)]
mod tests {
    use axp_proto::node::Row;
    use prost::Message as _;

    use super::*;

    #[test]
    fn only_what_was_revoked_long_ago_goes_with_its_place() {
        let mut tables = Tables::default();
        let mut apply = |key: String, value: Bytes| {
            tables.apply(&Row { key, revision: 7, value, deleted: false }).unwrap();
        };
        for (id, revoked_at_ms) in [("old", Some(10)), ("new", Some(20)), ("live", None)] {
            let row = WebhookSubscription {
                subscription_id: id.to_owned(),
                workspace_id: "w".to_owned(),
                owner_agent: "agent://a".to_owned(),
                callback_url: format!("https://{id}"),
                revoked_at_ms,
                ..WebhookSubscription::default()
            };
            let callback = callback_hash(&row.owner_agent, &row.callback_url);
            apply(control::webhook(id), row.encode_to_vec().into());
            apply(control::webhook_callback("w", &callback), Bytes::from(id.to_owned()));
        }
        let old = revoked_before(&tables, 10);
        let ids: Vec<_> = old.iter().map(|it| it.value.subscription_id.as_str()).collect();
        assert_eq!(ids, ["old"]);
        let changes = removal(&tables, old[0]);
        assert_eq!(changes.len(), 2);
        assert!(changes.iter().all(|it| it.deleted && it.expected_revision == 7));
        assert_eq!(changes[0].key, control::webhook("old"));
        assert!(changes[1].key.starts_with(control::WEBHOOK_CALLBACK));
    }
}
