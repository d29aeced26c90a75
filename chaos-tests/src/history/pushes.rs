//! What a receiver of pushes was sent.

use serde::{Deserialize, Serialize};

use super::Span;

/// One request to a callback, and what it was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Push {
    /// From when it was there to when it was answered.
    pub span: Span,
    pub org: usize,
    pub intent: String,
    pub correlation_id: String,
    pub attempt: u32,
    /// With the agent's secret, over this very body.
    pub signed: bool,
    pub answer: Answer,
}

/// What the receiver made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It said so at once.
    Taken,
    /// It said so late, or to a connection that was broken: the sender may not have heard it.
    TakenUnheard,
    /// An error, a redirect, or no answer.
    NotTaken,
}
