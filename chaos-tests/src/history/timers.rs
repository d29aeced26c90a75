//! What has to happen at a time.

use serde::{Deserialize, Serialize};

/// The timers of one intent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Timer {
    pub intent: String,
    pub due: Due,
}

/// When they are due.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// The intent ends then, in milliseconds since 1970.
    Deadline { at_ms: i64 },
    /// A scenario waits so long at each of its steps.
    Delays { seconds: Vec<u32> },
    /// Whoever is waited for is reminded.
    Reminders { after: u32, interval: u32, most: u32 },
}
