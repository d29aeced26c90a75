//! Records of a shard: a compare-and-set by whoever asks, reads of the applied state, and the end of
//! those that have expired. What the values mean is decided by who commits them (ADR 0007).

use axp_proto::log::append::Kind;
use axp_proto::log::{Append, Record, RecordAppend, RecordChange, RecordHome};
use axp_proto::node::{ListRecords, RecordName, RecordRow};
use axp_raft_store::{Error, Outcome};
use bytes::Bytes;

use super::handle::{ExecuteError, Shard, storage};
use super::keys;
use super::proposer::ProposeError;
use super::read::{DUE_MAX, ShardReader};
use super::tables::decode;

impl Shard {
    /// Compares and sets records, all or nothing; their revision, or nothing when one of them is
    /// not what was expected.
    ///
    /// # Errors
    /// See [`ExecuteError`]; after `Unknown` it may have happened.
    pub async fn commit_records(
        &self,
        org_id: &str,
        append: RecordAppend,
    ) -> Result<Option<u64>, ExecuteError> {
        let _permit = self.admit(org_id).ok_or(ExecuteError::Overloaded)?;
        let led = self.led().ok_or(ExecuteError::NotLeader)?;
        let proposed = led.proposer().propose(Append { kind: Some(Kind::Records(append)) }).await;
        match proposed {
            Ok(Outcome::Accepted { position }) => Ok(Some(position)),
            Ok(Outcome::Stale { .. } | Outcome::Taken { .. }) => Ok(None),
            Err(ProposeError::NotLeader) => Err(ExecuteError::NotLeader),
            Err(ProposeError::Unknown) => Err(ExecuteError::Unknown),
        }
    }

    /// Records by name, as they stand here.
    ///
    /// # Errors
    /// `Storage`.
    pub fn records(
        &self,
        home: &RecordHome,
        names: Vec<RecordName>,
    ) -> Result<Vec<RecordRow>, ExecuteError> {
        self.reader().records(home, names).map_err(storage)
    }
}

impl ShardReader {
    /// Records by name. A commit may come between two of them: what a decision rests on is named
    /// in what it commits.
    ///
    /// # Errors
    /// When storage fails or holds what this program cannot read.
    pub fn records(
        &self,
        home: &RecordHome,
        names: Vec<RecordName>,
    ) -> Result<Vec<RecordRow>, Error> {
        let row = |name: RecordName| {
            let record = self.message(&keys::record(home, &name.table, &name.id))?;
            Ok(RecordRow { name: Some(name), record })
        };
        names.into_iter().map(row).collect()
    }

    /// Records of a table by id, bounded by count and bytes.
    ///
    /// # Errors
    /// See [`Self::records`].
    pub fn list_records(
        &self,
        home: &RecordHome,
        list: &ListRecords,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<RecordRow>, Error> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let prefix = keys::record(home, &list.table, &list.id_prefix);
        let mut from = keys::record(home, &list.table, &list.after_id);
        // The key after this one: ids have no NUL in them.
        from.push(0);
        let from = if list.after_id.is_empty() { &prefix } else { &from };
        self.scan(&prefix, from, |key, value| {
            let (_, table, id) = keys::parse_record(key)
                .ok_or_else(|| Error::Corrupt("a record without a name".to_owned()))?;
            let record: Record = decode(Bytes::copy_from_slice(value))?;
            bytes += value.len();
            rows.push(RecordRow { name: Some(RecordName { table, id }), record: Some(record) });
            Ok(rows.len() < count_max && bytes < bytes_max)
        })?;
        Ok(rows)
    }

    /// Appends that delete what has expired, one for each record: one of them that has changed
    /// since is refused and holds up no other.
    ///
    /// # Errors
    /// See [`Self::records`].
    pub fn expired_records(&self, now_ms: i64) -> Result<Vec<Append>, Error> {
        let mut expired = Vec::new();
        self.scan(keys::EXPIRING, keys::EXPIRING, |key, _| {
            match keys::parse_expiring(key) {
                Some((at, record)) if at <= now_ms => expired.push(record.to_vec()),
                _ => return Ok(false),
            }
            Ok(expired.len() < DUE_MAX)
        })?;
        let mut appends = Vec::with_capacity(expired.len());
        for key in expired {
            let (home, table, id) = keys::parse_record(&key)
                .ok_or_else(|| Error::Corrupt("an expiring record without a name".to_owned()))?;
            // It may have gone or got another term since the scan.
            let Some(record) = self.message::<Record>(&key)? else { continue };
            if record.expire_at_ms.is_some_and(|at| at <= now_ms) {
                let change = RecordChange {
                    table,
                    id,
                    expected_revision: record.revision,
                    deleted: true,
                    ..RecordChange::default()
                };
                let append = RecordAppend { home: Some(home), changes: vec![change] };
                appends.push(Append { kind: Some(Kind::Records(append)) });
            }
        }
        Ok(appends)
    }
}
