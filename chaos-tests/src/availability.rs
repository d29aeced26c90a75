//! How long shards were not available: from the record alone, as clients saw it.
//!
//! A write counts for the shard of its intent's slot. After a fault, a shard is back when a write is
//! acknowledged that was begun after the fault; the gap between any two acknowledged writes of a
//! shard is reported too, which also shows what no fault explains.

use std::collections::BTreeMap;

use axp_proto::ids::IntentId;
use axp_proto::shard_map::group_of;
use serde::Serialize;

use crate::history::{History, Span};

/// Milliseconds, of many values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Distribution {
    pub count: usize,
    pub p50_ms: u64,
    pub p99_ms: u64,
    pub max_ms: u64,
}

impl Distribution {
    #[must_use]
    pub fn of(mut micros: Vec<u64>) -> Self {
        micros.sort_unstable();
        let at = |percent: usize| {
            // The smallest value that at least this share does not exceed.
            let rank = (micros.len() * percent).div_ceil(100).max(1);
            micros.get(rank - 1).copied().unwrap_or_default() / 1000
        };
        Self { count: micros.len(), p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

/// A shard's longest time without an acknowledged write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gap {
    pub shard: u16,
    pub begin_ms: u64,
    pub longest_ms: u64,
}

/// What the record says about availability.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Availability {
    /// For each nemesis: from the fault to the first write that was begun after it and acknowledged,
    /// one value for each shard that lost its leader.
    pub after_fault: BTreeMap<String, Distribution>,
    /// For each nemesis: from the end of the fault to the first such write of each shard.
    pub after_heal: BTreeMap<String, Distribution>,
    /// Shards that lost their leader and acknowledged nothing any more.
    pub never_back: Vec<(String, u16)>,
    /// The longest gap of each shard.
    pub gaps: Vec<Gap>,
    /// Share of seconds with at least 30 % of the rate before the first fault.
    pub lively_share: f64,
    /// Acknowledged writes per second before the first fault.
    pub undisturbed_rate: f64,
}

/// Reads it from the record; `load_ended` is when no new operations were begun.
#[must_use]
pub fn measure(history: &History, load_ended: u64) -> Availability {
    let writes = acknowledged_writes(history);
    let mut after_fault: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut never_back = Vec::new();
    for fault in &history.faults {
        for shard in &fault.groups {
            let spans = writes.get(shard).map(Vec::as_slice).unwrap_or_default();
            let back =
                spans.iter().filter(|span| span.start >= fault.at).map(|span| span.end).min();
            match back {
                Some(back) => {
                    after_fault.entry(fault.nemesis.clone()).or_default().push(back - fault.at);
                }
                None => never_back.push((fault.what.clone(), *shard)),
            }
        }
    }
    let mut after_heal: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for heal in &history.heals {
        let back = first_of(&writes, heal.at);
        after_heal.entry(heal.nemesis.clone()).or_default().extend(back.values());
    }
    let gaps = writes.iter().filter_map(|(shard, spans)| longest_gap(*shard, spans, load_ended));
    let (undisturbed_rate, lively_share) = liveliness(history, &writes, load_ended);
    Availability {
        after_fault: after_fault.into_iter().map(|(k, v)| (k, Distribution::of(v))).collect(),
        after_heal: after_heal.into_iter().map(|(k, v)| (k, Distribution::of(v))).collect(),
        never_back,
        gaps: gaps.collect(),
        lively_share,
        undisturbed_rate,
    }
}

/// For each shard, how long after `at` the first write that was begun later was acknowledged.
#[must_use]
pub fn first_writes_after(history: &History, at: u64) -> BTreeMap<u16, u64> {
    first_of(&acknowledged_writes(history), at)
}

fn first_of(writes: &BTreeMap<u16, Vec<Span>>, at: u64) -> BTreeMap<u16, u64> {
    let first = |spans: &[Span]| {
        spans.iter().filter(|span| span.start >= at).map(|span| span.end - at).min()
    };
    writes.iter().filter_map(|(shard, spans)| Some((*shard, first(spans)?))).collect()
}

/// Spans of acknowledged writes by shard.
pub(crate) fn acknowledged_writes(history: &History) -> BTreeMap<u16, Vec<Span>> {
    let submits = history
        .submits
        .iter()
        .filter_map(|submit| submit.told.done().map(|intent| (intent.as_str(), submit.span)));
    let finishes = history
        .finishes
        .iter()
        .filter_map(|finish| finish.told.done().map(|_| (finish.intent.as_str(), finish.span)));
    let mut writes: BTreeMap<u16, Vec<Span>> = BTreeMap::new();
    for (intent, span) in submits.chain(finishes) {
        if let Ok(id) = intent.parse::<IntentId>() {
            let shard = group_of(id.slot(), history.shard_groups);
            writes.entry(shard.0).or_default().push(span);
        }
    }
    writes
}

fn longest_gap(shard: u16, spans: &[Span], load_ended: u64) -> Option<Gap> {
    let mut ends: Vec<u64> = spans.iter().map(|span| span.end).collect();
    ends.retain(|end| *end <= load_ended);
    ends.sort_unstable();
    let longest = ends.windows(2).max_by_key(|pair| pair[1] - pair[0])?;
    let longest_ms = (longest[1] - longest[0]) / 1000;
    Some(Gap { shard, begin_ms: longest[0] / 1000, longest_ms })
}

fn liveliness(history: &History, writes: &BTreeMap<u16, Vec<Span>>, load_ended: u64) -> (f64, f64) {
    const SECOND: u64 = 1_000_000;
    let first_fault = history.faults.iter().map(|fault| fault.at).min().unwrap_or(load_ended);
    let begin = history.submits.iter().map(|submit| submit.span.start).min().unwrap_or_default();
    let mut by_second: BTreeMap<u64, u32> = BTreeMap::new();
    let mut before = 0_u32;
    for span in writes.values().flatten() {
        *by_second.entry(span.end / SECOND).or_default() += 1;
        before += u32::from(span.end < first_fault);
    }
    let calm_seconds = (first_fault.saturating_sub(begin) as f64 / SECOND as f64).max(0.001);
    let undisturbed = f64::from(before) / calm_seconds;
    let seconds: Vec<u64> = (first_fault / SECOND..load_ended / SECOND).collect();
    let lively = seconds
        .iter()
        .filter(|second| {
            f64::from(by_second.get(second).copied().unwrap_or_default()) >= 0.3 * undisturbed
        })
        .count();
    (undisturbed, lively as f64 / seconds.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use axp_proto::ids::Slot;

    use super::*;
    use crate::history::{FaultRecord, fixture};

    fn write(shard_slot: u16, start_ms: u64, end_ms: u64) -> crate::history::Submit {
        let id = IntentId::new(0, Slot::new(shard_slot).unwrap(), start_ms).to_string();
        let span = Span { start: start_ms * 1000, end: end_ms * 1000 };
        crate::history::Submit { span, ..fixture::submit(0, Some(&id), None) }
    }

    #[test]
    fn distributions() {
        let values = (1..=100).map(|ms| ms * 1000).collect();
        let want = Distribution { count: 100, p50_ms: 50, p99_ms: 99, max_ms: 100 };
        assert_eq!(Distribution::of(values), want);
        assert_eq!(Distribution::of(vec![7000]).p99_ms, 7);
        assert_eq!(Distribution::of(Vec::new()), Distribution::default());
    }

    #[test]
    fn a_shard_is_back_with_a_write_that_began_after_the_fault() {
        let fault = |groups: &[u16]| FaultRecord {
            at: 100_000,
            nemesis: "kill-leader".to_owned(),
            what: "kill".to_owned(),
            groups: groups.to_vec(),
            forgotten_bytes: 0,
            strike: 0,
            damage_found: false,
        };
        let history = History {
            shard_groups: 8,
            // Slot 0 is shard 1, slot 4095 shard 8. The second write was under way at the fault.
            submits: vec![
                write(0, 0, 50),
                write(0, 90, 110),
                write(0, 120, 900),
                write(4095, 0, 9),
            ],
            faults: vec![fault(&[1]), fault(&[8])],
            ..History::default()
        };
        let found = measure(&history, 1_000_000);
        assert_eq!(found.after_fault["kill-leader"].max_ms, 800);
        assert_eq!(found.never_back, [("kill".to_owned(), 8)]);
        assert_eq!(found.gaps, [Gap { shard: 1, begin_ms: 110, longest_ms: 790 }]);
    }

    #[test]
    fn a_dead_cluster_is_not_lively() {
        let mut submits: Vec<_> =
            (0..200).map(|index| write(0, index * 10, index * 10 + 5)).collect();
        submits.push(write(0, 9000, 9100));
        let faults = vec![FaultRecord {
            at: 2_000_000,
            nemesis: "kill-all".to_owned(),
            what: "kill".to_owned(),
            groups: vec![1],
            forgotten_bytes: 0,
            strike: 0,
            damage_found: false,
        }];
        let history = History { shard_groups: 8, submits, faults, ..History::default() };
        let found = measure(&history, 10_000_000);
        assert!(found.undisturbed_rate > 90.0, "{found:?}");
        assert!(found.lively_share < 0.05, "{found:?}");
    }
}
