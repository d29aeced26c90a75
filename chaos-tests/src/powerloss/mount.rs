//! A disk behind FUSE, for as long as it is mounted.

mod fuse;

use std::io;
use std::path::{Path, PathBuf};

use fuser::{BackgroundSession, Config, MountOption};

use super::control::PowerLossDisk;
use fuse::Fuse;

/// Operations served at once, so that a slow sync does not stop reads.
const THREADS: usize = 4;

/// A mounted disk; unmounted when dropped. The disk's content outlives the mount.
#[derive(Debug)]
pub struct Mounted {
    pub disk: PowerLossDisk,
    path: PathBuf,
    session: Option<BackgroundSession>,
}

impl Mounted {
    /// Mounts `disk` at `path`, an existing directory.
    ///
    /// # Errors
    /// When this process is not root or there is no `/dev/fuse`.
    pub fn mount(disk: &PowerLossDisk, path: &Path) -> io::Result<Self> {
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::FSName("axp-power-loss".to_owned()), MountOption::NoAtime];
        config.n_threads = Some(THREADS);
        let session = fuser::spawn_mount(Fuse::new(disk), path, &config)?;
        Ok(Self { disk: disk.clone(), path: path.to_owned(), session: Some(session) })
    }

    /// Why power-loss tests cannot run here, if they cannot.
    #[must_use]
    pub fn unavailable() -> Option<&'static str> {
        if !Path::new("/dev/fuse").exists() {
            return Some("there is no /dev/fuse");
        }
        if !nix::unistd::geteuid().is_root() {
            return Some("mounting needs root");
        }
        None
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let ended = self.session.take().map(BackgroundSession::umount_and_join);
        if let Some(Err(error)) = ended {
            // Somebody still holds a file: detached, the mount at least does not stay behind.
            let detached = nix::mount::umount2(&self.path, nix::mount::MntFlags::MNT_DETACH);
            tracing::warn!(path = %self.path.display(), %error, ?detached, "unmounted by force");
        }
    }
}
