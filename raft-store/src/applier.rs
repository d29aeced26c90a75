//! The seam through which a node's domain is driven: committed bytes in, changes of state out.

use std::fmt;

use bytes::Bytes;

use crate::Error;
use crate::state_machine::Transaction;
use crate::types::Applied;

/// Folds committed entries into the state of one group.
///
/// Deterministic: the same entries give the same changes and the same outcomes on every replica.
/// Nothing here reads a clock, a random source or a hash map's order.
pub trait Applier: fmt::Debug + Send + Sync + 'static {
    /// Folds one entry. Its changes become visible together with the applied index.
    ///
    /// # Errors
    /// When the entry cannot be read or contradicts the state: the replica stops.
    fn apply(
        &self,
        state: &mut Transaction<'_>,
        index: u64,
        entry: &Bytes,
    ) -> Result<Applied, Error>;

    /// Everything up to `index` is visible to readers now. Called in order, after each batch.
    fn committed(&self, index: u64);

    /// A snapshot replaced the whole state; it stands at `index` now.
    fn restored(&self, index: u64);
}
