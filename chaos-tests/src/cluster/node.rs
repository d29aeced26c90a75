//! A place for a node: addresses and a disk that stay, and one node after the other that uses them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Process;
use super::admin::Probe;
use super::config::NodeAddress;

/// The place, and the node that is there now.
#[derive(Debug)]
pub struct Node {
    /// Where it is among the cluster's places.
    pub index: usize,
    pub process: Process,
    pub(super) probe: Probe,
    at: NodeAddress,
    /// Where its data are.
    data: PathBuf,
    /// Whoever takes the place of another node has a new id.
    id: AtomicU64,
    is_member: AtomicBool,
}

impl Node {
    pub(super) fn new(
        index: usize,
        at: NodeAddress,
        process: Process,
        data: PathBuf,
        is_member: bool,
    ) -> anyhow::Result<Self> {
        let probe = Probe::new(&at.api, &at.admin)?;
        let (id, is_member) = (AtomicU64::new(at.id), AtomicBool::new(is_member));
        Ok(Self { index, process, probe, at, data, id, is_member })
    }

    #[must_use]
    pub fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    /// Host and port of its admin server.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.at.admin
    }

    pub(super) fn api(&self) -> &str {
        &self.at.api
    }

    /// How others reach it.
    pub(super) fn address(&self) -> NodeAddress {
        NodeAddress { id: self.id(), ..self.at.clone() }
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    pub(super) fn renumber(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }

    /// Whether the cluster counts on it.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.is_member.load(Ordering::Relaxed)
    }

    /// From now on the cluster counts on it, or does not any more.
    pub fn set_member(&self, is_member: bool) {
        self.is_member.store(is_member, Ordering::Relaxed);
    }
}
