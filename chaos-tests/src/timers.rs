//! What the log says about timers: when each was due, when it fired, and how late it may have been.

use std::collections::BTreeMap;

use axp_proto::ids::IntentId;
use axp_proto::shard_map::group_of;

use crate::availability::{Distribution, acknowledged_writes};
use crate::history::{Due, History, SeenEvent, Span};

const SECOND_MS: i64 = 1000;
/// Faults that come again with every write or every few moments, for as long as they are there: no
/// shard is expected to be in time under them (F8 to F10, F16).
const LASTING: [&str; 5] = ["overload", "flapping", "lossy", "slow-disk", "slow-link"];

/// One timer that was due, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Firing {
    pub(crate) due_ms: i64,
    /// When it fired, or when the intent ended in another way although it was due; nothing if neither.
    pub(crate) at_ms: Option<i64>,
}

impl Firing {
    pub(crate) fn late_ms(&self) -> Option<i64> {
        Some(self.at_ms? - self.due_ms)
    }
}

/// The timers of an intent with this log that were due while it was open.
///
/// # Errors
/// What is wrong when there are more firings than timers.
pub(crate) fn firings(due: &Due, events: &[SeenEvent]) -> Result<Vec<Firing>, String> {
    match due {
        Due::Deadline { at_ms } => {
            Ok(unless_ended(*at_ms, fired(events, "intent.timed_out").next(), events).collect())
        }
        Due::Delays { seconds } => delays(seconds, events),
        Due::Reminders { after, interval, most } => reminders(*after, *interval, *most, events),
    }
}

fn fired<'a>(events: &'a [SeenEvent], kind: &'a str) -> impl Iterator<Item = i64> + 'a {
    events.iter().filter(move |event| event.event_type == kind).map(|event| event.at_ms)
}

/// A timer that did not fire is none if the intent had ended when it was due.
fn unless_ended(
    due_ms: i64,
    fired_ms: Option<i64>,
    events: &[SeenEvent],
) -> impl Iterator<Item = Firing> + use<> {
    let ended_ms = events.last().filter(|event| event.is_terminal()).map(|event| event.at_ms);
    let off = fired_ms.is_none() && ended_ms.is_some_and(|ended| ended <= due_ms);
    (!off).then_some(Firing { due_ms, at_ms: fired_ms.or(ended_ms) }).into_iter()
}

fn delays(seconds: &[u32], events: &[SeenEvent]) -> Result<Vec<Firing>, String> {
    let begun: Vec<usize> = (0..events.len())
        .filter(|at| events[*at].event_type == "intent.waiting" && events[*at].marker.is_none())
        .collect();
    if begun.len() > seconds.len() {
        return Err(format!("{} steps were waited at, of {}", begun.len(), seconds.len()));
    }
    let firings = begun.iter().zip(seconds).flat_map(|(&at, &seconds)| {
        let due_ms = events[at].at_ms + i64::from(seconds) * SECOND_MS;
        // What a client signed is no timer.
        let next = events.get(at + 1).filter(|next| next.marker.is_none());
        unless_ended(due_ms, next.map(|next| next.at_ms), events)
    });
    Ok(firings.collect())
}

/// The first one is counted from when the wait began, each other one from when the one before was
/// due, or from when it fired if the next one was due by then as well.
fn reminders(
    after: u32,
    interval: u32,
    most: u32,
    events: &[SeenEvent],
) -> Result<Vec<Firing>, String> {
    let sent: Vec<i64> = fired(events, "intent.reminder").collect();
    if sent.len() > most as usize {
        return Err(format!("{} reminders, and not {most}", sent.len()));
    }
    let Some(begun) = fired(events, "intent.human_task_assigned").next() else {
        return Ok(Vec::new());
    };
    let mut due_ms = begun + i64::from(after) * SECOND_MS;
    let mut firings = Vec::new();
    for number in 0..most as usize {
        let sent = sent.get(number).copied();
        firings.extend(unless_ended(due_ms, sent, events));
        let Some(at) = sent else { break };
        let interval = i64::from(interval) * SECOND_MS;
        due_ms = if due_ms + interval > at { due_ms + interval } else { at + interval };
    }
    Ok(firings)
}

/// How late timers fired, on a calm cluster and otherwise.
pub(crate) fn lateness(history: &History) -> (Distribution, Distribution) {
    let (finals, patience) = (history.final_states(), Patience::of(history));
    let (mut calm, mut disturbed) = (Vec::new(), Vec::new());
    for timer in &history.timers {
        let state = finals.get(&*timer.intent).and_then(|states| states.first());
        let firings = state.and_then(|(_, state)| firings(&timer.due, &state.events).ok());
        for firing in firings.unwrap_or_default() {
            let late_ms = firing.late_ms().and_then(|late| u64::try_from(late).ok());
            let to = if patience.is_calm(firing.due_ms) { &mut calm } else { &mut disturbed };
            to.extend(late_ms.map(|late| late * 1000));
        }
    }
    (Distribution::of(calm), Distribution::of(disturbed))
}

/// Says how late a timer may be: the limit once its shard can write, and as long as nothing breaks
/// meanwhile.
#[derive(Debug)]
pub(crate) struct Patience {
    began_at_ms: i64,
    late_ms_max: u64,
    shard_groups: u16,
    /// Of each shard, by start: when a write began, and when the first one that began no earlier was
    /// acknowledged.
    writes: BTreeMap<u16, Vec<(u64, u64)>>,
    /// When something broke, healed, or moved.
    disturbances: Vec<u64>,
    /// From when to when something went on being broken: timers wait in line like everybody.
    lasting: Vec<(u64, u64)>,
}

impl Patience {
    pub(crate) fn of(history: &History) -> Self {
        let writes = acknowledged_writes(history);
        let mut disturbances: Vec<u64> = history.faults.iter().map(|fault| fault.at).collect();
        disturbances.extend(history.heals.iter().map(|heal| heal.at));
        disturbances.extend(history.leader_changes.iter().map(|change| change.at));
        disturbances.sort_unstable();
        let lasting = history.strikes(u64::MAX).filter(|(name, ..)| LASTING.contains(name));
        Self {
            began_at_ms: history.began_at_ms,
            late_ms_max: history.timer_late_ms_max,
            shard_groups: history.shard_groups,
            writes: writes.into_iter().map(|(shard, spans)| (shard, earliest(spans))).collect(),
            disturbances,
            lasting: lasting.map(|(_, from, to, _)| (from, to)).collect(),
        }
    }

    /// The latest moment, in milliseconds since 1970, at which a timer of this intent may fire; nothing
    /// if its shard never wrote again.
    pub(crate) fn latest_ms(&self, intent: &str, due_ms: i64) -> Option<i64> {
        let id: IntentId = intent.parse().ok()?;
        let shard = group_of(id.slot(), self.shard_groups);
        let writes = self.writes.get(&shard.0)?;
        let mut from = u64::try_from((due_ms - self.began_at_ms) * 1000).unwrap_or_default();
        loop {
            let place = writes.partition_point(|(start, _)| *start < from);
            let back = writes.get(place)?.1;
            let latest = back.max(from) + self.late_ms_max * 1000;
            if let Some((_, to)) = self.lasting.iter().find(|(of, to)| *of <= latest && *to > from)
            {
                from = *to;
                continue;
            }
            // A fault in between takes the shard away again.
            let place = self.disturbances.partition_point(|at| *at <= from);
            match self.disturbances.get(place) {
                Some(at) if *at <= latest => from = *at,
                _ => return Some(self.began_at_ms + i64::try_from(latest / 1000).ok()?),
            }
        }
    }

    /// Whether nothing broke for the limit before it was due and after, and nothing was broken.
    pub(crate) fn is_calm(&self, due_ms: i64) -> bool {
        let due = u64::try_from((due_ms - self.began_at_ms) * 1000).unwrap_or_default();
        let around = self.late_ms_max * 1000;
        if self.lasting.iter().any(|(from, to)| *from <= due && due <= *to) {
            return false;
        }
        let place = self.disturbances.partition_point(|at| *at + 5 * around < due);
        self.disturbances.get(place).is_none_or(|at| *at > due + around)
    }
}

fn earliest(mut spans: Vec<Span>) -> Vec<(u64, u64)> {
    spans.sort_unstable_by_key(|span| span.start);
    let mut first = u64::MAX;
    let mut all: Vec<(u64, u64)> = Vec::with_capacity(spans.len());
    for span in spans.iter().rev() {
        first = first.min(span.end);
        all.push((span.start, first));
    }
    all.reverse();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture::{AT_MS, event};

    fn at(kind: &str, status: &str, at_ms: i64) -> SeenEvent {
        SeenEvent { at_ms, ..event("i", 1, kind, status) }
    }

    fn firing(due_ms: i64, at_ms: Option<i64>) -> Firing {
        Firing { due_ms, at_ms }
    }

    #[test]
    fn a_deadline_fires_or_is_over_with_its_intent() {
        let due = Due::Deadline { at_ms: 100 };
        let created = at("created", "CREATED", 0);
        let of = |last: SeenEvent| firings(&due, &[created.clone(), last]).unwrap();
        assert_eq!(of(at("timed_out", "TIMED_OUT", 105)), [firing(100, Some(105))]);
        assert_eq!(of(at("completed", "COMPLETED", 100)), []);
        assert_eq!(of(at("completed", "COMPLETED", 900)), [firing(100, Some(900))]);
        assert_eq!(of(at("delivered", "DELIVERED", 900)), [firing(100, None)]);
    }

    #[test]
    fn delays_are_counted_from_when_their_step_began() {
        let due = Due::Delays { seconds: vec![1, 2] };
        let waiting = |ms| at("waiting", "WAITING", ms);
        let events = [waiting(0), waiting(1003), at("completed", "COMPLETED", 3010)];
        let expected = [firing(1000, Some(1003)), firing(3003, Some(3010))];
        assert_eq!(firings(&due, &events).unwrap(), expected);
        let lost = firings(&due, &events[..2]).unwrap();
        assert_eq!(lost, [firing(1000, Some(1003)), firing(3003, None)]);
        let twice = [waiting(0), waiting(1003), waiting(3010)];
        assert!(firings(&due, &twice).is_err());
        let mut canceled = at("canceled", "CANCELED", 500);
        canceled.marker = Some("owner".to_owned());
        assert_eq!(firings(&due, &[waiting(0), canceled]).unwrap(), []);
    }

    #[test]
    fn reminders_follow_each_other() {
        let due = Due::Reminders { after: 1, interval: 2, most: 2 };
        let assigned = at("human_task_assigned", "WAITING", 0);
        let reminder = |ms| at("reminder", "WAITING", ms);
        let events = [assigned.clone(), reminder(1010), reminder(3020)];
        let expected = [firing(1000, Some(1010)), firing(3000, Some(3020))];
        assert_eq!(firings(&due, &events).unwrap(), expected);
        let late = [assigned.clone(), reminder(3500), reminder(5501)];
        let expected = [firing(1000, Some(3500)), firing(5500, Some(5501))];
        assert_eq!(firings(&due, &late).unwrap(), expected);
        let thrice = [reminder(1), reminder(2), reminder(3)];
        assert!(firings(&due, &thrice).is_err());
        let decided = [assigned, reminder(1010), at("completed", "COMPLETED", 2000)];
        assert_eq!(firings(&due, &decided).unwrap(), [firing(1000, Some(1010))]);
    }

    #[test]
    fn a_shard_that_cannot_write_is_waited_for_and_a_new_fault_as_well() {
        let id = uuid::Uuid::now_v7().to_string();
        let mut history = History { shard_groups: 1, ..crate::history::fixture::good() };
        let write = |start, end| crate::history::Submit {
            span: crate::history::fixture::span(start, end),
            ..crate::history::fixture::submit(0, Some(&id), None)
        };
        history.submits = vec![write(0, 10_000), write(2_000_000, 2_500_000)];
        history.finishes.clear();
        let patience = Patience::of(&history);
        assert_eq!(patience.latest_ms(&id, AT_MS), Some(AT_MS + 1010));
        assert_eq!(patience.latest_ms(&id, AT_MS + 500), Some(AT_MS + 3500));
        assert_eq!(patience.latest_ms(&id, AT_MS + 5000), None);
        assert!(patience.is_calm(AT_MS));
        let nemesis = "pause".to_owned();
        history.heals.push(crate::history::Heal { at: 900_000, nemesis, strike: 1 });
        let patience = Patience::of(&history);
        assert_eq!(patience.latest_ms(&id, AT_MS), Some(AT_MS + 3500));
        assert!(!patience.is_calm(AT_MS));
        let nemesis = "overload".to_owned();
        history.faults.push(crate::history::FaultRecord {
            at: 100_000,
            nemesis: nemesis.clone(),
            what: String::new(),
            groups: Vec::new(),
            forgotten_bytes: 0,
            strike: 2,
            damage_found: false,
        });
        history.heals = vec![crate::history::Heal { at: 1_900_000, nemesis, strike: 2 }];
        assert_eq!(Patience::of(&history).latest_ms(&id, AT_MS), Some(AT_MS + 3500));
        history.heals[0].at = 2_100_000;
        assert_eq!(Patience::of(&history).latest_ms(&id, AT_MS), None);
    }
}
