//! Identifiers as types: checked where they are made, opaque afterwards.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// How many slots there are, for ever: 12 bits of every intent id.
pub const SLOTS: u16 = 4096;

/// A place on the ring of slots; a group owns a range of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u16);

impl Slot {
    /// The slot of a hash: its low 12 bits.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "12 bits are left")]
    pub fn from_hash(hash: u64) -> Self {
        Self((hash & u64::from(SLOTS - 1)) as u16)
    }

    /// The slot with this number, if there is one.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (number < SLOTS).then_some(Self(number))
    }

    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A Raft group. Group 0 is the control group; shards are 1, 2, 3 ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u16);

impl GroupId {
    pub const CONTROL: Self = Self(0);

    #[must_use]
    pub fn is_control(self) -> bool {
        self == Self::CONTROL
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<GroupId> for u32 {
    fn from(group: GroupId) -> Self {
        Self::from(group.0)
    }
}

impl TryFrom<u32> for GroupId {
    type Error = IdError;

    fn try_from(value: u32) -> Result<Self, IdError> {
        u16::try_from(value).map(Self).map_err(|_| IdError::Group)
    }
}

/// UUIDv7 whose 12-bit `rand_a` field is the slot, so that any gateway routes any intent without
/// a look-up (design, section 2). Ids sort by the time they were made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntentId(Uuid);

impl IntentId {
    /// Builds an id from the time in Unix milliseconds (48 bits of it), a slot and 62 random bits.
    #[must_use]
    pub fn new(unix_ms: u64, slot: Slot, random: u64) -> Self {
        let high = (unix_ms << 16) | 0x7000 | u64::from(slot.0);
        let low = (random & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        Self(Uuid::from_u64_pair(high, low))
    }

    #[must_use]
    pub fn slot(self) -> Slot {
        let bytes = self.0.as_bytes();
        Slot(u16::from_be_bytes([bytes[6], bytes[7]]) & (SLOTS - 1))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    #[must_use]
    pub fn to_bytes(self) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(self.0.as_bytes())
    }

    /// # Errors
    /// When the bytes are not 16 or not a UUIDv7.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
        Self::checked(Uuid::from_slice(bytes).map_err(|_| IdError::Intent)?)
    }

    fn checked(uuid: Uuid) -> Result<Self, IdError> {
        if uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(IdError::Intent) }
    }
}

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for IntentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::checked(Uuid::try_parse(text).map_err(|_| IdError::Intent)?)
    }
}

/// What is wrong with an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("not an intent id")]
    Intent,
    #[error("not a group id")]
    Group,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_intent_id_carries_its_slot(ms in 0_u64..1 << 48, slot in 0..SLOTS, random: u64) {
            let slot = Slot::new(slot).unwrap();
            let id = IntentId::new(ms, slot, random);
            prop_assert_eq!(id.slot(), slot);
            prop_assert_eq!(id.to_string().parse::<IntentId>(), Ok(id));
            prop_assert_eq!(IntentId::from_slice(id.as_bytes()), Ok(id));
        }

        #[test]
        fn ids_sort_by_time(ms in 0_u64..(1 << 48) - 1, a: u64, b: u64) {
            let slot = Slot::new(7).unwrap();
            prop_assert!(IntentId::new(ms, slot, a) < IntentId::new(ms + 1, slot, b));
        }
    }

    #[test]
    fn other_uuids_are_refused() {
        assert_eq!("not-a-uuid".parse::<IntentId>(), Err(IdError::Intent));
        let v4 = Uuid::from_u128(0x1234_4000_8000_0000_0000).to_string();
        assert_eq!(v4.parse::<IntentId>(), Err(IdError::Intent));
    }
}
