//! What a node meets outside of itself: the machine, unless somebody embeds it elsewhere.

use std::fmt;
use std::sync::Arc;

use axp_raft_store::{Error, Store, StoreConfig};

use crate::clock::Clock;
use crate::net::Dial;
use crate::raft::link::Links;

/// Opens the store in place of `Store::open`.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// # Errors
    /// As `Store::open`.
    fn open(&self, config: &StoreConfig) -> Result<Arc<Store>, Error>;
}

/// Network, clock and disk of one node. No configuration reaches this.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub links: Links,
    pub dial: Dial,
    pub clock: Clock,
    /// The directory of the configuration if there is none.
    pub disk: Option<Arc<dyn Disk>>,
}

impl Surroundings {
    pub(super) fn open_store(&self, config: &StoreConfig) -> Result<Arc<Store>, Error> {
        match &self.disk {
            Some(disk) => disk.open(config),
            None => Store::open(config),
        }
    }
}
