//! What an organization was told when it asked for many intents at once.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Span, Told};

/// The newest intents of an organization.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listing {
    pub span: Span,
    pub gateway: usize,
    pub org: usize,
    /// Only intents that were sent there; absent for all.
    pub to_agent: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Asked for when everything had ended.
    pub last: bool,
    pub told: Told<Vec<Row>>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub intent: String,
    pub status: String,
}

impl Row {
    /// Reads a row of the public API.
    pub fn parse(value: &Value) -> Option<Self> {
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        Some(Self { intent: text("intent_id")?, status: text("status")? })
    }
}
