//! What was refused for being too much.

use serde::{Deserialize, Serialize};

use super::Span;

/// A request that a gateway did not let in because its key asks too often.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusal {
    pub span: Span,
    pub org: usize,
    /// By the client that floods the gateway; nobody else comes near its limit.
    pub flooding: bool,
    /// Of the intent that was not made.
    pub correlation_id: Option<String>,
    pub code: String,
    pub retry_after_seconds: Option<u32>,
}
