//! Section `seed`: the first organization, workspace and key of a cluster.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Error;

/// Made at start unless they exist. Empty names: nothing is made.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SeedConfig {
    /// Name of the organization; its slug is the first part of agent addresses.
    pub organization: String,
    /// Name of the workspace; its slug is the second part.
    pub workspace: String,
    /// The API key, at least 12 characters; stored hashed. Better set as `AXP_API_KEY` in the
    /// environment than in a file.
    pub api_key: String,
}

impl fmt::Debug for SeedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeedConfig")
            .field("organization", &self.organization)
            .field("workspace", &self.workspace)
            .field("api_key", &if self.api_key.is_empty() { "none" } else { "set" })
            .finish()
    }
}

impl SeedConfig {
    /// Whether there is something to make.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.organization.is_empty()
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let invalid =
            |key, problem: &str, fix| Error::Invalid { key, problem: problem.to_owned(), fix };
        if !self.is_wanted() {
            return Ok(());
        }
        if self.workspace.is_empty() {
            let fix = "name a workspace, or leave seed.organization empty";
            return Err(invalid("seed.workspace", "is empty", fix));
        }
        if self.api_key.len() < 12 {
            let fix = "set AXP_API_KEY to a secret of at least 12 characters";
            return Err(invalid("seed.api-key", "is missing or too short", fix));
        }
        Ok(())
    }
}
