//! A key-value store as the state of every group.

use std::sync::Arc;

use axp_node::cluster::Members;
use axp_node::net::Listener;
use axp_node::node::{Context, Services};
use axp_node::raft::groups::Appliers;
use axp_proto::ids::GroupId;
use axp_raft_store::{Applied, Applier, Error, Outcome, Payload, Transaction};
use bytes::Bytes;

/// Entries are `key=value`.
#[derive(Debug)]
struct KvApplier;

impl Applier for KvApplier {
    fn apply(
        &self,
        state: &mut Transaction<'_>,
        index: u64,
        entry: &Bytes,
    ) -> Result<Applied, Error> {
        let text = std::str::from_utf8(entry).map_err(Error::applier)?;
        let (key, value) = text.split_once('=').ok_or_else(|| Error::applier("no pair"))?;
        state.put(key.as_bytes(), value.as_bytes().to_vec());
        Ok(Applied { outcomes: vec![Outcome::Accepted { position: index }] })
    }

    fn committed(&self, _index: u64) {}

    fn restored(&self, _index: u64) {}
}

#[derive(Debug)]
pub(crate) struct Kv;

impl Appliers for Kv {
    fn applier(&self, _group: GroupId) -> Arc<dyn Applier> {
        Arc::new(KvApplier)
    }
}

impl Services for Kv {
    fn appliers(&self, _members: &Members) -> Arc<dyn Appliers> {
        Arc::new(Kv)
    }

    fn start(&self, _context: &Context, _api: Listener) {}
}

pub(crate) fn put(key: &str, value: &str) -> Payload {
    Payload(format!("{key}={value}").into())
}
