//! One file's bytes: what programs see, what a power loss leaves, and the changes in between.

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use super::{Lost, Survival};

/// What a drive writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Box<[u8]> },
    SetLen(u64),
}

impl Change {
    fn apply(&self, target: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => write_at(target, *offset, bytes),
            Self::SetLen(len) => target.resize(to_index(*len), 0),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Write { bytes, .. } => bytes.len() as u64,
            Self::SetLen(_) => 0,
        }
    }
}

/// A regular file.
#[derive(Debug, Clone, Default)]
pub struct FileData {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Up to where something was ever written: what lies behind was only made long.
    written: u64,
    /// Damage that nobody has written over since: position and bit.
    flipped: Vec<(u64, u8)>,
}

impl FileData {
    #[must_use]
    pub fn len(&self) -> u64 {
        self.now.len() as u64
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    /// What it takes on the disk.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.written
    }

    #[must_use]
    pub fn unsynced_changes(&self) -> usize {
        self.unsynced.len()
    }

    #[must_use]
    pub fn read(&self, offset: u64, size: u32) -> &[u8] {
        let start = to_index(offset).min(self.now.len());
        let end = (start + size as usize).min(self.now.len());
        &self.now[start..end]
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        self.written = self.written.max(end);
        self.unflip(|position| (offset..end).contains(&position));
        self.change(Change::Write { offset, bytes: bytes.into() });
    }

    pub fn set_len(&mut self, len: u64) {
        self.written = self.written.min(len);
        self.unflip(|position| position >= len);
        self.change(Change::SetLen(len));
    }

    /// Makes it at least as long, with blocks for all of it.
    pub fn allocate(&mut self, len: u64) {
        if len > self.len() {
            self.set_len(len);
        }
        self.written = self.written.max(len);
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }

    /// `fsync` that succeeds.
    pub fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// `fsync` that fails as Linux lets it fail: the pages count as clean afterwards, so a second
    /// `fsync` succeeds although these bytes never reached the disk.
    pub fn sync_failed(&mut self) {
        self.unsynced.clear();
    }

    /// Turns into what is left after a power loss.
    pub fn lose_power(&mut self, survival: Survival, rng: &mut StdRng) -> Lost {
        let mut lost = Lost::default();
        for change in std::mem::take(&mut self.unsynced) {
            let survives = survival != Survival::Lose && rng.random_bool(0.5);
            if !survives {
                lost.writes += 1;
                lost.bytes += change.len();
                continue;
            }
            lost.survived += 1;
            match &change {
                Change::Write { offset, bytes }
                    if survival == Survival::Torn && rng.random_bool(0.5) =>
                {
                    lost.bytes += write_torn(&mut self.durable, *offset, bytes, rng);
                }
                Change::Write { .. } | Change::SetLen(_) => change.apply(&mut self.durable),
            }
        }
        self.now.clone_from(&self.durable);
        self.written = self.written.min(self.len());
        lost
    }

    /// Flips one bit of the byte at `position`, in what is seen and in what is durable.
    pub fn flip(&mut self, position: u64, bit: u8) {
        self.flip_bit(position, bit);
        self.flipped.push((position, bit));
    }

    fn flip_bit(&mut self, position: u64, bit: u8) {
        for bytes in [&mut self.now, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(to_index(position)) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// Takes damage back where `wanted`, and tells how many bits. What was written over is whole.
    pub fn unflip(&mut self, wanted: impl Fn(u64) -> bool) -> usize {
        let flipped = std::mem::take(&mut self.flipped);
        let (back, stays): (Vec<_>, Vec<_>) = flipped.into_iter().partition(|(at, _)| wanted(*at));
        for (position, bit) in &back {
            self.flip_bit(*position, *bit);
        }
        self.flipped = stays;
        back.len()
    }
}

fn to_index(offset: u64) -> usize {
    usize::try_from(offset).expect("this machine addresses 64 bits")
}

fn write_at(target: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = to_index(offset);
    let end = start + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    target[start..end].copy_from_slice(bytes);
}

/// Writes the sectors that chance picks; returns how many bytes were lost.
fn write_torn(target: &mut Vec<u8>, offset: u64, bytes: &[u8], rng: &mut impl Rng) -> u64 {
    let mut lost = 0;
    let mut position = offset;
    let mut rest = bytes;
    while !rest.is_empty() {
        let in_sector = SECTOR_BYTES - position % SECTOR_BYTES;
        let take = rest.len().min(to_index(in_sector));
        let (sector, tail) = rest.split_at(take);
        if rng.random_bool(0.5) {
            write_at(target, position, sector);
        } else {
            lost += take as u64;
        }
        position += take as u64;
        rest = tail;
    }
    lost
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn rng(seed: u64) -> StdRng {
        StdRng::seed_from_u64(seed)
    }

    #[test]
    fn only_synced_bytes_survive_a_loss() {
        let mut file = FileData::default();
        file.write(0, b"synced");
        file.sync();
        file.write(6, b" not");
        assert_eq!(file.read(0, 100), b"synced not");
        let lost = file.lose_power(Survival::Lose, &mut rng(1));
        assert_eq!(file.read(0, 100), b"synced");
        assert_eq!(lost, Lost { writes: 1, bytes: 4, entries: 0, survived: 0 });
    }

    #[test]
    fn reordering_lets_any_subset_survive() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..64 {
            let mut file = FileData::default();
            file.write(0, b"..");
            file.sync();
            file.write(0, b"A");
            file.write(1, b"B");
            file.lose_power(Survival::Reorder, &mut rng(seed));
            seen.insert(file.read(0, 2).to_vec());
        }
        let all: Vec<Vec<u8>> = [b"..", b".B", b"A.", b"AB"].iter().map(|b| b.to_vec()).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn torn_writes_tear_at_sectors_of_the_file() {
        let mut torn = 0;
        for seed in 0..64 {
            let mut file = FileData::default();
            file.write(100, &[7; 2000]);
            file.lose_power(Survival::Torn, &mut rng(seed));
            let after = file.read(0, 4096);
            for (index, sector) in after.chunks(512).enumerate() {
                let written = &sector[if index == 0 { 100.min(sector.len()) } else { 0 }..];
                assert!(written.iter().all(|b| *b == 7) || written.iter().all(|b| *b == 0));
            }
            let kept = after.iter().filter(|byte| **byte == 7).count();
            torn += usize::from(kept > 0 && kept < 2000);
        }
        assert!(torn > 5, "{torn} of 64 were torn");
    }

    #[test]
    fn a_failed_sync_is_not_made_good_by_the_next() {
        let mut file = FileData::default();
        file.write(0, b"x");
        file.sync_failed();
        file.sync();
        assert_eq!(file.read(0, 1), b"x");
        file.lose_power(Survival::Reorder, &mut rng(3));
        assert!(file.is_empty());
    }

    #[test]
    fn the_same_seed_leaves_the_same_bytes() {
        let run = |seed| {
            let mut file = FileData::default();
            for index in 0..100_u64 {
                file.write(index * 37, &[1; 700]);
            }
            file.lose_power(Survival::Torn, &mut rng(seed));
            file.read(0, 10_000).to_vec()
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }

    #[test]
    fn damage_is_taken_back_unless_it_was_written_over() {
        let mut file = FileData::default();
        file.write(0, b"abcdef");
        file.sync();
        file.flip(1, 0);
        file.flip(4, 2);
        assert_ne!(file.read(0, 9), b"abcdef");
        file.write(4, b"xy");
        assert_eq!(file.unflip(|_| true), 1);
        assert_eq!(file.read(0, 9), b"abcdxy");
        file.lose_power(Survival::Lose, &mut rng(1));
        assert_eq!(file.read(0, 9), b"abcdef");
    }

    #[test]
    fn truncation_is_a_change_like_any_other() {
        let mut file = FileData::default();
        file.write(0, b"abcdef");
        file.sync();
        file.set_len(3);
        assert_eq!(file.len(), 3);
        file.lose_power(Survival::Lose, &mut rng(1));
        assert_eq!(file.read(0, 9), b"abcdef");
    }
}
