//! A map of which readers hold snapshots while one writer goes on: copy on write by bucket.
//!
//! Cloning costs 256 reference counts and a write copies one bucket, so that publishing a change
//! of one row does not copy a hundred thousand others. Readers take no lock.

use std::collections::HashMap;
use std::sync::Arc;

use axp_proto::hash::stable_hash;

const BUCKETS: usize = 256;

type Bucket<V> = Arc<HashMap<Box<[u8]>, V>>;

#[derive(Debug, Clone)]
pub(crate) struct SnapshotMap<V>(Box<[Bucket<V>]>);

impl<V> Default for SnapshotMap<V> {
    fn default() -> Self {
        let empty = Bucket::<V>::default();
        Self((0..BUCKETS).map(|_| Arc::clone(&empty)).collect())
    }
}

impl<V: Clone> SnapshotMap<V> {
    pub(crate) fn get(&self, key: impl AsRef<[u8]>) -> Option<&V> {
        let key = key.as_ref();
        self.0[bucket(key)].get(key)
    }

    pub(crate) fn insert(&mut self, key: impl AsRef<[u8]>, value: V) -> Option<V> {
        let key = key.as_ref();
        Arc::make_mut(&mut self.0[bucket(key)]).insert(key.into(), value)
    }

    pub(crate) fn remove(&mut self, key: impl AsRef<[u8]>) -> Option<V> {
        let key = key.as_ref();
        let bucket = &mut self.0[bucket(key)];
        bucket.contains_key(key).then(|| Arc::make_mut(bucket).remove(key)).flatten()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.0.iter().flat_map(|bucket| bucket.iter().map(|(key, value)| (&**key, value)))
    }
}

fn bucket(key: &[u8]) -> usize {
    usize::from((stable_hash(&[key]) & 0xff) as u8)
}

#[cfg(test)]
mod tests {
    use super::SnapshotMap;

    #[test]
    fn a_snapshot_does_not_move() {
        let mut map = SnapshotMap::default();
        for number in 0..1000_u32 {
            map.insert(number.to_be_bytes(), number);
        }
        let before = map.clone();
        assert_eq!(map.insert(7_u32.to_be_bytes(), 70), Some(7));
        assert_eq!(map.remove(8_u32.to_be_bytes()), Some(8));
        assert_eq!(map.remove(8_u32.to_be_bytes()), None);
        assert_eq!(before.get(7_u32.to_be_bytes()), Some(&7));
        assert_eq!(before.iter().count(), 1000);
        assert_eq!(map.get(7_u32.to_be_bytes()), Some(&70));
        assert_eq!(map.iter().count(), 999);
    }
}
