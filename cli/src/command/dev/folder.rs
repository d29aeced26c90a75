//! What `axp dev` keeps in its data folder beside the nodes' own folders.
//!
//! ```text
//! <data-dir>/dev.json   how many nodes and which engine the folder was made with
//! <data-dir>/api-key    the key that was made, readable by its owner only
//! <data-dir>/node-N/    the store of node N
//! <data-dir>/media/     what was uploaded
//! ```

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a folder is made for; fixed once there is data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    pub(super) nodes: u8,
    pub(super) engine: String,
}

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder, or opens it if it was made for the same shape.
    pub(super) fn open(path: &Path, shape: &Shape) -> anyhow::Result<Self> {
        let context = || format!("the data folder {}", path.display());
        fs::create_dir_all(path).with_context(context)?;
        let folder = Self { path: path.to_owned() };
        let file = path.join("dev.json");
        match fs::read(&file) {
            Ok(bytes) => {
                let made: Shape = serde_json::from_slice(&bytes)
                    .with_context(|| format!("{} is damaged", file.display()))?;
                refuse_another_shape(path, &made, shape)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                folder.write("dev.json", 0o644, &serde_json::to_vec(shape)?)?;
            }
            Err(error) => return Err(error).with_context(context),
        }
        Ok(folder)
    }

    pub(super) fn node(&self, id: u64) -> PathBuf {
        self.path.join(format!("node-{id}"))
    }

    /// The key of this folder, made at the first call.
    pub(super) fn api_key(&self) -> anyhow::Result<String> {
        let file = self.path.join("api-key");
        match fs::read_to_string(&file) {
            Ok(key) => {
                ensure!(!key.trim().is_empty(), "{} is empty: remove it", file.display());
                Ok(key.trim().to_owned())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // 244 random bits; the form is that of the keys that the server makes itself.
                let (a, b) = (Uuid::new_v4().simple(), Uuid::new_v4().simple());
                let key = format!("axme_sa_dev_{a}{b}");
                self.write("api-key", 0o600, format!("{key}\n").as_bytes())?;
                Ok(key)
            }
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }

    /// All or nothing: a crash in the middle leaves the file as it was.
    fn write(&self, name: &str, mode: u32, bytes: &[u8]) -> anyhow::Result<()> {
        let unfinished = self.path.join(format!("{name}.new"));
        let write = || {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(mode)
                .open(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, self.path.join(name))?;
            fs::File::open(&self.path)?.sync_all()
        };
        write().with_context(|| format!("writing {name} into {}", self.path.display()))
    }
}

fn refuse_another_shape(path: &Path, made: &Shape, wanted: &Shape) -> anyhow::Result<()> {
    let path = path.display();
    ensure!(
        made.nodes == wanted.nodes,
        "{path} was made with --nodes {}: start it with that number, or choose another --data-dir",
        made.nodes
    );
    ensure!(
        made.engine == wanted.engine,
        "{path} was made with --engine {}: start it with that, or choose another --data-dir",
        made.engine
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn shape(nodes: u8) -> Shape {
        Shape { nodes, engine: "fjall".into() }
    }

    #[test]
    fn the_key_stays_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let key = Folder::open(folder.path(), &shape(1)).unwrap().api_key().unwrap();
        let again = Folder::open(folder.path(), &shape(1)).unwrap().api_key().unwrap();
        assert_eq!(key, again);
        assert!(key.starts_with("axme_sa_dev_") && key.len() > 64);
        let mode = fs::metadata(folder.path().join("api-key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn another_shape_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        Folder::open(folder.path(), &shape(3)).unwrap();
        let error = Folder::open(folder.path(), &shape(1)).unwrap_err().to_string();
        assert!(error.contains("was made with --nodes 3"), "{error}");
        let sled = Shape { nodes: 3, engine: "sled".into() };
        let error = Folder::open(folder.path(), &sled).unwrap_err().to_string();
        assert!(error.contains("was made with --engine fjall"), "{error}");
    }
}
