//! What every client was told, and when: the material of all checks.
//!
//! Plain values, written as JSON so that a failed run can be looked at and checked again. Times are
//! microseconds since the run began, taken from one monotonic clock. An answer that never came is
//! [`Told::Unknown`] and means "may or may not have happened", for ever.

mod faults;
mod files;
#[cfg(test)]
pub(crate) mod fixture;
mod listings;
mod probes;
mod pushes;
mod refusals;
mod timers;

use std::collections::BTreeMap;

use axp_proto::hash::stable_hash;
use axp_proto::log::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use faults::{FaultRecord, Heal, LeaderChange};
pub(crate) use files::save_lines;
pub use listings::{Listing, Row};
pub use probes::{Inspection, Probe};
pub use pushes::{Answer, Push};
pub use refusals::Refusal;
pub use timers::{Due, Timer};

/// The key under which finishers sign their result, so that the log says whose it is.
pub const MARKER: &str = "chaos_marker";

/// When an operation began and when its answer was there, in microseconds of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told<T> {
    /// It happened.
    Done(T),
    /// It did not happen and will not.
    Refused { status: u16, code: String },
    /// A timeout, a broken connection or a 5xx: nobody knows.
    Unknown { why: String },
}

impl<T> Told<T> {
    pub fn done(&self) -> Option<&T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Refused { .. } | Self::Unknown { .. } => None,
        }
    }

    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// The status of a refusal.
    pub fn refusal(&self) -> Option<(u16, &str)> {
        match self {
            Self::Refused { status, code } => Some((*status, code)),
            Self::Done(_) | Self::Unknown { .. } => None,
        }
    }
}

/// What an intent is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An agent works on it.
    #[default]
    Work,
    /// It ends at its deadline.
    Deadline,
    /// A person decides.
    Task,
    /// It carries steps out.
    Scenario,
    /// Its agent submits the next one.
    Chain,
    /// One of many at once to one agent.
    FanIn,
    /// A large one to an agent that reads slowly.
    Hoard,
    /// One that is pushed to its agent's callback.
    Push,
}

/// The idempotency key of the link that follows one of a chain.
#[must_use]
pub fn next_key(intent: &str) -> String {
    format!("chaos-after-{intent}")
}

/// One attempt to create an intent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submit {
    pub span: Span,
    pub gateway: usize,
    /// The organization, by its place.
    pub org: usize,
    pub kind: Kind,
    /// Of a scenario: how many agents have to do their part. Of a chain: how many links follow.
    /// Of a push: how many attempts at most.
    pub steps: usize,
    /// Unique to a body: attempts with one key and one body share it, a mutated body has its own. The
    /// server is told it and keeps it, but for scenarios.
    pub correlation_id: String,
    pub to_agent: String,
    pub key: Option<String>,
    /// Reuses the key of an acknowledged intent with another body on purpose.
    pub mutated: bool,
    /// The intent id.
    pub told: Told<String>,
}

/// How an intent was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// By its owner.
    Resolve,
    /// By the agent that worked on it.
    Resume,
    /// By a person who was asked.
    Decide,
}

/// One attempt to end an intent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finish {
    pub span: Span,
    pub gateway: usize,
    pub intent: String,
    pub route: Route,
    pub marker: String,
    /// The terminal event of the answer.
    pub told: Told<SeenEvent>,
}

/// A look at one intent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Read {
    pub span: Span,
    pub gateway: usize,
    /// Through a gateway that others flood.
    #[serde(default)]
    pub visit: bool,
    pub intent: String,
    /// The status.
    pub told: Told<String>,
}

/// An event as some reader saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenEvent {
    pub seq: u32,
    pub event_type: String,
    pub status: String,
    /// Who signed the result, for terminal events.
    pub marker: Option<String>,
    /// When the server says that it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// Of the whole event.
    pub digest: u64,
}

impl SeenEvent {
    /// Reads an event object of the public API.
    pub fn parse(value: &Value) -> Option<Self> {
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        Some(Self {
            seq: u32::try_from(value.get("seq")?.as_u64()?).ok()?,
            event_type: text("event_type")?,
            status: text("status")?,
            marker: find_marker(value),
            at_ms: parse_instant(value.get("at")?.as_str()?)?,
            // Keys of a `Value` are sorted, so equal objects have equal texts.
            digest: stable_hash(&[value.to_string().as_bytes()]),
        })
    }

    #[must_use]
    pub fn is_terminal(&self) -> bool {
        Status::from_wire_name(&self.status).is_some_and(Status::is_terminal)
    }
}

/// Milliseconds since 1970.
fn parse_instant(text: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

/// The marker anywhere in a JSON value: where a result ends up in an event is the server's choice.
fn find_marker(value: &Value) -> Option<String> {
    match value {
        Value::Object(map) => match map.get(MARKER).and_then(Value::as_str) {
            Some(marker) => Some(marker.to_owned()),
            None => map.values().find_map(find_marker),
        },
        Value::Array(items) => items.iter().find_map(find_marker),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// One connection of a watcher.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Watch {
    pub span: Span,
    pub gateway: usize,
    pub intent: String,
    /// Exclusive.
    pub since: u32,
    /// For so long nothing was taken from the connection.
    #[serde(default)]
    pub unread_ms: u64,
    pub events: Vec<SeenEvent>,
}

/// One connection of an agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listen {
    pub span: Span,
    pub gateway: usize,
    pub agent: String,
    /// Exclusive.
    pub since: u32,
    /// For so long nothing was taken from the connection.
    #[serde(default)]
    pub unread_ms: u64,
    pub deliveries: Vec<Delivery>,
}

/// A delivery as an agent saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub cursor: u32,
    pub intent: String,
    pub correlation_id: String,
    /// A step of a scenario: made by the server, with the correlation id of the scenario.
    pub step: bool,
}

/// What one gateway says about one intent after everything healed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FinalRead {
    pub gateway: usize,
    pub intent: String,
    pub told: Told<FinalState>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FinalState {
    pub status: String,
    pub correlation_id: String,
    pub events: Vec<SeenEvent>,
}

/// What one replica's state came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaHash {
    pub at: u64,
    pub group: u16,
    pub node: u64,
    pub applied_index: u64,
    pub rows: u64,
    /// How long it took to read.
    pub micros: u64,
    pub hash: String,
}

/// Everything that was recorded in one run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct History {
    pub shard_groups: u16,
    /// The wall clock when the run began, in milliseconds since 1970.
    pub began_at_ms: i64,
    /// How late a timer may be on a cluster that can write.
    pub timer_late_ms_max: u64,
    pub submits: Vec<Submit>,
    pub finishes: Vec<Finish>,
    pub reads: Vec<Read>,
    pub watches: Vec<Watch>,
    pub listens: Vec<Listen>,
    pub finals: Vec<FinalRead>,
    pub timers: Vec<Timer>,
    pub listings: Vec<Listing>,
    pub probes: Vec<Probe>,
    pub inspections: Vec<Inspection>,
    pub refusals: Vec<Refusal>,
    pub pushes: Vec<Push>,
    pub faults: Vec<FaultRecord>,
    pub heals: Vec<Heal>,
    pub leader_changes: Vec<LeaderChange>,
    pub replica_hashes: Vec<ReplicaHash>,
}

impl History {
    /// Acknowledged intents, each with the attempts that were acknowledged with it.
    #[must_use]
    pub fn acknowledged(&self) -> BTreeMap<&str, Vec<&Submit>> {
        let mut intents: BTreeMap<&str, Vec<&Submit>> = BTreeMap::new();
        for submit in &self.submits {
            if let Some(id) = submit.told.done() {
                intents.entry(id).or_default().push(submit);
            }
        }
        intents
    }

    /// What the gateways say at the end, by intent.
    #[must_use]
    pub fn final_states(&self) -> BTreeMap<&str, Vec<(usize, &FinalState)>> {
        let mut states: BTreeMap<&str, Vec<(usize, &FinalState)>> = BTreeMap::new();
        for read in &self.finals {
            if let Some(state) = read.told.done() {
                states.entry(&read.intent).or_default().push((read.gateway, state));
            }
        }
        states
    }

    /// Strikes in the order in which they began: name, begin, end, and what they broke. One that was
    /// not healed lasts until `end`.
    pub fn strikes(&self, end: u64) -> impl Iterator<Item = (&str, u64, u64, String)> {
        let mut strikes: BTreeMap<u64, Vec<&FaultRecord>> = BTreeMap::new();
        for fault in &self.faults {
            strikes.entry(fault.strike).or_default().push(fault);
        }
        strikes.into_iter().map(move |(strike, faults)| {
            let healed = self.heals.iter().find(|heal| heal.strike == strike);
            let what: Vec<&str> = faults.iter().map(|fault| fault.what.as_str()).collect();
            let from = faults.iter().map(|fault| fault.at).min().unwrap_or_default();
            let to = healed.map_or(end, |heal| heal.at);
            (faults[0].nemesis.as_str(), from, to, what.join("; "))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_read_whole() {
        let event = json!({
            "intent_id": "i", "seq": 4, "event_type": "intent.completed", "status": "COMPLETED",
            "at": "2026-01-02T03:04:05.678Z", "details": {"result": {MARKER: "m-1"}}
        });
        let seen = SeenEvent::parse(&event).unwrap();
        assert_eq!((seen.seq, seen.marker.as_deref()), (4, Some("m-1")));
        assert_eq!(seen.at_ms, 1_767_323_045_678);
        assert!(seen.is_terminal());
        let mut other = event;
        other["details"]["extra"] = json!(1);
        assert_ne!(SeenEvent::parse(&other).unwrap().digest, seen.digest);
        assert_eq!(SeenEvent::parse(&json!({"seq": 1})), None);
    }
}
