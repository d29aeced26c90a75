//! The disk: inodes and directories as programs see them; `power` is what a power loss leaves of
//! them. No kernel in here.

mod power;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::time::{Duration, SystemTime};

use super::EntryRule;
use super::faults::{Fault, Faults};
use super::file::FileData;
use super::names::Names;

pub const ROOT: u64 = 1;

/// Why an operation was refused, in the words of `errno`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    #[error("no such file or directory")]
    NotFound,
    #[error("the name exists")]
    Exists,
    #[error("directory not empty")]
    NotEmpty,
    #[error("not a directory")]
    NotDirectory,
    #[error("is a directory")]
    IsDirectory,
    #[error("input/output error")]
    Io,
    #[error("no space left")]
    NoSpace,
}

pub type Result<T> = std::result::Result<T, DiskError>;

#[derive(Debug, Clone)]
enum Kind {
    File(FileData),
    Dir(BTreeMap<OsString, u64>),
}

#[derive(Debug, Clone)]
struct Inode {
    kind: Kind,
    /// Where it hangs in the tree that programs see; `None` once unlinked.
    place: Option<(u64, OsString)>,
    mode: u16,
    modified: SystemTime,
    opens: u32,
}

/// What `stat` shows.
#[derive(Debug, Clone, Copy)]
pub struct Stat {
    pub ino: u64,
    pub len: u64,
    pub is_dir: bool,
    pub mode: u16,
    pub modified: SystemTime,
    pub linked: bool,
}

/// What was asked of the disk so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub writes: u64,
    pub bytes: u64,
    pub file_syncs: u64,
    pub dir_syncs: u64,
    pub power_losses: u64,
}

/// A file system in memory that knows what a power loss would leave.
#[derive(Debug, Clone)]
pub struct Disk {
    inodes: HashMap<u64, Inode>,
    /// Never used twice, not even over a power loss: an old handle finds nothing, not another file.
    next_ino: u64,
    names: Names,
    rule: EntryRule,
    pub faults: Faults,
    pub counters: Counters,
}

impl Disk {
    #[must_use]
    pub fn new(rule: EntryRule) -> Self {
        let root = Inode {
            kind: Kind::Dir(BTreeMap::new()),
            place: None,
            mode: 0o755,
            modified: SystemTime::UNIX_EPOCH,
            opens: 0,
        };
        Self {
            inodes: HashMap::from([(ROOT, root)]),
            next_ino: ROOT + 1,
            names: Names::new(rule),
            rule,
            faults: Faults::default(),
            counters: Counters::default(),
        }
    }

    pub fn lookup(&self, dir: u64, name: &OsStr) -> Result<Stat> {
        let ino = *self.entries(dir)?.get(name).ok_or(DiskError::NotFound)?;
        self.stat(ino)
    }

    pub fn stat(&self, ino: u64) -> Result<Stat> {
        let inode = self.inode(ino)?;
        let (len, is_dir) = match &inode.kind {
            Kind::File(file) => (file.len(), false),
            Kind::Dir(entries) => (entries.len() as u64, true),
        };
        let linked = ino == ROOT || inode.place.is_some();
        Ok(Stat { ino, len, is_dir, mode: inode.mode, modified: inode.modified, linked })
    }

    /// Names, inodes and whether each is a directory.
    pub fn list(&self, dir: u64) -> Result<Vec<(OsString, u64, bool)>> {
        let entries = self.entries(dir)?.iter();
        entries.map(|(name, ino)| Ok((name.clone(), *ino, self.stat(*ino)?.is_dir))).collect()
    }

    pub fn create(&mut self, dir: u64, name: &OsStr, mode: u16) -> Result<u64> {
        self.check_space_for(dir, name)?;
        self.link_new(dir, name, Kind::File(FileData::default()), mode)
    }

    pub fn mkdir(&mut self, dir: u64, name: &OsStr, mode: u16) -> Result<u64> {
        self.check_space_for(dir, name)?;
        self.link_new(dir, name, Kind::Dir(BTreeMap::new()), mode)
    }

    fn link_new(&mut self, dir: u64, name: &OsStr, kind: Kind, mode: u16) -> Result<u64> {
        if self.entries(dir)?.contains_key(name) {
            return Err(DiskError::Exists);
        }
        let ino = self.next_ino;
        self.next_ino += 1;
        let place = Some((dir, name.to_owned()));
        let modified = SystemTime::now();
        self.inodes.insert(ino, Inode { kind, place, mode, modified, opens: 0 });
        self.entries_mut(dir)?.insert(name.to_owned(), ino);
        self.names.link(dir, name, ino);
        Ok(ino)
    }

    pub fn unlink(&mut self, dir: u64, name: &OsStr) -> Result<()> {
        let stat = self.lookup(dir, name)?;
        if stat.is_dir {
            return Err(DiskError::IsDirectory);
        }
        self.detach(dir, name, stat.ino)
    }

    pub fn rmdir(&mut self, dir: u64, name: &OsStr) -> Result<()> {
        let stat = self.lookup(dir, name)?;
        if !self.entries(stat.ino)?.is_empty() {
            return Err(DiskError::NotEmpty);
        }
        self.detach(dir, name, stat.ino)
    }

    fn detach(&mut self, dir: u64, name: &OsStr, ino: u64) -> Result<()> {
        self.entries_mut(dir)?.remove(name);
        self.inode_mut(ino)?.place = None;
        self.names.unlink(dir, name);
        Ok(())
    }

    pub fn rename(
        &mut self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        may_replace: bool,
    ) -> Result<()> {
        let moved = self.lookup(from.0, from.1)?;
        match self.lookup(to.0, to.1) {
            Ok(old) if old.ino == moved.ino => return Ok(()),
            Ok(_) if !may_replace => return Err(DiskError::Exists),
            Ok(old) if old.is_dir && !moved.is_dir => return Err(DiskError::IsDirectory),
            Ok(old) if !old.is_dir && moved.is_dir => return Err(DiskError::NotDirectory),
            Ok(old) if old.is_dir && !self.entries(old.ino)?.is_empty() => {
                return Err(DiskError::NotEmpty);
            }
            Ok(old) => self.inode_mut(old.ino)?.place = None,
            Err(DiskError::NotFound) => {}
            Err(error) => return Err(error),
        }
        self.entries_mut(to.0)?.insert(to.1.to_owned(), moved.ino);
        self.entries_mut(from.0)?.remove(from.1);
        self.inode_mut(moved.ino)?.place = Some((to.0, to.1.to_owned()));
        self.names.rename(from, to, moved.ino);
        Ok(())
    }

    pub fn opened(&mut self, ino: u64) -> Result<()> {
        self.inode_mut(ino)?.opens += 1;
        Ok(())
    }

    pub fn closed(&mut self, ino: u64) {
        // A handle from before a power loss is nobody's.
        if let Ok(inode) = self.inode_mut(ino) {
            inode.opens = inode.opens.saturating_sub(1);
        }
    }

    pub fn read(&mut self, ino: u64, offset: u64, size: u32) -> Result<&[u8]> {
        if self.strike(ino, |fault| matches!(fault, Fault::ReadFails)).is_some() {
            return Err(DiskError::Io);
        }
        Ok(self.file_mut(ino)?.read(offset, size))
    }

    pub fn write(&mut self, ino: u64, offset: u64, bytes: &[u8]) -> Result<()> {
        // A file that was only made longer has no blocks there yet.
        let grows = offset + bytes.len() as u64 > self.file_mut(ino)?.written_bytes();
        if grows && self.strike(ino, |fault| matches!(fault, Fault::DiskFull)).is_some() {
            return Err(DiskError::NoSpace);
        }
        self.counters.writes += 1;
        self.counters.bytes += bytes.len() as u64;
        self.file_mut(ino)?.write(offset, bytes);
        self.inode_mut(ino)?.modified = SystemTime::now();
        Ok(())
    }

    pub fn set_len(&mut self, ino: u64, len: u64) -> Result<()> {
        self.file_mut(ino)?.set_len(len);
        Ok(())
    }

    /// `fallocate`: longer, and with blocks for all of it.
    pub fn allocate(&mut self, ino: u64, len: u64) -> Result<()> {
        let grows = len > self.file_mut(ino)?.written_bytes();
        if grows && self.strike(ino, |fault| matches!(fault, Fault::DiskFull)).is_some() {
            return Err(DiskError::NoSpace);
        }
        self.file_mut(ino)?.allocate(len);
        Ok(())
    }

    pub fn set_mode(&mut self, ino: u64, mode: u16) -> Result<()> {
        self.inode_mut(ino)?.mode = mode;
        Ok(())
    }

    /// How much longer than usual a sync of this file takes; to be waited before [`Self::sync`].
    pub fn sync_delay(&mut self, ino: u64) -> Option<Duration> {
        match self.strike(ino, |fault| matches!(fault, Fault::SlowSync(_)))? {
            Fault::SlowSync(delay) => Some(delay),
            Fault::SyncFails { .. } | Fault::SyncLies | Fault::ReadFails | Fault::DiskFull => None,
        }
    }

    /// `fsync` and `fdatasync` of a file.
    pub fn sync(&mut self, ino: u64) -> Result<()> {
        self.counters.file_syncs += 1;
        if self.strike(ino, |fault| matches!(fault, Fault::SyncFails { .. })).is_some() {
            self.file_mut(ino)?.sync_failed();
            return Err(DiskError::Io);
        }
        if self.strike(ino, |fault| matches!(fault, Fault::SyncLies)).is_some() {
            return Ok(());
        }
        self.file_mut(ino)?.sync();
        self.names.file_synced();
        self.forget_unreachable();
        Ok(())
    }

    /// `fsync` of a directory.
    pub fn sync_dir(&mut self, ino: u64) -> Result<()> {
        self.counters.dir_syncs += 1;
        if self.strike(ino, |fault| matches!(fault, Fault::SyncFails { .. })).is_some() {
            return Err(DiskError::Io);
        }
        if self.strike(ino, |fault| matches!(fault, Fault::SyncLies)).is_some() {
            return Ok(());
        }
        self.entries(ino)?;
        self.names.dir_synced(ino);
        self.forget_unreachable();
        Ok(())
    }

    /// The path from the root, without a leading slash; empty for the root and unlinked files.
    #[must_use]
    pub fn path(&self, ino: u64) -> String {
        let mut parts = Vec::new();
        let mut at = ino;
        while let Some((dir, name)) = self.inodes.get(&at).and_then(|inode| inode.place.as_ref()) {
            parts.push(name.to_string_lossy());
            at = *dir;
        }
        parts.reverse();
        parts.join("/")
    }

    /// What all files take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let files = self.inodes.values().map(|inode| match &inode.kind {
            Kind::File(file) => file.written_bytes(),
            Kind::Dir(_) => 0,
        });
        files.sum()
    }

    fn strike(&mut self, ino: u64, wanted: fn(&Fault) -> bool) -> Option<Fault> {
        if self.faults.is_empty() {
            return None;
        }
        let path = self.path(ino);
        self.faults.strike(&path, wanted)
    }

    fn check_space_for(&mut self, dir: u64, name: &OsStr) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let path = format!("{}/{}", self.path(dir), name.to_string_lossy());
        let path = path.trim_start_matches('/');
        match self.faults.strike(path, |fault| matches!(fault, Fault::DiskFull)) {
            Some(_) => Err(DiskError::NoSpace),
            None => Ok(()),
        }
    }

    fn inode(&self, ino: u64) -> Result<&Inode> {
        self.inodes.get(&ino).ok_or(DiskError::NotFound)
    }

    fn inode_mut(&mut self, ino: u64) -> Result<&mut Inode> {
        self.inodes.get_mut(&ino).ok_or(DiskError::NotFound)
    }

    fn file_mut(&mut self, ino: u64) -> Result<&mut FileData> {
        match &mut self.inode_mut(ino)?.kind {
            Kind::File(file) => Ok(file),
            Kind::Dir(_) => Err(DiskError::IsDirectory),
        }
    }

    fn entries(&self, dir: u64) -> Result<&BTreeMap<OsString, u64>> {
        match &self.inode(dir)?.kind {
            Kind::Dir(entries) => Ok(entries),
            Kind::File(_) => Err(DiskError::NotDirectory),
        }
    }

    fn entries_mut(&mut self, dir: u64) -> Result<&mut BTreeMap<OsString, u64>> {
        match &mut self.inode_mut(dir)?.kind {
            Kind::Dir(entries) => Ok(entries),
            Kind::File(_) => Err(DiskError::NotDirectory),
        }
    }
}

#[cfg(test)]
mod tests;
