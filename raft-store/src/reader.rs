//! Reads of a group's applied state, for everybody who is not the applier.
//!
//! A read sees whole batches only. A scan holds the generation it began with, so a snapshot that is
//! installed meanwhile does not tear it. With fjall a scan is a view of one moment; with sled it
//! may see batches applied while it runs.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{Engine, Visit};
use crate::error::Error;
use crate::keyspace::{StateKeys, successor};
use crate::state::GroupState;

/// Reads the applied state of one group. Cheap to clone.
#[derive(Clone)]
pub struct StateReader {
    engine: Arc<dyn Engine>,
    group: Arc<GroupState>,
}

impl fmt::Debug for StateReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateReader").field("group", &self.group.keys.0).finish_non_exhaustive()
    }
}

impl StateReader {
    pub(crate) fn new(engine: Arc<dyn Engine>, group: Arc<GroupState>) -> Self {
        Self { engine, group }
    }

    /// The index up to which entries are visible here; zero before the first one.
    pub fn applied_index(&self) -> u64 {
        self.group.applied_index()
    }

    /// # Errors
    /// When the engine cannot read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let generation = self.group.generation.load();
        self.engine.get(&self.group.keys.key(generation.number, key))
    }

    /// Visits keys that start with `prefix` from `from` (inclusive) on, in ascending order, until
    /// `visit` breaks. A `from` before the prefix means its beginning.
    ///
    /// # Errors
    /// When the engine cannot read.
    pub fn scan(&self, prefix: &[u8], from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        // Held until the scan ends: a retired generation stays whole for as long.
        let generation = self.group.generation.load_full();
        let start = self.group.keys.key(generation.number, from.max(prefix));
        let end = self.end(generation.number, prefix);
        if start >= end {
            return Ok(());
        }
        self.engine.scan(&start, &end, &mut |key, value| visit(&key[StateKeys::PREFIX..], value))
    }

    /// Visits keys that start with `prefix` and come before `to`, in descending order, until
    /// `visit` breaks. Without a `to` it begins with the last key of the prefix.
    ///
    /// # Errors
    /// When the engine cannot read.
    pub fn scan_back(
        &self,
        prefix: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let generation = self.group.generation.load_full();
        let start = self.group.keys.key(generation.number, prefix);
        let end = self.end(generation.number, prefix);
        let end = match to {
            Some(to) => self.group.keys.key(generation.number, to).min(end),
            None => end,
        };
        if start >= end {
            return Ok(());
        }
        let visit = &mut |key: &[u8], value: &[u8]| visit(&key[StateKeys::PREFIX..], value);
        self.engine.scan_back(&start, &end, visit)
    }

    /// Just after the last key with this prefix.
    fn end(&self, generation: u32, prefix: &[u8]) -> Bytes {
        match successor(prefix) {
            Some(next) => self.group.keys.key(generation, &next),
            None => self.group.keys.generation_end(generation),
        }
    }
}
