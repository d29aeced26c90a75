//! The control group: rows with revisions, changed by compare-and-set, watched by gateways.
//!
//! What the rows mean is decided by who commits them (ADR 0002); here they are keys and bytes.
//! Every row lies under its key and under the revision of its last change, so a watcher goes on
//! from any revision without a log of its own.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axp_proto::control::SHARD_MAP;
use axp_proto::log::append::Kind;
use axp_proto::log::{Append, ControlAppend, Entry, RowChange};
use axp_proto::node::{Conflict, Group, Row, ShardMap};
use axp_raft_store::{Applied, Applier, Error, Outcome, Raft, StateReader, Transaction};
use bytes::Bytes;
use openraft::ReadPolicy;
use prost::Message;
use tokio::sync::watch;

use crate::shard::proposer::{ProposeError, write_entry};

/// The control group's revision -> u64.
const REVISION: &[u8] = b"v";
/// Rows of one page of a watch, give or take the rest of one revision.
const PAGE_ROWS: usize = 512;

fn row_key(key: &str) -> Vec<u8> {
    [b"r", key.as_bytes()].concat()
}

fn change_key(revision: u64, key: &str) -> Vec<u8> {
    [&b"c"[..], &revision.to_be_bytes(), key.as_bytes()].concat()
}

/// The state machine of the control group.
#[derive(Debug)]
pub struct ControlApplier {
    changed: watch::Sender<u64>,
    dirty: AtomicBool,
}

impl Default for ControlApplier {
    fn default() -> Self {
        Self { changed: watch::Sender::new(0), dirty: AtomicBool::new(false) }
    }
}

impl ControlApplier {
    fn append(&self, tx: &mut Transaction<'_>, append: &ControlAppend) -> Result<Outcome, Error> {
        let mut before = Vec::with_capacity(append.changes.len());
        for change in &append.changes {
            let row: Option<Row> = tx
                .get(&row_key(&change.key))?
                .map(Row::decode)
                .transpose()
                .map_err(Error::applier)?;
            let live = row.as_ref().filter(|row| !row.deleted).map_or(0, |row| row.revision);
            if live != change.expected_revision {
                let conflict =
                    Conflict { key: change.key.clone(), revision: number(tx.get(REVISION)?)? };
                return Ok(Outcome::Taken { record: conflict.encode_to_vec().into() });
            }
            before.push(row);
        }
        let revision = number(tx.get(REVISION)?)? + 1;
        for (change, before) in append.changes.iter().zip(before) {
            put_row(tx, change, before.as_ref(), revision);
        }
        tx.put(REVISION, revision.to_be_bytes().to_vec());
        self.dirty.store(true, Ordering::Relaxed);
        Ok(Outcome::Accepted { position: revision })
    }
}

fn put_row(tx: &mut Transaction<'_>, change: &RowChange, before: Option<&Row>, revision: u64) {
    if let Some(before) = before {
        tx.delete(change_key(before.revision, &change.key));
    }
    let row = Row {
        key: change.key.clone(),
        revision,
        value: if change.deleted { Bytes::new() } else { change.value.clone() },
        deleted: change.deleted,
    };
    tx.put(row_key(&change.key), row.encode_to_vec());
    tx.put(change_key(revision, &change.key), Vec::new());
}

fn number(bytes: Option<Bytes>) -> Result<u64, Error> {
    let Some(bytes) = bytes else { return Ok(0) };
    Ok(u64::from_be_bytes(bytes[..].try_into().map_err(Error::applier)?))
}

impl Applier for ControlApplier {
    fn apply(
        &self,
        state: &mut Transaction<'_>,
        _index: u64,
        entry: &Bytes,
    ) -> Result<Applied, Error> {
        let entry = Entry::decode(entry.clone()).map_err(Error::applier)?;
        let outcomes = entry.appends.iter().map(|append| match &append.kind {
            Some(Kind::Control(append)) => self.append(state, append),
            _ => Err(Error::applier("the control group's log carries rows only")),
        });
        Ok(Applied { outcomes: outcomes.collect::<Result<_, _>>()? })
    }

    fn committed(&self, _index: u64) {
        if self.dirty.swap(false, Ordering::Relaxed) {
            self.changed.send_modify(|count| *count += 1);
        }
    }

    fn restored(&self, _index: u64) {
        self.changed.send_modify(|count| *count += 1);
    }
}

/// The handle of this node's replica of the control group.
#[derive(Debug)]
pub struct Control {
    pub(crate) raft: Raft,
    reader: StateReader,
    applier: Arc<ControlApplier>,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Committed {
    Revision(u64),
    Conflict(Conflict),
}

impl Control {
    #[must_use]
    pub fn new(raft: Raft, reader: StateReader, applier: Arc<ControlApplier>) -> Arc<Self> {
        Arc::new(Self { raft, reader, applier })
    }

    /// Compares and sets rows, all or nothing.
    ///
    /// # Errors
    /// When there is no outcome; see [`ProposeError`].
    pub async fn commit(&self, changes: Vec<RowChange>) -> Result<Committed, ProposeError> {
        let append = Append { kind: Some(Kind::Control(ControlAppend { changes })) };
        let outcomes = write_entry(&self.raft, Entry { appends: vec![append] }, 1).await?;
        match outcomes.into_iter().next() {
            Some(Outcome::Accepted { position }) => Ok(Committed::Revision(position)),
            Some(Outcome::Taken { record }) => {
                Conflict::decode(record).map(Committed::Conflict).map_err(|_| ProposeError::Unknown)
            }
            Some(Outcome::Stale { .. }) | None => Err(ProposeError::Unknown),
        }
    }

    /// The revision that nobody can have been told to be newer.
    ///
    /// # Errors
    /// `NotLeader` when leadership cannot be confirmed, `Unknown` when storage fails.
    pub async fn linearizable_revision(&self) -> Result<u64, ProposeError> {
        let confirmed = self.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        match tokio::time::timeout(std::time::Duration::from_secs(2), confirmed).await {
            Ok(Ok(_)) => self.revision().map_err(|_| ProposeError::Unknown),
            Ok(Err(_)) | Err(_) => Err(ProposeError::NotLeader),
        }
    }

    /// The revision as this replica has it.
    ///
    /// # Errors
    /// When storage fails.
    pub fn revision(&self) -> Result<u64, Error> {
        number(self.reader.get(REVISION)?)
    }

    /// A row, unless it does not exist.
    ///
    /// # Errors
    /// When storage fails.
    pub fn row(&self, key: &str) -> Result<Option<Row>, Error> {
        let row = self.reader.get(&row_key(key))?;
        let row = row.map(Row::decode).transpose().map_err(Error::applier)?;
        Ok(row.filter(|row| !row.deleted))
    }

    /// Rows that changed after a revision, in the order of their last change, and the revision up
    /// to which nothing is missing; a page may end before the newest.
    ///
    /// # Errors
    /// When storage fails.
    pub fn changes_after(&self, revision: u64) -> Result<(Vec<Row>, u64), Error> {
        let (mut keys, mut upto) = (Vec::new(), revision);
        self.reader.scan(b"c", &change_key(revision + 1, ""), &mut |key, _| {
            let Some((at, key)) = key[1..].split_first_chunk::<8>() else {
                return ControlFlow::Break(());
            };
            let at = u64::from_be_bytes(*at);
            if keys.len() >= PAGE_ROWS && at != upto {
                return ControlFlow::Break(());
            }
            upto = at;
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        })?;
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            // The row may have changed since the scan: it is newer then, and comes again later.
            if let Some(row) = self.reader.get(&[&b"r"[..], &key].concat())? {
                rows.push(Row::decode(row).map_err(Error::applier)?);
            }
        }
        Ok((rows, upto))
    }

    /// Changes whenever rows did.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.applier.changed.subscribe()
    }

    /// Publishes the shard map, as whoever leads the control group; returns when it is there. A
    /// published map stays as it is but for the nodes and where replicas are.
    pub async fn publish_shard_map(&self, map: ShardMap) {
        let mut changed = self.watch();
        loop {
            match self.row(SHARD_MAP).and_then(|row| map_change(row, &map)) {
                Ok(None) => return,
                // Not being the leader is the normal answer on most nodes: look again when rows
                // change.
                Ok(Some(change)) => drop(self.commit(vec![change]).await),
                Err(error) => {
                    tracing::error!(error = %error.chain(), "cannot read the shard map");
                    return;
                }
            }
            let pause = std::time::Duration::from_millis(200);
            tokio::time::timeout(pause, changed.changed()).await.ok();
        }
    }
}

/// What makes the published row agree with this node's map; nothing if it does.
fn map_change(row: Option<Row>, map: &ShardMap) -> Result<Option<RowChange>, Error> {
    let (map, expected_revision) = match row {
        None => (map.clone(), 0),
        Some(row) => {
            let published = ShardMap::decode(row.value).map_err(Error::applier)?;
            let groups = placed(&published, map);
            if published.nodes == map.nodes && published.groups == groups {
                return Ok(None);
            }
            let epoch = published.epoch + 1;
            (ShardMap { epoch, nodes: map.nodes.clone(), groups, ..published }, row.revision)
        }
    };
    let value = map.encode_to_vec().into();
    let key = SHARD_MAP.to_owned();
    Ok(Some(RowChange { key, expected_revision, value, deleted: false }))
}

/// The published groups with the replicas of `map`.
fn placed(published: &ShardMap, map: &ShardMap) -> Vec<Group> {
    let place = |group: &Group| {
        let now = map.groups.iter().find(|now| now.id == group.id);
        let node_ids = now.map_or_else(|| group.node_ids.clone(), |now| now.node_ids.clone());
        Group { node_ids, ..group.clone() }
    };
    published.groups.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use axp_proto::node::NodeAddress;

    use super::*;

    fn map(address: &str, groups: usize) -> ShardMap {
        ShardMap {
            epoch: 1,
            slots: 4096,
            groups: vec![Group::default(); groups],
            nodes: vec![NodeAddress { id: 1, address: address.to_owned() }],
        }
    }

    fn row(map: &ShardMap) -> Option<Row> {
        let value = map.encode_to_vec().into();
        Some(Row { key: SHARD_MAP.to_owned(), revision: 7, value, deleted: false })
    }

    #[test]
    fn a_published_map_only_changes_where_nodes_and_replicas_are() {
        let published = map("old:1", 3);
        assert_eq!(map_change(row(&published), &published).unwrap(), None);
        let change = map_change(row(&published), &map("new:1", 5)).unwrap().unwrap();
        assert_eq!(change.expected_revision, 7);
        let changed = ShardMap::decode(change.value).unwrap();
        assert_eq!(changed, ShardMap { epoch: 2, ..map("new:1", 3) });
    }

    #[test]
    fn the_first_map_must_not_exist_yet() {
        let change = map_change(None, &map("a:1", 3)).unwrap().unwrap();
        assert_eq!(change.expected_revision, 0);
        assert_eq!(ShardMap::decode(change.value).unwrap(), map("a:1", 3));
    }
}
