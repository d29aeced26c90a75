//! The folder that contexts and keys are kept in: `$AXP_CONFIG_DIR`, else `axp` in
//! `$XDG_CONFIG_HOME`, else in `~/.config`.
//!
//! ```text
//! contexts.toml   names, URLs, and which one is current
//! keys.toml       API keys by context; readable by its owner only, or it is refused
//! lock            held while a command changes one of them
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::Context as _;

#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// `None` where there is no home folder.
    pub(crate) fn find() -> Option<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = variable("AXP_CONFIG_DIR").map(PathBuf::from).or_else(|| {
            let base = variable("XDG_CONFIG_HOME").map(PathBuf::from);
            let base = base.filter(|path| path.is_absolute());
            let home = || Some(PathBuf::from(variable("HOME")?).join(".config"));
            Some(base.or_else(home)?.join("axp"))
        })?;
        Some(Self(path))
    }

    pub(crate) fn require() -> anyhow::Result<Self> {
        Self::find().context("there is no home folder to keep contexts in: set AXP_CONFIG_DIR")
    }

    #[cfg(test)]
    pub(super) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Text of a file, or `None` if there is none.
    pub(super) fn read(&self, name: &str) -> anyhow::Result<Option<String>> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Keeps other commands from changing files until the lock is dropped.
    pub(super) fn lock(&self) -> anyhow::Result<File> {
        let lock = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(self.file("lock"))?;
            file.lock()?;
            Ok::<_, io::Error>(file)
        };
        lock().with_context(|| format!("cannot write into {}", self.0.display()))
    }

    /// All or nothing, and never readable by others, not even for a moment.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let unfinished = self.file(&format!("{name}.{}", process::id()));
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, self.file(name))
        };
        write().with_context(|| format!("writing {}", self.file(name).display()))
    }
}
