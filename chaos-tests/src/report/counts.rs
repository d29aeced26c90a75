//! How much a run has done.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::availability::Distribution;
use crate::client::HUNG_UP;
use crate::history::{Answer, History, Kind, Route, Submit, Told};
use crate::timers;

/// How much was done and what came back.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    pub submits: usize,
    pub submits_acknowledged: usize,
    pub submits_refused: usize,
    pub submits_unknown: usize,
    pub intents: usize,
    pub finishes: usize,
    pub finishes_acknowledged: usize,
    pub finishes_unknown: usize,
    /// Intents that two tried to end.
    pub races: usize,
    /// Keys that were sent more than once with the same body.
    pub repeated_keys: usize,
    pub mutated_refused: usize,
    /// Keys whose answer nobody got to know, however often it was asked for.
    pub given_up: usize,
    /// Tasks that two people decided.
    pub decisions_raced: usize,
    pub scenarios: usize,
    pub steps: usize,
    pub timers: usize,
    pub timers_late_calm: Distribution,
    pub timers_late_disturbed: Distribution,
    pub chain_links: usize,
    pub bursts: usize,
    pub listings: usize,
    pub rows_listed: usize,
    pub probes: usize,
    pub answers_inspected: u64,
    /// Keys of clients that hung up, and were answered when they asked again.
    pub hung_up: usize,
    /// Connections that were left unread at first and then brought something, and how much.
    pub slow_readings: usize,
    pub slowly_read: usize,
    pub pushes: usize,
    pub pushes_taken: usize,
    /// Intents that were pushed.
    pub pushed: usize,
    pub given_up_pushing: usize,
    /// Requests of the flood that were refused for their rate.
    pub flood_refused: usize,
    /// How long others waited for an answer at the gateway that was flooded.
    pub visits: Distribution,
    pub reads: usize,
    pub connections_watching: usize,
    pub events_watched: usize,
    pub connections_listening: usize,
    pub deliveries: usize,
    pub events_compared_at_end: usize,
    pub faults: usize,
    pub leader_changes: usize,
    pub shed: u64,
    pub open_at_end: usize,
}

impl Counts {
    #[must_use]
    pub fn of(history: &History, shed: u64, open_at_end: usize) -> Self {
        let mut finishers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for finish in &history.finishes {
            let markers = finishers.entry(&finish.intent).or_default();
            if !markers.contains(&finish.marker.as_str()) {
                markers.push(&finish.marker);
            }
        }
        let mut uses: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for submit in history.submits.iter().filter(|submit| !submit.mutated) {
            if let Some(key) = &submit.key {
                *uses.entry((submit.org, key)).or_default() += 1;
            }
        }
        let of_kind = |kind| {
            let first = |submits: &Vec<&Submit>| submits[0].kind == kind;
            history.acknowledged().into_values().filter(first).count()
        };
        let scenarios = history.acknowledged().into_values().filter_map(|submits| {
            let first = submits.first()?;
            (first.kind == Kind::Scenario).then_some(first.steps)
        });
        let scenarios: Vec<usize> = scenarios.collect();
        let lateness = timers::lateness(history);
        let decided = history.finishes.iter().filter(|f| f.route == Route::Decide);
        let decided: BTreeSet<&str> = decided.map(|f| f.intent.as_str()).collect();
        let raced = |intent: &&&str| finishers.get(**intent).is_some_and(|all| all.len() > 1);
        let mutated = history.submits.iter().filter(|submit| submit.mutated);
        let mut known: BTreeMap<(usize, &str), bool> = BTreeMap::new();
        for submit in history.submits.iter().filter(|submit| !submit.mutated) {
            if let Some(key) = &submit.key {
                *known.entry((submit.org, key)).or_default() |= !submit.told.is_unknown();
            }
        }
        let watches = history.watches.iter().map(|it| (it.unread_ms, it.events.len()));
        let listens = history.listens.iter().map(|it| (it.unread_ms, it.deliveries.len()));
        let slow = watches.chain(listens).filter(|(unread_ms, _)| *unread_ms > 0);
        let slow = slow.map(|(_, seen)| seen).filter(|seen| *seen > 0);
        let events = |told: &Told<crate::history::FinalState>| {
            told.done().map_or(0, |state| state.events.len())
        };
        let told = |wanted: fn(&Told<String>) -> bool| {
            history.submits.iter().filter(|submit| wanted(&submit.told)).count()
        };
        Self {
            submits: history.submits.len(),
            submits_acknowledged: told(|told| told.done().is_some()),
            submits_refused: told(|told| told.refusal().is_some()),
            submits_unknown: told(Told::is_unknown),
            intents: history.acknowledged().len(),
            finishes: history.finishes.len(),
            finishes_acknowledged: history
                .finishes
                .iter()
                .filter(|f| f.told.done().is_some())
                .count(),
            finishes_unknown: history.finishes.iter().filter(|f| f.told.is_unknown()).count(),
            races: finishers.values().filter(|markers| markers.len() > 1).count(),
            repeated_keys: uses.values().filter(|uses| **uses > 1).count(),
            mutated_refused: mutated.filter(|submit| submit.told.refusal().is_some()).count(),
            given_up: known.values().filter(|known| !**known).count(),
            decisions_raced: decided.iter().filter(raced).count(),
            scenarios: scenarios.len(),
            steps: scenarios.iter().sum(),
            timers: history.timers.len(),
            timers_late_calm: lateness.0,
            timers_late_disturbed: lateness.1,
            chain_links: of_kind(Kind::Chain),
            bursts: of_kind(Kind::FanIn),
            listings: history.listings.len(),
            rows_listed: history
                .listings
                .iter()
                .map(|listing| listing.told.done().map_or(0, Vec::len))
                .sum(),
            probes: history.probes.len(),
            answers_inspected: history.inspections.iter().map(|seen| seen.answers).sum(),
            hung_up: hung_up(history),
            slow_readings: slow.clone().count(),
            slowly_read: slow.sum(),
            pushes: history.pushes.len(),
            pushes_taken: history.pushes.iter().filter(|it| it.answer != Answer::NotTaken).count(),
            pushed: of_kind(Kind::Push),
            given_up_pushing: given_up_pushing(history),
            flood_refused: history.refusals.iter().filter(|it| it.flooding).count(),
            visits: visits(history),
            reads: history.reads.len(),
            connections_watching: history.watches.len(),
            events_watched: history.watches.iter().map(|watch| watch.events.len()).sum(),
            connections_listening: history.listens.len(),
            deliveries: history.listens.iter().map(|listen| listen.deliveries.len()).sum(),
            events_compared_at_end: history.finals.iter().map(|read| events(&read.told)).sum(),
            faults: history.faults.len(),
            leader_changes: history.leader_changes.len(),
            shed,
            open_at_end,
        }
    }
}

fn hung_up(history: &History) -> usize {
    let left = |told: &Told<String>| matches!(told, Told::Unknown { why } if why == HUNG_UP);
    let mut keys: BTreeMap<(usize, &str), (bool, bool)> = BTreeMap::new();
    for submit in &history.submits {
        if let Some(key) = &submit.key {
            let (hung_up, answered) = keys.entry((submit.org, key)).or_default();
            *hung_up |= left(&submit.told);
            *answered |= submit.told.done().is_some();
        }
    }
    keys.values().filter(|(hung_up, answered)| *hung_up && *answered).count()
}

fn given_up_pushing(history: &History) -> usize {
    let finals = history.final_states();
    let states = finals.values().filter_map(|states| states.first());
    let ends = states.filter_map(|(_, state)| state.events.last());
    ends.filter(|end| end.event_type == "intent.delivery_failed").count()
}

fn visits(history: &History) -> Distribution {
    let served = history.reads.iter().filter(|read| read.visit && read.told.done().is_some());
    Distribution::of(served.map(|read| read.span.end - read.span.start).collect())
}
