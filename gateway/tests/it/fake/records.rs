//! Records, faked: one map and one counter.

use std::collections::BTreeMap;

use axp_proto::log::{Record, RecordHome};
use axp_proto::node::{
    CommitRecordsRequest, GetRecords, ListRecords, RecordList, RecordName, RecordRow,
    RecordsCommitted, RecordsConflict, commit_records_response as response,
};
use axp_proto::shard_map::{group_of, record_slot};

use super::{FakeNode, SHARD_GROUPS, take};

/// Workspace and name of the home, table, id.
type Key = [String; 4];

#[derive(Debug, Default)]
pub(crate) struct Records {
    revision: u64,
    pub(crate) rows: BTreeMap<Key, Record>,
}

fn key(home: &RecordHome, table: &str, id: &str) -> Key {
    [&home.workspace_id, &home.name, table, id].map(ToOwned::to_owned)
}

impl Records {
    pub(super) fn get(&self, get: &GetRecords) -> RecordList {
        let home = get.home.as_ref().unwrap();
        let row = |name: &RecordName| RecordRow {
            name: Some(name.clone()),
            record: self.rows.get(&key(home, &name.table, &name.id)).cloned(),
        };
        RecordList { records: get.names.iter().map(row).collect() }
    }

    pub(super) fn list(&self, list: &ListRecords) -> RecordList {
        let home = list.home.as_ref().unwrap();
        let from = key(home, &list.table, "");
        let rows = self.rows.range(from.clone()..).take_while(|(key, _)| key[..3] == from[..3]);
        let rows = rows
            .filter(|(key, _)| key[3].starts_with(&list.id_prefix) && key[3] > list.after_id)
            .take(list.limit as usize);
        let row = |(key, record): (&Key, &Record)| RecordRow {
            name: Some(RecordName { table: key[2].clone(), id: key[3].clone() }),
            record: Some(record.clone()),
        };
        RecordList { records: rows.map(row).collect() }
    }

    fn commit(&mut self, request: CommitRecordsRequest) -> response::Outcome {
        let append = request.append.unwrap();
        let home = append.home.unwrap();
        assert_eq!(u32::from(group_of(record_slot(&home), SHARD_GROUPS)), request.group);
        let stale = append.changes.iter().any(|change| {
            let known = self.rows.get(&key(&home, &change.table, &change.id));
            known.map_or(0, |record| record.revision) != change.expected_revision
        });
        if stale {
            return response::Outcome::Conflict(RecordsConflict {});
        }
        self.revision += 1;
        for change in append.changes {
            let key = key(&home, &change.table, &change.id);
            if change.deleted {
                self.rows.remove(&key);
                continue;
            }
            let (revision, expire_at_ms) = (self.revision, change.expire_at_ms);
            self.rows.insert(key, Record { revision, value: change.value, expire_at_ms });
        }
        response::Outcome::Committed(RecordsCommitted { revision: self.revision })
    }
}

impl FakeNode {
    pub(super) fn commit_records(
        &self,
        request: CommitRecordsRequest,
    ) -> Result<response::Outcome, tonic::Status> {
        if let Some(hint) = self.not_leader(request.group) {
            return Ok(response::Outcome::NotLeader(hint));
        }
        let outcome = self.shared.change(|state| state.records.commit(request));
        if take(&self.faults.lose_answers) {
            return Err(tonic::Status::unavailable("the answer is lost"));
        }
        Ok(outcome)
    }
}
