//! Translates what the kernel asks, and nothing more.
//!
//! Direct I/O and no caching of names or attributes, so that the kernel holds nothing that a power
//! loss would have to take from it.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow,
    WriteFlags,
};

use crate::powerloss::control::{CONTROL_FILE, PowerLossDisk};
use crate::powerloss::disk::{DiskError, ROOT, Stat};

const CONTROL_INO: u64 = u64::MAX - 1;
const NO_CACHING: Duration = Duration::ZERO;
const BLOCK_BYTES: u32 = 4096;
const O_TRUNC: i32 = 0o1000;
/// `O_SYNC` and `O_DSYNC` share this bit.
const O_DSYNC: i32 = 0o10000;
const FALLOC_KEEP_SIZE: i32 = 1;
const FALLOC_ZERO_RANGE: i32 = 0x10;
const FALLOC_PUNCH_HOLE: i32 = 2;

/// What the kernel talks to.
#[derive(Debug)]
pub(super) struct Fuse {
    disk: PowerLossDisk,
}

impl From<DiskError> for Errno {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::NotFound => Self::ENOENT,
            DiskError::Exists => Self::EEXIST,
            DiskError::NotEmpty => Self::ENOTEMPTY,
            DiskError::NotDirectory => Self::ENOTDIR,
            DiskError::IsDirectory => Self::EISDIR,
            DiskError::Io => Self::EIO,
            DiskError::NoSpace => Self::ENOSPC,
        }
    }
}

fn attributes(stat: &Stat) -> FileAttr {
    FileAttr {
        ino: INodeNo(stat.ino),
        size: stat.len,
        blocks: stat.len.div_ceil(512),
        atime: stat.modified,
        mtime: stat.modified,
        ctime: stat.modified,
        crtime: stat.modified,
        kind: if stat.is_dir { FileType::Directory } else { FileType::RegularFile },
        perm: stat.mode,
        nlink: if stat.is_dir { 2 } else { u32::from(stat.linked) },
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

fn permissions(mode: u32, umask: u32) -> u16 {
    u16::try_from(mode & !umask & 0o7777).expect("twelve bits fit")
}

impl Fuse {
    pub(super) fn new(disk: &PowerLossDisk) -> Self {
        Self { disk: disk.clone() }
    }

    fn control_stat(&self) -> Stat {
        let len = self.disk.answer().len() as u64;
        let modified = SystemTime::now();
        Stat { ino: CONTROL_INO, len, is_dir: false, mode: 0o600, modified, linked: true }
    }

    fn stat(&self, ino: u64) -> Result<Stat, DiskError> {
        if ino == CONTROL_INO { Ok(self.control_stat()) } else { self.disk.lock().stat(ino) }
    }

    fn fallocate_bytes(&self, ino: u64, offset: u64, length: u64, mode: i32) -> Result<(), Errno> {
        let mut disk = self.disk.lock();
        let len = disk.stat(ino)?.len;
        let keeps_size = mode & FALLOC_KEEP_SIZE != 0;
        match mode & !FALLOC_KEEP_SIZE {
            0 => {}
            FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE => {
                let end = (offset + length).min(len);
                let zeroes = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
                disk.write(ino, offset.min(len), &vec![0; zeroes])?;
            }
            _ => return Err(Errno::EOPNOTSUPP),
        }
        if !keeps_size && offset + length > len {
            disk.allocate(ino, offset + length)?;
        }
        Ok(())
    }

    fn write_bytes(&self, ino: u64, offset: u64, data: &[u8], flags: i32) -> Result<(), Errno> {
        if ino == CONTROL_INO {
            let line = std::str::from_utf8(data).map_err(|_| Errno::EINVAL)?;
            return self.disk.execute_text(line.trim()).map_err(|_| Errno::EINVAL);
        }
        let mut disk = self.disk.lock();
        disk.write(ino, offset, data)?;
        if flags & O_DSYNC != 0 {
            disk.sync(ino)?;
        }
        Ok(())
    }

    fn sync(&self, ino: u64) -> Result<(), Errno> {
        if ino == CONTROL_INO {
            return Ok(());
        }
        let delay = self.disk.lock().sync_delay(ino);
        if let Some(delay) = delay {
            // The disk is slow, not the test: this is the fault itself.
            std::thread::sleep(delay);
        }
        Ok(self.disk.lock().sync(ino)?)
    }
}

/// Answers with `$ok` or with the error.
macro_rules! answer {
    ($reply:ident, $result:expr, $value:pat => $ok:expr) => {
        match $result {
            Ok($value) => $ok,
            Err(error) => $reply.error(Errno::from(error)),
        }
    };
}

impl Filesystem for Fuse {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = if parent.0 == ROOT && name == CONTROL_FILE {
            Ok(self.control_stat())
        } else {
            self.disk.lock().lookup(parent.0, name)
        };
        answer!(reply, found, stat => {
            reply.entry(&NO_CACHING, &attributes(&stat), Generation(0));
        });
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, self.stat(ino.0), stat => reply.attr(&NO_CACHING, &attributes(&stat)));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if ino.0 == CONTROL_INO {
            return reply.attr(&NO_CACHING, &attributes(&self.control_stat()));
        }
        let mut disk = self.disk.lock();
        let changed = (|| {
            if let Some(size) = size {
                disk.set_len(ino.0, size)?;
            }
            if let Some(mode) = mode {
                disk.set_mode(ino.0, permissions(mode, 0))?;
            }
            disk.stat(ino.0)
        })();
        answer!(reply, changed, stat => reply.attr(&NO_CACHING, &attributes(&stat)));
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let mut disk = self.disk.lock();
        let made = disk.mkdir(parent.0, name, permissions(mode, umask));
        answer!(reply, made.and_then(|ino| disk.stat(ino)), stat => {
            reply.entry(&NO_CACHING, &attributes(&stat), Generation(0));
        });
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let mut disk = self.disk.lock();
        let made = disk.create(parent.0, name, permissions(mode, umask)).and_then(|ino| {
            disk.opened(ino)?;
            disk.stat(ino)
        });
        answer!(reply, made, stat => reply.created(
            &NO_CACHING,
            &attributes(&stat),
            Generation(0),
            FileHandle(0),
            FopenFlags::FOPEN_DIRECT_IO,
        ));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.disk.lock().unlink(parent.0, name), () => reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.disk.lock().rmdir(parent.0, name), () => reply.ok());
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !(flags - RenameFlags::RENAME_NOREPLACE).is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let may_replace = flags.is_empty();
        let (from, to) = ((parent.0, name), (newparent.0, newname));
        answer!(reply, self.disk.lock().rename(from, to, may_replace), () => reply.ok());
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = if ino.0 == CONTROL_INO {
            Ok(())
        } else {
            let mut disk = self.disk.lock();
            let truncated = if flags.0 & O_TRUNC != 0 { disk.set_len(ino.0, 0) } else { Ok(()) };
            truncated.and_then(|()| disk.opened(ino.0))
        };
        answer!(reply, opened, () => {
            reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
        });
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.disk.lock().closed(ino.0);
        reply.ok();
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if ino.0 == CONTROL_INO {
            let answer = self.disk.answer();
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(answer.len());
            let end = (start + size as usize).min(answer.len());
            return reply.data(&answer.as_bytes()[start..end]);
        }
        answer!(reply, self.disk.lock().read(ino.0, offset, size), bytes => reply.data(bytes));
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let size = u32::try_from(data.len()).expect("the kernel writes at most 16 MiB at once");
        answer!(reply, self.write_bytes(ino.0, offset, data, flags.0), () => reply.written(size));
    }

    /// `close`: nothing becomes durable by it.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer!(reply, self.sync(ino.0), () => reply.ok());
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer!(reply, self.disk.lock().sync_dir(ino.0), () => reply.ok());
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.disk.lock().list(ino.0);
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) => return reply.error(Errno::from(error)),
        };
        let dots = [(".".into(), ino.0, true), ("..".into(), ino.0, true)];
        let all = dots.into_iter().chain(entries).zip(1_u64..);
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for ((name, ino, is_dir), next) in all.skip(skipped) {
            let kind = if is_dir { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(ino), next, kind, &name) {
                break;
            }
        }
        reply.ok();
    }

    /// No attributes; answered so, the kernel does not ask again.
    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _size: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        // As good as endless; a full disk is a fault of its own.
        let blocks = 1 << 28;
        reply.statfs(blocks, blocks, blocks, blocks, blocks, BLOCK_BYTES, 255, BLOCK_BYTES);
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        answer!(reply, self.fallocate_bytes(ino.0, offset, length, mode), () => reply.ok());
    }
}
