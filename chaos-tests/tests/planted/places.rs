//! Where something can be planted, and everything that has to be changed with it.

use std::collections::BTreeSet;

use axp_chaos_tests::history::{
    FinalState, Finish, History, Kind, Listen, Listing, Route, Row, SeenEvent, Span, Submit, Told,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

/// One of those of which `fits` is true.
pub(super) fn any<'a, T>(
    all: &'a mut [T],
    rng: &mut StdRng,
    fits: impl Fn(&T) -> bool,
) -> Option<&'a mut T> {
    let places: Vec<usize> = (0..all.len()).filter(|at| fits(&all[*at])).collect();
    places.choose(rng).map(|at| &mut all[*at])
}

/// A refusal that nothing in the record knows.
pub(super) fn refused<T>(status: u16, code: &str) -> Told<T> {
    Told::Refused { status, code: code.to_owned() }
}

/// What is known of an intent at the end.
pub(super) struct Known<'a> {
    pub(super) intent: &'a str,
    pub(super) submits: Vec<&'a Submit>,
    pub(super) state: &'a FinalState,
    pub(super) finishes: Vec<&'a Finish>,
}

impl Known<'_> {
    /// What agents work on, without anything else that is looked at.
    pub(super) fn is_work(&self) -> bool {
        self.submits[0].kind == Kind::Work
    }

    /// Nobody but its agent tried to end it.
    pub(super) fn only_agent(&self) -> bool {
        let done = self.finishes.iter().any(|finish| finish.told.done().is_some());
        done && self.finishes.iter().all(|finish| finish.route == Route::Resume)
    }

    pub(super) fn ended_as(&self, status: &str) -> bool {
        self.state.status == status
    }
}

/// Any acknowledged intent of which `fits` is true.
pub(super) fn any_intent(
    history: &History,
    rng: &mut StdRng,
    fits: impl Fn(&Known<'_>) -> bool,
) -> Option<String> {
    let finals = history.final_states();
    let known = history.acknowledged().into_iter().filter_map(|(intent, submits)| {
        let (_, state) = finals.get(intent)?.first()?;
        let finishes = history.finishes.iter().filter(|it| it.intent == intent).collect();
        Some(Known { intent, submits, state, finishes })
    });
    let fitting: Vec<String> = known.filter(fits).map(|known| known.intent.to_owned()).collect();
    fitting.choose(rng).cloned()
}

/// What each gateway says of an intent at the end.
pub(super) fn states<'a>(history: &'a mut History, intent: &str) -> Vec<&'a mut FinalState> {
    let reads = history.finals.iter_mut().filter(|read| read.intent == intent);
    let states = reads.filter_map(|read| match &mut read.told {
        Told::Done(state) => Some(state),
        Told::Refused { .. } | Told::Unknown { .. } => None,
    });
    states.collect()
}

/// What one gateway says that is not the one whose word the others are held against.
pub(super) fn other_state<'a>(
    history: &'a mut History,
    intent: &str,
) -> Option<&'a mut FinalState> {
    let mut states = states(history, intent);
    if states.len() > 1 { states.pop() } else { None }
}

/// Changes an event for everybody who saw it, so that all agree.
pub(super) fn everywhere(
    history: &mut History,
    intent: &str,
    seq: u32,
    change: impl Fn(&mut SeenEvent),
) {
    for state in states(history, intent) {
        state.events.iter_mut().filter(|event| event.seq == seq).for_each(&change);
    }
    let watches = history.watches.iter_mut().filter(|watch| watch.intent == intent);
    watches.flat_map(|it| &mut it.events).filter(|event| event.seq == seq).for_each(&change);
    for finish in history.finishes.iter_mut().filter(|finish| finish.intent == intent) {
        if let Told::Done(event) = &mut finish.told
            && event.seq == seq
        {
            change(event);
        }
    }
}

/// Lets an intent end in another way for everybody but lists, which keep what they said.
pub(super) fn end_as(history: &mut History, intent: &str, event_type: &str, status: &str) {
    let Some(seq) = states(history, intent).first().map(|state| state.events.len()) else { return };
    let seq = u32::try_from(seq).unwrap_or(u32::MAX);
    everywhere(history, intent, seq, |event| {
        event_type.clone_into(&mut event.event_type);
        status.clone_into(&mut event.status);
    });
    states(history, intent).into_iter().for_each(|state| status.clone_into(&mut state.status));
}

/// Addresses whose mailboxes are demanded to have no gaps.
pub(super) fn sinks(history: &History) -> BTreeSet<String> {
    let bursts = history.submits.iter().filter(|it| matches!(it.kind, Kind::FanIn | Kind::Hoard));
    bursts.map(|submit| submit.to_agent.clone()).collect()
}

/// A connection of an agent, not of one whose mailbox must have no gaps.
pub(super) fn any_listen<'a>(
    history: &'a mut History,
    rng: &mut StdRng,
    deliveries_min: usize,
) -> Option<&'a mut Listen> {
    let sinks = sinks(history);
    any(&mut history.listens, rng, |listen| {
        listen.deliveries.len() >= deliveries_min && !sinks.contains(&listen.agent)
    })
}

/// A place in an agent's mailbox that nobody has seen anything at.
pub(super) fn free_cursor(history: &History, agent: &str) -> u32 {
    let listens = history.listens.iter().filter(|listen| listen.agent == agent);
    let cursors = listens.flat_map(|listen| &listen.deliveries).map(|delivery| delivery.cursor);
    cursors.max().unwrap_or_default() + 1
}

/// A list of the end, and how many rows it has at least.
pub(super) fn any_list<'a>(
    history: &'a mut History,
    rng: &mut StdRng,
    rows_min: usize,
) -> Option<(&'a mut Listing, Vec<String>)> {
    let known: Vec<String> = history.acknowledged().into_keys().map(str::to_owned).collect();
    let listing = any(&mut history.listings, rng, |listing| {
        listing.last && listing.told.done().is_some_and(|rows| rows.len() >= rows_min)
    });
    listing.map(|listing| (listing, known))
}

pub(super) fn rows(listing: &mut Listing) -> Option<&mut Vec<Row>> {
    match &mut listing.told {
        Told::Done(rows) => Some(rows),
        Told::Refused { .. } | Told::Unknown { .. } => None,
    }
}

/// A moment when all writes had been answered.
pub(super) fn afterwards(history: &History) -> Span {
    let submits = history.submits.iter().map(|submit| submit.span.end);
    let finishes = history.finishes.iter().map(|finish| finish.span.end);
    let end = submits.chain(finishes).max().unwrap_or_default();
    Span { start: end + 1, end: end + 2 }
}
