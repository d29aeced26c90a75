//! Planted in what a receiver of pushes was sent.

use axp_chaos_tests::history::{Answer, History, Kind, Push};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::Plant;
use super::places::{any, any_intent, states};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        what: "a push was not signed",
        found_by: &["pushes"],
        plant: |history, rng| {
            any(&mut history.pushes, rng, |_| true)?.signed = false;
            Some(())
        },
    },
    Plant {
        what: "a push went to another organization",
        found_by: &["pushes"],
        plant: |history, rng| {
            any(&mut history.pushes, rng, |_| true)?.org += 1;
            Some(())
        },
    },
    Plant {
        what: "an attempt was made twice",
        found_by: &["pushes"],
        plant: |history, rng| {
            let again = history.pushes.choose(rng)?.clone();
            history.pushes.push(again);
            Some(())
        },
    },
    Plant {
        what: "there were more attempts than allowed",
        found_by: &["pushes"],
        plant: |history, rng| {
            let Push { intent, attempt, .. } = calmly_taken(history, rng)?;
            let submits = history.submits.iter().filter(|it| it.told.done() == Some(&intent));
            let most = submits.map(|submit| submit.steps).max()?;
            let same = |push: &Push| push.intent == intent && push.attempt == attempt;
            any(&mut history.pushes, rng, same)?.attempt = u32::try_from(most).ok()? + 1;
            Some(())
        },
    },
    Plant {
        what: "an intent was never pushed",
        found_by: &["pushes"],
        plant: |history, rng| {
            let intent = pushed(history, rng)?;
            history.pushes.retain(|push| push.intent != intent);
            Some(())
        },
    },
    Plant {
        what: "an intent counts as delivered that nobody took",
        found_by: &["pushes"],
        plant: |history, rng| {
            let intent = pushed(history, rng)?;
            let pushes = history.pushes.iter_mut().filter(|push| push.intent == intent);
            pushes.for_each(|push| push.answer = Answer::NotTaken);
            Some(())
        },
    },
    Plant {
        what: "a push that was taken was repeated",
        found_by: &["pushes"],
        plant: |history, rng| {
            let taken = calmly_taken(history, rng)?;
            let (mut span, attempt) = (taken.span, taken.attempt + 1);
            (span.start, span.end) = (span.end + 100_000, span.end + 101_000);
            history.pushes.push(Push { span, attempt, ..taken });
            Some(())
        },
    },
    Plant {
        what: "a push that was taken was given up",
        found_by: &["pushes"],
        plant: |history, rng| {
            let taken = calmly_taken(history, rng)?;
            // Everybody agrees on it.
            let events = states(history, &taken.intent).first()?.events.clone();
            let place = events.iter().position(|event| event.event_type == "intent.delivered")?;
            let seq = u32::try_from(place).ok()? + 1;
            super::places::everywhere(history, &taken.intent, seq, |event| {
                event.event_type = "intent.delivery_failed".to_owned();
            });
            Some(())
        },
    },
];

/// An intent that was pushed, and delivered.
fn pushed(history: &History, rng: &mut StdRng) -> Option<String> {
    any_intent(history, rng, |it| {
        let delivered = it.state.events.iter().any(|it| it.event_type == "intent.delivered");
        it.submits[0].kind == Kind::Push && delivered
    })
}

/// A push that was taken while nothing was broken, with room for more attempts.
fn calmly_taken(history: &History, rng: &mut StdRng) -> Option<Push> {
    let broke = history.faults.iter().map(|fault| fault.at).min().unwrap_or(u64::MAX);
    let acknowledged = history.acknowledged();
    let fitting = history.pushes.iter().filter(|push| {
        let room = acknowledged.get(&*push.intent).is_some_and(|it| it[0].steps > 2);
        room && push.answer == Answer::Taken && push.span.end + 2_000_000 < broke
    });
    fitting.collect::<Vec<_>>().choose(rng).map(|push| (*push).clone())
}
