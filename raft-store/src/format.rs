//! Who may use a node directory: the lock against a second process, and the format file.
//!
//! Format 1: `log/` and `state/` are engine instances with the keys of `keyspace.rs` and the values
//! of `record.rs`; `snapshots/` holds nothing that has to survive a restart.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;

use crate::engine::EngineKind;
use crate::engine::sled::sync_dir;
use crate::error::Error;

const VERSION: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";

/// Held for as long as the store is open; the system releases it when the process ends.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

/// Takes the lock of `dir`, creating the directory if needed.
pub(crate) fn lock(dir: &Path) -> Result<DirLock, Error> {
    fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    let path = dir.join(LOCK_FILE);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(Error::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(DirLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: dir.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(Error::Io { action: "lock", path, source }),
    }
}

/// Refuses a directory of another format or engine; marks an empty one as ours.
pub(crate) fn check_or_create(dir: &Path, engine: EngineKind) -> Result<(), Error> {
    let path = dir.join(FORMAT_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => check(&path, &text, engine),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse_unmarked(dir)?;
            create(dir, engine)
        }
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

fn check(path: &Path, text: &str, engine: EngineKind) -> Result<(), Error> {
    let refuse = |reason| Err(Error::Format { path: path.to_path_buf(), reason });
    let mut version = None;
    let mut written_by = None;
    for line in text.lines() {
        match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("axp-store-format", value)) => version = Some(value),
            Some(("engine", value)) => written_by = Some(value),
            Some((key, _)) => return refuse(format!("unknown key {key:?}")),
            None => return refuse(format!("unreadable line {line:?}")),
        }
    }
    match version {
        Some(found) if found == VERSION.to_string() => {}
        Some(found) => {
            return refuse(format!(
                "it has format {found}, this program reads and writes format {VERSION}"
            ));
        }
        None => return refuse("it does not name a format".to_owned()),
    }
    match written_by {
        Some(found) if found == engine.to_string() => Ok(()),
        Some(found) => refuse(format!(
            "it was created with the engine {found}, but {engine} is configured; engines are not \
             converted in place, give the node an empty directory and a new identity instead"
        )),
        None => refuse("it does not name an engine".to_owned()),
    }
}

/// A directory with data but without the format file lost it, or is something else altogether.
fn refuse_unmarked(dir: &Path) -> Result<(), Error> {
    for name in ["log", "state"] {
        let path = dir.join(name);
        if path.exists() {
            let reason = format!("it holds data, but {FORMAT_FILE} is missing beside it");
            return Err(Error::Format { path, reason });
        }
    }
    Ok(())
}

/// Written aside, synced, renamed: a crash leaves the whole file or none.
fn create(dir: &Path, engine: EngineKind) -> Result<(), Error> {
    let path = dir.join(FORMAT_FILE);
    let aside = dir.join("FORMAT.new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&aside)?;
        write!(file, "axp-store-format = {VERSION}\nengine = {engine}\n")?;
        file.sync_all()?;
        fs::rename(&aside, &path)
    };
    write().map_err(Error::io("write", &path))?;
    sync_dir(dir)?;
    match dir.parent() {
        Some(parent) if parent != Path::new("") => sync_dir(parent),
        _ => Ok(()),
    }
}

/// Syncs `dir` and every directory below it, so that no entry that was made while opening is lost.
///
/// fjall does not sync `keyspaces/` after it made a folder there, and nobody but us syncs the store's
/// own directory after `log/` and `state/` came to be. Journaling file systems make such entries
/// durable with the next sync of any file; POSIX does not ask it of them, and the power-loss tests
/// showed an empty store without this (`axp-powerloss --entries strict`).
pub(crate) fn sync_dirs(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let entry = entry.map_err(Error::io("list", dir))?;
        if entry.file_type().map_err(Error::io("list", dir))?.is_dir() {
            sync_dirs(&entry.path())?;
        }
    }
    sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_user_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        assert!(matches!(lock(dir.path()), Err(Error::Locked { .. })));
        drop(first);
        lock(dir.path()).unwrap();
    }

    #[test]
    fn other_formats_and_engines_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        check_or_create(dir.path(), EngineKind::Fjall).unwrap();
        check_or_create(dir.path(), EngineKind::Fjall).unwrap();
        let refused = check_or_create(dir.path(), EngineKind::Sled).unwrap_err();
        assert!(refused.to_string().contains("created with the engine fjall"), "{refused}");

        let path = dir.path().join(FORMAT_FILE);
        fs::write(&path, "axp-store-format = 2\nengine = fjall\n").unwrap();
        let refused = check_or_create(dir.path(), EngineKind::Fjall).unwrap_err();
        assert!(refused.to_string().contains("format 2"), "{refused}");
        for text in ["", "axp-store-format = 1\n", "engine = fjall\n", "garbage\n"] {
            fs::write(&path, text).unwrap();
            assert!(check_or_create(dir.path(), EngineKind::Fjall).is_err(), "{text:?}");
        }

        fs::remove_file(&path).unwrap();
        fs::create_dir(dir.path().join("log")).unwrap();
        let refused = check_or_create(dir.path(), EngineKind::Fjall).unwrap_err();
        assert!(refused.to_string().contains("FORMAT is missing"), "{refused}");
    }
}
