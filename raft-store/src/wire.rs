//! openraft's values as `axp.raft.v1` messages and back; on the wire and in the log's records alike.
//!
//! Converting from a message checks it: a field that must be there and is not is an error.

use std::collections::{BTreeMap, BTreeSet};

use axp_proto::mutant::{self, Mutant};
use axp_proto::raft;
use openraft::entry::EntryPayload;
use openraft::vote::RaftLeaderId as _;

use crate::error::Error;
use crate::types::{
    Entry, LogId, Membership, NodeAddress, Payload, StoredMembership, TypeConfig, Vote,
};

type LeaderId = openraft::type_config::alias::LeaderIdOf<TypeConfig>;

fn missing(what: &'static str, field: &str) -> Error {
    Error::Wire { what, reason: format!("{field} is missing") }
}

pub fn log_id_to_proto(id: &LogId) -> raft::LogId {
    let leader = id.committed_leader_id();
    raft::LogId { term: leader.term, node_id: leader.node_id, index: id.index() }
}

/// Cannot fail today; fallible so that callers are ready for a stricter form.
pub fn log_id_from_proto(id: &raft::LogId) -> Result<LogId, Error> {
    Ok(LogId::new(LeaderId::new(id.term, id.node_id).to_committed(), id.index))
}

pub fn vote_to_proto(vote: &Vote) -> raft::LeaderVote {
    let leader = vote.leader_id();
    raft::LeaderVote { term: leader.term, node_id: leader.node_id, committed: vote.is_committed() }
}

/// Cannot fail today; fallible so that callers are ready for a stricter form.
pub fn vote_from_proto(vote: &raft::LeaderVote) -> Result<Vote, Error> {
    Ok(match vote.committed {
        true => Vote::new_committed(vote.term, vote.node_id),
        false => Vote::new(vote.term, vote.node_id),
    })
}

pub fn membership_to_proto(membership: &Membership) -> raft::Membership {
    let configs = membership.get_joint_config().iter();
    let configs =
        configs.map(|config| raft::VoterSet { node_ids: config.iter().copied().collect() });
    let address = |(id, node): (&u64, &NodeAddress)| raft::MemberAddress {
        node_id: *id,
        raft_address: node.raft_address.clone(),
    };
    let added = membership.nodes().filter(|(_, node)| !node.raft_address.is_empty());
    raft::Membership {
        configs: configs.collect(),
        learners: membership.learner_ids().collect(),
        addresses: added.map(address).collect(),
    }
}

pub fn membership_from_proto(membership: &raft::Membership) -> Result<Membership, Error> {
    let mut configs: Vec<BTreeSet<u64>> =
        membership.configs.iter().map(|config| config.node_ids.iter().copied().collect()).collect();
    if configs.len() > 2 {
        let reason = format!("{} voter sets, at most two can be joint", configs.len());
        return Err(Error::Wire { what: "membership", reason });
    }
    if mutant::active(Mutant::MembershipAtOnce) {
        configs.drain(..configs.len().saturating_sub(1));
    }
    let ids = configs.iter().flatten().chain(&membership.learners);
    let mut nodes: BTreeMap<u64, NodeAddress> =
        ids.map(|id| (*id, NodeAddress::default())).collect();
    for address in &membership.addresses {
        if let Some(node) = nodes.get_mut(&address.node_id) {
            node.raft_address.clone_from(&address.raft_address);
        }
    }
    Membership::new(configs, nodes)
        .map_err(|error| Error::Wire { what: "membership", reason: error.to_string() })
}

pub fn stored_membership_to_proto(stored: &StoredMembership) -> raft::StoredMembership {
    raft::StoredMembership {
        log_id: stored.log_id().as_ref().map(log_id_to_proto),
        membership: Some(membership_to_proto(stored.membership())),
    }
}

pub fn stored_membership_from_proto(
    stored: &raft::StoredMembership,
) -> Result<StoredMembership, Error> {
    let log_id = stored.log_id.as_ref().map(log_id_from_proto).transpose()?;
    let membership = stored.membership.as_ref();
    let membership = membership.ok_or_else(|| missing("stored membership", "membership"))?;
    Ok(StoredMembership::new(log_id, membership_from_proto(membership)?))
}

pub fn entry_to_proto(entry: &Entry) -> raft::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => raft::entry::Payload::Blank(raft::Blank {}),
        EntryPayload::Normal(payload) => raft::entry::Payload::Normal(payload.0.clone()),
        EntryPayload::Membership(membership) => {
            raft::entry::Payload::Membership(membership_to_proto(membership))
        }
    };
    raft::Entry { log_id: Some(log_id_to_proto(&entry.log_id)), payload: Some(payload) }
}

pub fn entry_from_proto(entry: raft::Entry) -> Result<Entry, Error> {
    let log_id = entry.log_id.ok_or_else(|| missing("entry", "log_id"))?;
    let payload = match entry.payload.ok_or_else(|| missing("entry", "payload"))? {
        raft::entry::Payload::Blank(raft::Blank {}) => EntryPayload::Blank,
        raft::entry::Payload::Normal(bytes) => EntryPayload::Normal(Payload(bytes)),
        raft::entry::Payload::Membership(membership) => {
            EntryPayload::Membership(membership_from_proto(&membership)?)
        }
    };
    Ok(Entry { log_id: log_id_from_proto(&log_id)?, payload })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn id(index: u64) -> LogId {
        log_id_from_proto(&raft::LogId { term: 3, node_id: 2, index }).unwrap()
    }

    #[test]
    fn entries_survive_the_wire() {
        let joint = Membership::new_with_defaults(
            vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 3, 4])],
            [9],
        );
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Normal(Payload(Bytes::from_static(b"bytes"))),
            EntryPayload::Normal(Payload(Bytes::new())),
            EntryPayload::Membership(joint),
        ];
        for payload in payloads {
            let entry = Entry { log_id: id(7), payload };
            assert_eq!(entry_from_proto(entry_to_proto(&entry)).unwrap(), entry);
        }
    }

    #[test]
    fn votes_and_memberships_survive_the_wire() {
        for vote in [Vote::new(4, 1), Vote::new_committed(4, 1)] {
            assert_eq!(vote_from_proto(&vote_to_proto(&vote)).unwrap(), vote);
        }
        let members = Membership::new_with_defaults(vec![BTreeSet::from([1])], [2]);
        for stored in [StoredMembership::default(), StoredMembership::new(Some(id(5)), members)] {
            let proto = stored_membership_to_proto(&stored);
            assert_eq!(stored_membership_from_proto(&proto).unwrap(), stored);
        }
    }

    #[test]
    fn addresses_of_added_nodes_survive_the_wire() {
        let at = |address: &str| NodeAddress { raft_address: address.to_owned() };
        let nodes = BTreeMap::from([
            (1, NodeAddress::default()),
            (4, at("four:8111")),
            (5, at("five:8111")),
        ]);
        let voters = vec![BTreeSet::from([1, 4])];
        let membership = Membership::new(voters, nodes).unwrap();
        let proto = membership_to_proto(&membership);
        assert_eq!(proto.addresses.len(), 2, "founders have none");
        assert_eq!(membership_from_proto(&proto).unwrap(), membership);
    }

    #[test]
    fn what_is_missing_is_refused() {
        assert!(entry_from_proto(raft::Entry::default()).is_err());
        let entry = raft::Entry { log_id: Some(raft::LogId::default()), payload: None };
        assert!(entry_from_proto(entry).is_err());
        assert!(stored_membership_from_proto(&raft::StoredMembership::default()).is_err());
        let configs = vec![raft::VoterSet::default(); 3];
        let three = raft::Membership { configs, ..raft::Membership::default() };
        assert!(membership_from_proto(&three).is_err());
    }
}
