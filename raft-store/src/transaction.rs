//! What an applier sees of its group's state: the committed state under the changes of its batch.

use std::collections::BTreeMap;
use std::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::engine::{Batch, Engine};
use crate::error::Error;
use crate::keyspace::StateKeys;

/// Changes that are not yet in the engine, by full key; `None` is a deletion.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    changes: BTreeMap<Bytes, Option<Bytes>>,
    bytes: usize,
}

impl Overlay {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Moves all changes into a batch.
    pub(crate) fn take(&mut self) -> Batch {
        let mut batch = Batch::default();
        for (key, value) in std::mem::take(&mut self.changes) {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        self.bytes = 0;
        batch
    }
}

/// One entry's window onto the state. Changes of a batch become visible to others, and survive,
/// together with the applied index.
pub struct Transaction<'a> {
    engine: &'a dyn Engine,
    prefix: [u8; StateKeys::PREFIX],
    overlay: &'a mut Overlay,
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("changes", &self.overlay.len()).finish_non_exhaustive()
    }
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(
        engine: &'a dyn Engine,
        prefix: [u8; StateKeys::PREFIX],
        overlay: &'a mut Overlay,
    ) -> Self {
        Self { engine, prefix, overlay }
    }

    fn full(&self, key: &[u8]) -> Bytes {
        let mut full = BytesMut::with_capacity(StateKeys::PREFIX + key.len());
        full.put_slice(&self.prefix);
        full.put_slice(key);
        full.freeze()
    }

    /// The value of `key`, including what this batch has changed already.
    ///
    /// # Errors
    /// When the engine cannot read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let full = self.full(key);
        match self.overlay.changes.get(&full) {
            Some(change) => Ok(change.clone()),
            None => self.engine.get(&full),
        }
    }

    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) {
        let (full, value) = (self.full(key.as_ref()), value.into());
        self.overlay.bytes += full.len() + value.len();
        self.overlay.changes.insert(full, Some(value));
    }

    pub fn delete(&mut self, key: impl AsRef<[u8]>) {
        let full = self.full(key.as_ref());
        self.overlay.bytes += full.len();
        self.overlay.changes.insert(full, None);
    }
}
