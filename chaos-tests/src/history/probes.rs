//! What was tried across organizations.

use serde::{Deserialize, Serialize};

use super::{Span, Told};

/// A foreign id and an unknown one, asked for in the same way by the same client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Probe {
    pub span: Span,
    pub gateway: usize,
    pub org: usize,
    /// Whose the foreign id is.
    pub of: usize,
    /// Method and path, with ID in the place of the id.
    pub what: String,
    /// Status and body, with ID in the place of the id; unknown where an answer says only "later".
    pub foreign: Told<String>,
    pub unknown: Told<String>,
}

/// What an organization's canary has seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inspection {
    pub org: usize,
    pub answers: u64,
    pub leaks: Vec<String>,
}
