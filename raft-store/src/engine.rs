//! The seam to a storage engine: one ordered key space, atomic batches, a durable sync, views.
//!
//! An engine promises: a batch is all or nothing, also across a power loss; batches survive in the
//! order in which they were written (what survives a power loss is a prefix of them); after `sync`
//! has returned, everything written before it survives. It leaves to others: who may write when
//! (`writer.rs` for the log, one `StateMachine` per group for the state) and what the keys mean
//! (`keyspace.rs`). Only the files in `engine/` name an engine.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;

pub(crate) mod fjall;
#[cfg(any(test, feature = "test-util"))]
pub mod sim;
pub(crate) mod sled;

/// Called with each key and value of a scan, in its order; may stop it.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Which engine a node directory is written with; fixed when the directory is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    #[default]
    Fjall,
    Sled,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fjall => "fjall",
            Self::Sled => "sled",
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("unknown storage engine {0:?}, known are fjall and sled")]
pub struct UnknownEngine(String);

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Self, UnknownEngine> {
        match text {
            "fjall" => Ok(Self::Fjall),
            "sled" => Ok(Self::Sled),
            other => Err(UnknownEngine(other.to_owned())),
        }
    }
}

/// What an engine may use and how its instance is written.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Bytes of blocks kept in memory.
    pub cache_bytes: u64,
    /// Bytes of recent writes kept in memory before they go to a table.
    pub write_buffer_bytes: u64,
    /// Every batch names the last batch that was synced before it (`writer.rs`), so that damage
    /// in the synced part can be told from a torn tail.
    pub chained: bool,
}

/// Changes which become visible, and survive, together. Of several to one key the last counts.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) ops: Vec<Op>,
    bytes: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Put(Bytes, Bytes),
    Delete(Bytes),
}

impl Batch {
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len();
        self.ops.push(Op::Put(key, value));
    }

    pub fn delete(&mut self, key: impl Into<Bytes>) {
        let key = key.into();
        self.bytes += key.len();
        self.ops.push(Op::Delete(key));
    }

    pub fn append(&mut self, mut other: Batch) {
        self.bytes += other.bytes;
        self.ops.append(&mut other.ops);
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn len(&self) -> usize {
        self.ops.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// One database of an engine.
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Writes the batch. Readers see it when this returns; a power loss may still take it back.
    fn write(&self, batch: Batch) -> Result<(), Error>;

    /// Makes everything written so far survive a power loss. After an error nothing that was
    /// written since the last good sync may be acknowledged, and the sync is not repeated: the
    /// kernel has marked the pages clean.
    fn sync(&self) -> Result<(), Error>;

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Visits the keys in `from..to` in ascending order.
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error>;

    /// As [`Self::scan`], in descending order.
    fn scan_back(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error>;

    /// The keys in `from..to` as they are now, whatever is written later. The caller sees to it
    /// that nobody writes to this range until the call returns. `spool` is a free file name for
    /// engines which have to copy.
    fn view(&self, from: &[u8], to: &[u8], spool: &Path) -> Result<Arc<dyn View>, Error>;

    /// Whether a view costs so little that it need not be kept for the next one who asks.
    fn view_is_cheap(&self) -> bool;
}

/// A range of keys at one moment.
pub trait View: fmt::Debug + Send + Sync + 'static {
    /// Visits the keys from `from` (inclusive) to the end of the range.
    fn scan(&self, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error>;
}

/// Opens an engine instance in `dir`, creating it if needed.
pub(crate) fn open(kind: EngineKind, dir: &Path, tuning: Tuning) -> Result<Arc<dyn Engine>, Error> {
    Ok(match kind {
        EngineKind::Fjall => Arc::new(fjall::Fjall::open(dir, tuning)?),
        EngineKind::Sled => Arc::new(sled::Sled::open(dir, tuning)?),
    })
}

#[cfg(test)]
mod tests;
