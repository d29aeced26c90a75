//! Reads of the push queue.

use std::ops::ControlFlow;

use axp_proto::log::{Parcel, PublishEvent};
use axp_raft_store::Error;
use bytes::Bytes;

use super::ShardReader;
use crate::shard::keys;
use crate::shard::tables::{Rows, decode};

/// Parcels of one receiver that are due, by due time.
#[derive(Debug, Default, PartialEq)]
pub struct DueParcels {
    pub parcels: Vec<Parcel>,
    /// Due time of the first one that was found, whether it is due or not.
    pub first_ms: Option<i64>,
    /// Due time of the first one that is not among `parcels`.
    pub next_ms: Option<i64>,
}

impl ShardReader {
    /// # Errors
    /// See [`Self::intent`]; so for all reads here.
    pub fn parcel(&self, key: &[u8]) -> Result<Option<Parcel>, Error> {
        self.0.message(key)
    }

    /// The parcel of an intent's delivery, if there is one.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn intent_parcel(&self, intent_id: &[u8]) -> Result<Option<Parcel>, Error> {
        self.0.message(&keys::intent_parcel(intent_id))
    }

    /// Every receiver with waiting parcels, and when the first of them is due. One look-up for each
    /// receiver, however many parcels wait.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn receivers(&self) -> Result<Vec<(String, i64)>, Error> {
        let mut receivers = Vec::new();
        let mut from = keys::PARCELS_DUE.to_vec();
        loop {
            let mut found = None;
            self.0.scan(keys::PARCELS_DUE, &from, &mut |key, _| {
                found = keys::parse_parcel_due(key).map(|(name, due)| (name.to_owned(), due));
                ControlFlow::Break(())
            })?;
            let Some((receiver, due_at_ms)) = found else { return Ok(receivers) };
            from = keys::parcels_due_behind(&receiver);
            receivers.push((receiver, due_at_ms));
        }
    }

    /// The parcels of a receiver that are due, at most `limit`. Nothing is due before `floor_ms`, as
    /// the caller knows: deleted rows before it are not walked through.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn due_parcels(
        &self,
        receiver: &str,
        floor_ms: i64,
        now_ms: i64,
        limit: usize,
    ) -> Result<DueParcels, Error> {
        let (mut due, mut found) = (DueParcels::default(), Vec::new());
        let from = keys::parcels_due_from(receiver, floor_ms);
        self.scan(&keys::parcels_due(receiver), &from, |key, value| {
            let (_, due_at_ms) = keys::parse_parcel_due(key)
                .ok_or_else(|| Error::Corrupt("a due parcel without a time".to_owned()))?;
            due.first_ms = due.first_ms.or(Some(due_at_ms));
            if due_at_ms > now_ms || found.len() >= limit {
                due.next_ms = Some(due_at_ms);
                return Ok(false);
            }
            found.push(value.to_vec());
            Ok(true)
        })?;
        for key in found {
            // Gone since the scan: what changed it rang the bell.
            due.parcels.extend(self.parcel(&key)?);
        }
        Ok(due)
    }

    /// A published event, while it is remembered.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn published(&self, event_id: &[u8]) -> Result<Option<PublishEvent>, Error> {
        self.0.message(&keys::published(event_id))
    }

    /// All parcels of an event.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn event_parcels(&self, event_id: &[u8]) -> Result<Vec<Parcel>, Error> {
        let mut parcels = Vec::new();
        let prefix = keys::event_parcels(event_id);
        self.scan(&prefix, &prefix, |_, value| {
            parcels.push(decode(Bytes::copy_from_slice(value))?);
            Ok(true)
        })?;
        Ok(parcels)
    }

    /// Parcels of a workspace that were given up, newest first.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn dead_parcels(&self, workspace_id: &str, limit: usize) -> Result<Vec<Parcel>, Error> {
        let mut found = Vec::new();
        let prefix = keys::dead_parcels(workspace_id);
        self.scan(&prefix, &prefix, |_, value| {
            found.push(value.to_vec());
            Ok(found.len() < limit)
        })?;
        let parcels = found.iter().filter_map(|key| self.parcel(key).transpose());
        parcels.collect()
    }

    /// Rows of the push queue that may be forgotten.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn forgettable_pushes(&self, now_ms: i64, limit: usize) -> Result<Vec<Vec<u8>>, Error> {
        let mut rows = Vec::new();
        self.scan(keys::PUSH_FORGETTING, keys::PUSH_FORGETTING, |key, value| {
            if keys::parse_push_forgetting(key).is_none_or(|at| at > now_ms) {
                return Ok(false);
            }
            rows.push(value.to_vec());
            Ok(rows.len() < limit)
        })?;
        Ok(rows)
    }

    /// How many parcels wait, and how many were given up.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn parcel_counts(&self) -> Result<(u64, u64), Error> {
        Ok((self.0.number(keys::PARCELS_WAITING)?, self.0.number(keys::PARCELS_DEAD)?))
    }
}
