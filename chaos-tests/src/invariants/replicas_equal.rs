//! Replicas of a group that have applied the same index have the same state.

use std::collections::BTreeMap;

use super::{Findings, Invariant};
use crate::history::{History, ReplicaHash};

#[derive(Debug)]
pub(super) struct ReplicasEqual;

impl Invariant for ReplicasEqual {
    fn name(&self) -> &'static str {
        "replicas-equal"
    }

    fn promise(&self) -> &'static str {
        "P2, P9: one state at one index on every replica, however it came there"
    }

    /// One check for each replica that could be compared with another.
    fn check(&self, history: &History, findings: &mut Findings) {
        let mut first: BTreeMap<(u16, u64), &ReplicaHash> = BTreeMap::new();
        for seen in &history.replica_hashes {
            let ReplicaHash { group, applied_index, .. } = *seen;
            let known = *first.entry((group, applied_index)).or_insert(seen);
            // The same replica twice is no comparison, unless it contradicts itself.
            if known.node == seen.node && known.hash == seen.hash {
                continue;
            }
            findings.expect(known.hash == seen.hash, || {
                format!(
                    "group {group} at {applied_index}: node {} has {} rows, {}; node {} has {} rows, {}",
                    known.node, known.rows, known.hash, seen.node, seen.rows, seen.hash
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture;
    use crate::invariants::violations;

    #[test]
    fn a_replica_that_differs_is_found() {
        let mut history = fixture::good();
        history.replica_hashes[2].hash = "other".to_owned();
        assert_eq!(violations(&ReplicasEqual, &history), 1);
    }

    #[test]
    fn a_replica_that_changed_its_past_is_found() {
        let mut history = fixture::good();
        let again = ReplicaHash { hash: "other".to_owned(), ..history.replica_hashes[0].clone() };
        history.replica_hashes = vec![history.replica_hashes[0].clone(), again];
        assert_eq!(violations(&ReplicasEqual, &history), 1);
    }

    #[test]
    fn states_of_other_indexes_and_groups_are_not_compared() {
        let mut history = fixture::good();
        history.replica_hashes[1].hash = "other".to_owned();
        history.replica_hashes[1].applied_index = 8;
        history.replica_hashes[2].hash = "another".to_owned();
        history.replica_hashes[2].group = 2;
        let mut findings = Findings::default();
        ReplicasEqual.check(&history, &mut findings);
        assert_eq!((findings.checked, findings.violations), (0, 0));
    }
}
