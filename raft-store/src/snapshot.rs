//! A snapshot of one group's state: a view when it goes out, a verified file when it came in.
//!
//! Nothing here survives a restart: a view is made from the state whenever one is needed, and a
//! received file is installed or thrown away.

use std::ops::ControlFlow;
use std::sync::Arc;

use axp_proto::ids::GroupId;
use bytes::Bytes;

use crate::engine::{View, Visit};
use crate::error::Error;
use crate::keyspace::StateKeys;
use crate::types::LogId;

mod chunks;
mod format;
mod sink;
pub(crate) mod spool;

pub use chunks::Chunks;
pub use format::VERSION as FORMAT_VERSION;
pub use sink::SnapshotSink;
pub(crate) use sink::clean;

/// The state of one group at one log index.
#[derive(Debug, Clone)]
pub struct SnapshotData {
    group: GroupId,
    applied: Option<LogId>,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    View { from: [u8; StateKeys::PREFIX], view: Arc<dyn View> },
    Received(Arc<sink::Received>),
}

impl SnapshotData {
    pub(crate) fn of_view(
        group: GroupId,
        applied: Option<LogId>,
        from: [u8; StateKeys::PREFIX],
        view: Arc<dyn View>,
    ) -> Self {
        Self { group, applied, source: Source::View { from, view } }
    }

    /// The group it belongs to.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// The log id at which it stands.
    pub fn applied(&self) -> Option<LogId> {
        self.applied
    }

    /// Its bytes in chunks of at most 1 MiB. Reads the disk: not for an async thread.
    pub fn into_chunks(self) -> Chunks {
        Chunks::new(self)
    }

    /// Refuses what was announced as something else than it is.
    pub(crate) fn check(&self, group: GroupId, applied: Option<LogId>) -> Result<(), Error> {
        if self.group == group && self.applied == applied {
            return Ok(());
        }
        Err(Error::Snapshot(format!(
            "it holds group {} at {:?}, announced was group {group} at {applied:?}",
            self.group, self.applied
        )))
    }

    /// Visits all keys and values of the applier, in ascending order.
    pub(crate) fn records(&self, visit: &mut Visit<'_>) -> Result<(), Error> {
        match &self.source {
            Source::View { .. } => self.records_from(None, visit),
            Source::Received(received) => received.records(visit),
        }
    }

    /// Visits the keys of a view behind `after`.
    fn records_from(&self, after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), Error> {
        let Source::View { from, view } = &self.source else { return Ok(()) };
        let mut start = from.to_vec();
        if let Some(after) = after {
            start.extend_from_slice(after);
            // The smallest key behind it.
            start.push(0);
        }
        view.scan(&start, &mut |key, value| match key.get(StateKeys::PREFIX..) {
            Some(key) => visit(key, value),
            None => ControlFlow::Continue(()),
        })
    }

    fn header(&self) -> Bytes {
        format::header(self.group, self.applied)
    }
}
