//! Planted in when timers fired. Everybody agrees on it: only the time is wrong.

use axp_chaos_tests::history::{Due, History, SeenEvent};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::Plant;
use super::places::{end_as, everywhere};

/// Later than what any disturbance of the record explains.
const LATE_MS: i64 = 60_000;

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        what: "a deadline passed early",
        found_by: &["timers"],
        plant: |history, rng| {
            let (intent, end, at_ms) = timed_out(history, rng)?;
            everywhere(history, &intent, end.seq, |event| event.at_ms = at_ms - 1);
            Some(())
        },
    },
    Plant {
        what: "a deadline passed late",
        found_by: &["timers"],
        plant: |history, rng| {
            let (intent, end, _) = timed_out(history, rng)?;
            everywhere(history, &intent, end.seq, |event| event.at_ms += LATE_MS);
            Some(())
        },
    },
    Plant {
        what: "a deadline never passed",
        found_by: &["listings", "timers"],
        plant: |history, rng| {
            let (intent, _, _) = timed_out(history, rng)?;
            end_as(history, &intent, "intent.in_progress", "IN_PROGRESS");
            Some(())
        },
    },
    Plant {
        what: "a watcher saw a deadline pass before it had",
        found_by: &["timers"],
        plant: |history, rng| {
            let (intent, _, at_ms) = timed_out(history, rng)?;
            let early = u64::try_from(at_ms - history.began_at_ms).ok()? * 1000 - 50_000;
            let mut watches = history.watches.iter_mut().filter(|watch| watch.intent == intent);
            let saw = |events: &[SeenEvent]| events.last().is_some_and(SeenEvent::is_terminal);
            let watch = watches.find(|watch| saw(&watch.events))?;
            watch.span.end = early;
            watch.span.start = watch.span.start.min(early);
            Some(())
        },
    },
    Plant {
        what: "somebody was reminded once too often",
        found_by: &["timers"],
        plant: |history, rng| {
            let (place, sent) = of_kind(history, rng, "intent.reminder")?;
            let Due::Reminders { most, .. } = &mut history.timers[place].due else { return None };
            *most = sent - 1;
            Some(())
        },
    },
    Plant {
        what: "a reminder was early",
        found_by: &["timers"],
        plant: |history, rng| {
            let (place, _) = of_kind(history, rng, "intent.reminder")?;
            let Due::Reminders { after, .. } = &mut history.timers[place].due else { return None };
            *after += 1;
            Some(())
        },
    },
    Plant {
        what: "a wait was too short",
        found_by: &["timers"],
        plant: |history, rng| {
            let (place, _) = of_kind(history, rng, "intent.waiting")?;
            let Due::Delays { seconds } = &mut history.timers[place].due else { return None };
            *seconds.first_mut()? += 1;
            Some(())
        },
    },
];

/// An intent that ended at its deadline and was watched, its end, and when that was due.
fn timed_out(history: &History, rng: &mut StdRng) -> Option<(String, SeenEvent, i64)> {
    let finals = history.final_states();
    let fitting = history.timers.iter().filter_map(|timer| {
        let Due::Deadline { at_ms } = timer.due else { return None };
        let end = finals.get(&*timer.intent)?.first()?.1.events.last()?.clone();
        let mut watches = history.watches.iter().filter(|watch| watch.intent == timer.intent);
        let watched = watches.any(|watch| watch.events.contains(&end));
        // Nobody else tried to end it, whose answer would say something about the time, too.
        let alone = history.finishes.iter().all(|finish| finish.intent != timer.intent);
        let fits = watched && alone && end.event_type == "intent.timed_out";
        fits.then(|| (timer.intent.clone(), end, at_ms))
    });
    fitting.collect::<Vec<_>>().choose(rng).cloned()
}

/// The place of a timer whose intent has events of a kind, and how many.
fn of_kind(history: &History, rng: &mut StdRng, kind: &str) -> Option<(usize, u32)> {
    let finals = history.final_states();
    let wanted = |due: &Due| match due {
        Due::Deadline { .. } => false,
        Due::Delays { .. } => kind == "intent.waiting",
        Due::Reminders { .. } => kind == "intent.reminder",
    };
    let places = history.timers.iter().enumerate().filter(|(_, timer)| wanted(&timer.due));
    let fitting = places.filter_map(|(place, timer)| {
        let events = &finals.get(&*timer.intent)?.first()?.1.events;
        let count = events.iter().filter(|event| event.event_type == kind).count();
        (count > 0).then(|| u32::try_from(count).map(|count| (place, count)).ok())?
    });
    fitting.collect::<Vec<_>>().choose(rng).copied()
}
