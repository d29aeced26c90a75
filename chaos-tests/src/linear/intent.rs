//! One intent: absent, then open, then one of the ends, as far along as its log says.
//!
//! The log that everybody agrees on at the end fixes the order of what happened to the intent; what
//! clients were told has to fit into it in time. The state is the `seq` of the last event that has
//! happened. An event that no client asks for (a delivery, a deadline) may happen at any moment after
//! the one before it; any other happens within the span of an operation that asked for it.

use std::collections::BTreeSet;

use axp_proto::log::Status;

use super::{Model, Operation};
use crate::history::SeenEvent;

/// The log of one intent.
#[derive(Debug)]
pub(crate) struct IntentLog<'a> {
    events: &'a [SeenEvent],
    /// Markers of those who asked for an event.
    asked: BTreeSet<&'a str>,
}

/// What a client did with the intent, and what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IntentOp<'a> {
    /// Answered with this intent, or perhaps having made it.
    Create,
    /// The status that was read.
    Read { status: &'a str },
    /// Events up to this one were seen.
    Saw { seq: u32 },
    /// There is no such intent.
    NotFound,
    /// Ended it, or may have, with a result that bears this marker.
    Finish { marker: &'a str },
    /// Refused because it has ended already.
    TooLate,
}

impl<'a> IntentLog<'a> {
    /// Seqs in the log have to be 1, 2, 3 ...: others are another invariant's finding.
    pub(crate) fn new(
        events: &'a [SeenEvent],
        operations: &[Operation<IntentOp<'a>>],
    ) -> Option<Self> {
        let dense = events.iter().zip(1..).all(|(event, seq)| event.seq == seq);
        let asked = operations.iter().filter_map(|operation| match operation.op {
            IntentOp::Finish { marker } => Some(marker),
            _ => None,
        });
        dense.then_some(Self { events, asked: asked.collect() })
    }

    fn event(&self, seq: u32) -> Option<&SeenEvent> {
        self.events.get(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    /// The log as far as the creation writes it at once.
    fn created(&self) -> u32 {
        let second = self.event(2).is_some_and(|event| event.event_type == "intent.submitted");
        if second { 2 } else { 1 }
    }

    /// Whether the event at `seq` happens without a client that asks for it just then.
    fn is_spontaneous(&self, seq: u32) -> bool {
        let asked = self.marker(seq).is_some_and(|marker| self.asked.contains(marker));
        seq > self.created() && self.event(seq).is_some() && !asked
    }

    /// How far it can have come by itself.
    fn reach(&self, from: u32) -> u32 {
        let mut seq = from;
        while seq > 0 && self.is_spontaneous(seq + 1) {
            seq += 1;
        }
        seq
    }

    fn status(&self, seq: u32) -> Option<&str> {
        self.event(seq).map(|event| event.status.as_str())
    }

    fn marker(&self, seq: u32) -> Option<&str> {
        self.event(seq)?.marker.as_deref()
    }

    fn is_terminal(&self, seq: u32) -> bool {
        let status = self.status(seq).and_then(Status::from_wire_name);
        status.is_some_and(Status::is_terminal)
    }

    /// The nearest state from here on, reached without a client, of which `fits` is true. The nearest
    /// one allows whatever a later one does.
    fn nearest(&self, from: u32, fits: impl Fn(u32) -> bool) -> Option<u32> {
        (from..=self.reach(from)).find(|seq| fits(*seq))
    }
}

impl<'a> Model for IntentLog<'a> {
    type State = u32;
    type Op = IntentOp<'a>;

    fn initial(&self) -> u32 {
        0
    }

    fn step(&self, state: &u32, op: &IntentOp<'a>) -> Option<u32> {
        let seq = *state;
        match op {
            IntentOp::Create => Some(if seq == 0 { self.created() } else { seq }),
            IntentOp::Read { status } => {
                self.nearest(seq, |seq| seq > 0 && self.status(seq) == Some(status))
            }
            IntentOp::Saw { seq: seen } => self.nearest(seq, |seq| seq >= *seen),
            IntentOp::NotFound => (seq == 0).then_some(0),
            IntentOp::Finish { marker } => {
                // A second attempt of the same finisher is told of what the first one did.
                if self.marker(seq) == Some(marker) {
                    return Some(seq);
                }
                let signed = |seq| seq > 0 && self.marker(seq + 1) == Some(*marker);
                Some(self.nearest(seq, signed)? + 1)
            }
            IntentOp::TooLate => self.nearest(seq, |seq| self.is_terminal(seq)),
        }
    }
}
