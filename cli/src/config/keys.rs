//! `keys.toml`: API keys by context.
//!
//! A file and not the OS keyring: on a server without a desktop session there is none that lasts
//! (docs/cli.md says more). What others may read is refused, since by then the key is no secret.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::Folder;

const FILE: &str = "keys.toml";

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    #[serde(default)]
    keys: BTreeMap<String, String>,
}

impl Keys {
    pub(super) fn read(folder: &Folder) -> anyhow::Result<Self> {
        let path = folder.file(FILE);
        let shown = path.display();
        if let Ok(metadata) = fs::metadata(&path) {
            let mode = metadata.permissions().mode() & 0o777;
            ensure!(
                mode & 0o077 == 0,
                "{shown} can be read by others (mode {mode:03o}), so its keys are not used: \
                 `chmod 600 {shown}`, and replace the keys if somebody else may have seen them"
            );
        }
        let Some(text) = folder.read(FILE)? else { return Ok(Self::default()) };
        // The parser's own message would quote the line, and so the key.
        toml::from_str(&text)
            .ok()
            .with_context(|| format!("{shown} is damaged: repair or remove it"))
    }

    pub(super) fn write(&self, folder: &Folder) -> anyhow::Result<()> {
        folder.write(FILE, &toml::to_string(self).context("writing keys")?)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.keys.get(name).map(String::as_str)
    }

    pub(super) fn set(&mut self, name: &str, key: &str) {
        self.keys.insert(name.to_owned(), key.to_owned());
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.keys.remove(name).is_some()
    }
}
