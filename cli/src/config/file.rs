//! `contexts.toml`: servers by name, without anything secret.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Folder;
use crate::exit::Usage;

const FILE: &str = "contexts.toml";
const NAME_CHARS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Context {
    pub(crate) url: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Contexts {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    contexts: BTreeMap<String, Context>,
}

impl Contexts {
    pub(crate) fn read(folder: &Folder) -> anyhow::Result<Self> {
        let Some(text) = folder.read(FILE)? else { return Ok(Self::default()) };
        let path = folder.file(FILE);
        toml::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    pub(super) fn write(&self, folder: &Folder) -> anyhow::Result<()> {
        folder.write(FILE, &toml::to_string(self).context("writing contexts")?)
    }

    /// The current context, if it is still there.
    pub(crate) fn current(&self) -> Option<&str> {
        self.current.as_deref().filter(|name| self.contexts.contains_key(*name))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Context> {
        self.contexts.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Context)> {
        self.contexts.iter().map(|(name, context)| (name.as_str(), context))
    }

    pub(super) fn set(&mut self, name: &str, context: Context) -> Result<(), Usage> {
        let fits = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(fits) {
            return Err(Usage(format!(
                "`{name}` is no name for a context: use letters, digits, `-`, `_` and `.`, at most \
                 {NAME_CHARS_MAX}"
            )));
        }
        self.contexts.insert(name.to_owned(), context);
        Ok(())
    }

    pub(super) fn choose(&mut self, name: &str) {
        self.current = Some(name.to_owned());
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        if self.current.as_deref() == Some(name) {
            self.current = None;
        }
        self.contexts.remove(name).is_some()
    }
}

/// Makes a context the one that is used when none is named.
pub(crate) fn choose(folder: &Folder, name: &str) -> anyhow::Result<bool> {
    let _lock = folder.lock()?;
    let mut contexts = Contexts::read(folder)?;
    if contexts.get(name).is_none() {
        return Ok(false);
    }
    contexts.choose(name);
    contexts.write(folder)?;
    Ok(true)
}
