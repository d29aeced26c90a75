//! The power switch: what is left of a disk, and what nobody can reach any more.

use std::collections::{BTreeMap, HashMap, HashSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Disk, Inode, Kind, ROOT};
use crate::powerloss::faults::matches;
use crate::powerloss::names::Names;
use crate::powerloss::{Lost, Survival};

impl Disk {
    /// Cuts the power and boots again. Whoever had files open must be dead by now.
    pub fn lose_power(&mut self, survival: Survival, seed: u64) -> Lost {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut lost = Lost::default();
        let (entries, survived) = self.names.lose_power(survival, &mut rng);
        lost.entries += entries;
        lost.survived += survived;
        self.counters.power_losses += 1;

        let old_names = std::mem::replace(&mut self.names, Names::new(self.rule));
        let old = std::mem::take(&mut self.inodes);
        self.rebuild(old, &old_names, survival, &mut rng, &mut lost);
        lost
    }

    /// Walks the durable tree from the root and keeps what it meets, under new inode numbers.
    fn rebuild(
        &mut self,
        mut old: HashMap<u64, Inode>,
        old_names: &Names,
        survival: Survival,
        rng: &mut StdRng,
        lost: &mut Lost,
    ) {
        let mut root = old.remove(&ROOT).expect("the root is never removed");
        root.kind = Kind::Dir(BTreeMap::new());
        self.inodes.insert(ROOT, root);
        let mut to_visit = vec![(ROOT, ROOT)];
        while let Some((old_dir, new_dir)) = to_visit.pop() {
            for (name, old_ino) in old_names.entries(old_dir) {
                // Two entries can lead to one inode when half of the changes around a rename
                // survive; without hard links in this model the first entry keeps it.
                let Some(mut inode) = old.remove(&old_ino) else { continue };
                inode.opens = 0;
                match &mut inode.kind {
                    Kind::File(file) => *lost += file.lose_power(survival, rng),
                    Kind::Dir(entries) => entries.clear(),
                }
                let is_dir = matches!(inode.kind, Kind::Dir(_));
                let (kind, mode) = (inode.kind, inode.mode);
                let new_ino = self
                    .link_new(new_dir, name, kind, mode)
                    .expect("names are unique in a directory that is a directory");
                if is_dir {
                    to_visit.push((old_ino, new_ino));
                }
            }
        }
        // What was read from the disk is on the disk.
        for dir in self.inodes.keys().copied().collect::<Vec<_>>() {
            self.names.dir_synced(dir);
        }
        // Files whose entry was lost took their bytes with them.
        for inode in old.values_mut() {
            if let Kind::File(file) = &mut inode.kind {
                *lost += file.lose_power(Survival::Lose, rng);
            }
        }
    }

    /// Flips `count` bits at random places of the files that fit `pattern`; returns how many.
    pub fn flip_bits(&mut self, pattern: &str, count: usize, seed: u64) -> usize {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut inos: Vec<u64> = self.inodes.keys().copied().collect();
        inos.retain(|ino| matches(pattern, &self.path(*ino)));
        inos.retain(|ino| self.file_mut(*ino).is_ok_and(|file| file.written_bytes() > 0));
        inos.sort_unstable();
        if inos.is_empty() {
            return 0;
        }
        for _ in 0..count {
            let ino = inos[rng.random_range(0..inos.len())];
            let file = self.file_mut(ino).expect("only files were kept");
            let position = rng.random_range(0..file.written_bytes());
            file.flip(position, rng.random_range(0..8));
        }
        count
    }

    /// Takes all damage back that nobody has written over, and tells how many bits.
    pub fn unflip_bits(&mut self) -> usize {
        let files = self.inodes.values_mut().map(|inode| match &mut inode.kind {
            Kind::File(file) => file.unflip(|_| true),
            Kind::Dir(_) => 0,
        });
        files.sum()
    }

    /// Becomes again what it was when `whole` was cloned from it. Whoever had files open must be dead.
    pub fn restore(&mut self, whole: Self) {
        let next_ino = self.next_ino;
        *self = whole;
        // Never used twice, not even for what is forgotten now.
        self.next_ino = next_ino;
    }

    /// How many changes a power loss would take now.
    #[must_use]
    pub fn unsynced_changes(&self) -> usize {
        let files = self.inodes.values().map(|inode| match &inode.kind {
            Kind::File(file) => file.unsynced_changes(),
            Kind::Dir(_) => 0,
        });
        files.sum::<usize>() + self.names.unsynced_changes()
    }

    /// Drops inodes that nothing leads to any more, neither now nor after a power loss.
    pub(super) fn forget_unreachable(&mut self) {
        let unlinked = |(ino, inode): (&u64, &Inode)| {
            (*ino != ROOT && inode.place.is_none() && inode.opens == 0).then_some(*ino)
        };
        let candidates: Vec<u64> = self.inodes.iter().filter_map(unlinked).collect();
        if candidates.is_empty() {
            return;
        }
        let referenced: HashSet<u64> = self.names.referenced().collect();
        for ino in candidates {
            if !referenced.contains(&ino) {
                self.inodes.remove(&ino);
            }
        }
    }
}
