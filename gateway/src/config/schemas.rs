//! Section `schemas`: payloads and the schemas of their semantic types.

use serde::{Deserialize, Serialize};

use super::{Error, require_range};

/// What becomes of a payload that does not follow its schema. Later ones are stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaMode {
    /// It is not looked at.
    None,
    /// It is taken, and the answer says what is wrong.
    Warn,
    /// It is answered 422.
    Enforce,
}

/// Semantic schemas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SchemasConfig {
    /// What becomes of an intent whose payload does not follow its schema. A request can ask for
    /// more than this, not for less.
    pub mode: SchemaMode,
    /// Schemas of one workspace. Every gateway keeps all of them in memory.
    pub per_workspace_max: usize,
    /// Compiled schemas that are kept; others are compiled again when they are needed.
    pub compiled_max: usize,
}

impl Default for SchemasConfig {
    fn default() -> Self {
        Self { mode: SchemaMode::Warn, per_workspace_max: 200, compiled_max: 256 }
    }
}

impl SchemasConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let fix = "set 1 to 100000";
        let most = self.per_workspace_max as u64;
        require_range("schemas.per-workspace-max", most, 100_000, fix)?;
        require_range("schemas.compiled-max", self.compiled_max as u64, 100_000, fix)
    }
}
