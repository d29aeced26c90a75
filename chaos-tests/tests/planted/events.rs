//! Planted in what the log of an intent is, to readers and at the end.

use axp_chaos_tests::history::{History, Kind, SeenEvent};
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::Plant;
use super::places::{any, any_intent, everywhere, other_state, refused, states};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        what: "one gateway has lost an intent",
        found_by: &["acknowledged-kept"],
        plant: |history, rng| {
            any(&mut history.finals, rng, |_| true)?.told = refused(404, "intent_not_found");
            Some(())
        },
    },
    Plant {
        what: "an intent cannot be read at any gateway",
        found_by: &["acknowledged-kept"],
        plant: |history, rng| {
            let intent = any_intent(history, rng, |_| true)?;
            history.finals.retain(|read| read.intent != intent);
            // Nor is it held against what the lists said.
            Some(())
        },
    },
    Plant {
        what: "an intent has the body of another",
        found_by: &["acknowledged-kept"],
        plant: |history, rng| {
            let named = |kind| kind == Kind::Scenario;
            let intent = any_intent(history, rng, |it| !named(it.submits[0].kind))?;
            other_state(history, &intent)?.correlation_id = "another".to_owned();
            Some(())
        },
    },
    Plant {
        what: "a gateway lacks the first event of an intent",
        found_by: &["acknowledged-kept", "dense-seq", "readers-agree"],
        plant: |history, rng| {
            let intent = any_intent(history, rng, |_| true)?;
            other_state(history, &intent)?.events.remove(0);
            Some(())
        },
    },
    Plant {
        what: "a gateway lacks an event between others",
        found_by: &["dense-seq", "readers-agree"],
        plant: |history, rng| {
            let intent = any_intent(history, rng, |it| it.state.events.len() > 3)?;
            let events = &mut other_state(history, &intent)?.events;
            let at = rng.random_range(1..events.len() - 1);
            events.remove(at);
            Some(())
        },
    },
    Plant {
        what: "a gateway lacks the end of an intent",
        found_by: &["readers-agree", "one-terminal", "delivered-and-finished"],
        plant: |history, rng| {
            let intent = any_intent(history, rng, |it| it.is_work())?;
            other_state(history, &intent)?.events.pop().map(drop)
        },
    },
    Plant {
        what: "a gateway tells an event differently",
        found_by: &["readers-agree"],
        plant: |history, rng| {
            let intent = any_intent(history, rng, |_| true)?;
            let event = any(&mut other_state(history, &intent)?.events, rng, |_| true)?;
            event.digest ^= 1;
            Some(())
        },
    },
    Plant {
        what: "a watcher missed an event",
        found_by: &["dense-seq"],
        plant: |history, rng| {
            let watch = any(&mut history.watches, rng, |watch| watch.events.len() > 1)?;
            let at = rng.random_range(0..watch.events.len() - 1);
            watch.events.remove(at);
            Some(())
        },
    },
    Plant {
        what: "a watcher was told something twice",
        found_by: &["dense-seq"],
        plant: |history, rng| {
            let watch = any(&mut history.watches, rng, |watch| watch.events.len() > 1)?;
            let at = rng.random_range(0..watch.events.len() - 1);
            let again = watch.events[at].clone();
            watch.events.insert(at, again);
            Some(())
        },
    },
    Plant {
        what: "a watcher was told in another order",
        found_by: &["dense-seq"],
        plant: |history, rng| {
            let watch = any(&mut history.watches, rng, |watch| watch.events.len() > 2)?;
            watch.events.swap(0, 1);
            Some(())
        },
    },
    Plant {
        what: "a watcher that resumed missed an event",
        found_by: &["dense-seq"],
        plant: |history, rng| {
            let resumed = |since, events: &[SeenEvent]| since > 0 && !events.is_empty();
            let fits =
                |watch: &axp_chaos_tests::history::Watch| resumed(watch.since, &watch.events);
            any(&mut history.watches, rng, fits)?.since -= 1;
            Some(())
        },
    },
    Plant {
        what: "a watcher saw another event",
        found_by: &["readers-agree"],
        plant: |history, rng| {
            let watch = any(&mut history.watches, rng, |watch| !watch.events.is_empty())?;
            any(&mut watch.events, rng, |_| true)?.digest ^= 1;
            Some(())
        },
    },
    Plant {
        what: "a watcher saw something after the end",
        found_by: &["readers-agree", "one-terminal", "linearizable"],
        plant: |history, rng| {
            let ended = |watch: &axp_chaos_tests::history::Watch| {
                watch.events.last().is_some_and(SeenEvent::is_terminal)
            };
            let watch = any(&mut history.watches, rng, ended)?;
            let last = watch.events.last()?.clone();
            watch.events.push(SeenEvent { seq: last.seq + 1, ..last });
            Some(())
        },
    },
    Plant {
        what: "an intent ended twice",
        found_by: &["one-terminal"],
        plant: |history, rng| {
            let intent = any_intent(history, rng, |_| true)?;
            for state in states(history, &intent) {
                let last = state.events.last()?.clone();
                state.events.push(SeenEvent { seq: last.seq + 1, ..last });
            }
            Some(())
        },
    },
    Plant {
        what: "a status is not that of the last event",
        found_by: &["one-terminal"],
        plant: |history, rng| {
            let intent = any_intent(history, rng, |it| !it.ended_as("CANCELED"))?;
            other_state(history, &intent)?.status = "CANCELED".to_owned();
            Some(())
        },
    },
    Plant {
        what: "the log has the result of nobody",
        found_by: &["readers-agree", "terminal-as-told", "linearizable"],
        plant: |history, rng| {
            let intent = any_intent(history, rng, |it| it.is_work() && !it.finishes.is_empty())?;
            for state in states(history, &intent) {
                state.events.last_mut()?.marker = Some("nobody".to_owned());
            }
            Some(())
        },
    },
    Plant {
        what: "the log has the result of who was refused",
        found_by: &["terminal-as-told", "linearizable"],
        plant: losers_result,
    },
    Plant {
        what: "an acknowledged end was lost",
        found_by: &[
            "readers-agree",
            "one-terminal",
            "terminal-as-told",
            "delivered-and-finished",
            "linearizable",
        ],
        plant: |history, rng| {
            let intent = any_intent(history, rng, |it| it.is_work() && it.only_agent())?;
            states(history, &intent).into_iter().for_each(|state| drop(state.events.pop()));
            Some(())
        },
    },
];

/// The winner's answer says the same as the log does: it is told of a result that is not its own.
fn losers_result(history: &mut History, rng: &mut StdRng) -> Option<()> {
    let lost =
        |it: &axp_chaos_tests::history::Finish| it.told.refusal().is_some_and(|(at, _)| at == 409);
    let intent = any_intent(history, rng, |it| {
        let won = it.finishes.iter().any(|finish| finish.told.done().is_some());
        won && it.finishes.iter().any(|finish| lost(finish))
    })?;
    let mut finishes = history.finishes.iter().filter(|it| it.intent == intent);
    let marker = finishes.find(|finish| lost(finish))?.marker.clone();
    let last = u32::try_from(states(history, &intent).first()?.events.len()).ok()?;
    everywhere(history, &intent, last, |event| event.marker = Some(marker.clone()));
    Some(())
}
