//! Folding a compare-and-set over records: rows with revisions, as the control group has them, but
//! spread over the shards and kept by no gateway.

use axp_proto::log::{Record, RecordAppend, RecordChange};
use axp_raft_store::{Error, Outcome, Transaction};

use crate::shard::keys;
use crate::shard::tables::{Rows, put, put_number};

pub(super) fn commit(tx: &mut Transaction<'_>, append: &RecordAppend) -> Result<Outcome, Error> {
    let home = append.home.as_ref().ok_or_else(|| Error::applier("records without a home"))?;
    let last = tx.number(keys::RECORD_REVISION)?;
    let mut before = Vec::with_capacity(append.changes.len());
    for change in &append.changes {
        let key = keys::record(home, &change.table, &change.id);
        let record: Option<Record> = tx.message(&key)?;
        if record.as_ref().map_or(0, |record| record.revision) != change.expected_revision {
            return Ok(Outcome::Stale { position: last });
        }
        before.push((key, record));
    }
    // One counter for all records, so that one which is deleted and made again has a new revision.
    let revision = last + 1;
    for (change, (key, before)) in append.changes.iter().zip(before) {
        replace(tx, key, before.as_ref(), change, revision);
    }
    put_number(tx, keys::RECORD_REVISION.to_vec(), revision);
    Ok(Outcome::Accepted { position: revision })
}

fn replace(
    tx: &mut Transaction<'_>,
    key: Vec<u8>,
    before: Option<&Record>,
    change: &RecordChange,
    revision: u64,
) {
    if let Some(at) = before.and_then(|before| before.expire_at_ms) {
        tx.delete(keys::expiring(at, &key));
    }
    if change.deleted {
        tx.delete(key);
        return;
    }
    if let Some(at) = change.expire_at_ms {
        tx.put(keys::expiring(at, &key), Vec::new());
    }
    let value = change.value.clone();
    put(tx, key, &Record { revision, value, expire_at_ms: change.expire_at_ms });
}
