//! Which group serves which slot, and how keys come to slots. Pure; used by gateway and node.

use crate::hash::stable_hash;
use crate::ids::{GroupId, SLOTS, Slot};
use crate::log::{MailboxKey, RecordHome};

/// The slot of a mailbox.
#[must_use]
pub fn mailbox_slot(key: &MailboxKey) -> Slot {
    let parts: [&[u8]; 3] = [b"mailbox", key.workspace_id.as_bytes(), key.address.as_bytes()];
    Slot::from_hash(stable_hash(&parts))
}

/// The slot of a write that carries an `Idempotency-Key`: a duplicate meets the original in one
/// group (design, section 3).
#[must_use]
pub fn idempotency_slot(workspace_id: &str, route: &str, key: &str) -> Slot {
    let parts: [&[u8]; 4] = [b"key", workspace_id.as_bytes(), route.as_bytes(), key.as_bytes()];
    Slot::from_hash(stable_hash(&parts))
}

/// The slot of all records of a home.
#[must_use]
pub fn record_slot(home: &RecordHome) -> Slot {
    let parts: [&[u8]; 3] = [b"record", home.workspace_id.as_bytes(), home.name.as_bytes()];
    Slot::from_hash(stable_hash(&parts))
}

/// The group that serves a slot where `shard_groups` groups share the slots in equal ranges.
///
/// # Panics
/// When `shard_groups` is 0 or more than there are slots; the founding of a cluster refuses both.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "less than the number of groups")]
pub fn group_of(slot: Slot, shard_groups: u16) -> GroupId {
    assert!((1..=SLOTS).contains(&shard_groups), "a cluster has 1 to 4096 shard groups");
    let index = u32::from(slot.get()) * u32::from(shard_groups) / u32::from(SLOTS);
    GroupId(1 + index as u16)
}

/// The slots of a group, first and last, the inverse of [`group_of`].
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "at most the number of slots")]
pub fn slots_of(group: GroupId, shard_groups: u16) -> (u16, u16) {
    let first = |index: u32| (index * u32::from(SLOTS)).div_ceil(u32::from(shard_groups));
    let index = u32::from(group.0) - 1;
    (first(index) as u16, (first(index + 1) - 1) as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_slot_has_one_group(slot in 0..SLOTS, groups in 1_u16..200) {
            let group = group_of(Slot::new(slot).unwrap(), groups);
            prop_assert!(group.0 >= 1 && group.0 <= groups);
            let (first, last) = slots_of(group, groups);
            prop_assert!((first..=last).contains(&slot));
        }
    }

    #[test]
    fn keys_spread_over_groups() {
        let mut count = [0_u32; 8];
        for index in 0..8000 {
            let key =
                MailboxKey { workspace_id: "w".into(), address: format!("agent://a/b/{index}") };
            count[usize::from(group_of(mailbox_slot(&key), 8).0 - 1)] += 1;
        }
        assert!(count.iter().all(|&n| (800..1200).contains(&n)), "{count:?}");
    }
}
