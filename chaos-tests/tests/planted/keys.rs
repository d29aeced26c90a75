//! Planted in what idempotency keys and bodies became.

use axp_chaos_tests::history::{Delivery, History, Kind, Submit, Told};
use rand::rngs::StdRng;

use super::Plant;
use super::places::{any, any_intent, any_listen, free_cursor, refused};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        what: "a repeat was answered with another intent",
        found_by: &["acknowledged-kept", "one-intent-per-key", "linearizable"],
        plant: |history, rng| another_answer(history, rng, Kind::Work),
    },
    Plant {
        what: "a chain forked",
        found_by: &["acknowledged-kept", "one-intent-per-key", "linearizable", "chains"],
        plant: |history, rng| another_answer(history, rng, Kind::Chain),
    },
    Plant {
        what: "a repeat made an intent of its own",
        found_by: &["acknowledged-kept", "one-intent-per-key", "linearizable", "listings"],
        plant: |history, rng| {
            // To nobody who is known to listen, so that it cannot be missed there.
            let keyed = |it: &Submit| it.key.is_some() && it.told.done().is_some();
            let task = |it: &Submit| it.kind == Kind::Task && keyed(it);
            let mut again = any(&mut history.submits, rng, task)?.clone();
            again.told = Told::Done(format!("{}0", again.told.done()?));
            history.submits.push(again);
            Some(())
        },
    },
    Plant {
        what: "an agent got a second intent of one body",
        found_by: &["one-intent-per-key"],
        plant: |history, rng| {
            let listen = any_listen(history, rng, 1)?.clone();
            let cursor = free_cursor(history, &listen.agent);
            let first = listen.deliveries.iter().find(|delivery| !delivery.step)?;
            let second = Delivery { cursor, intent: "second".to_owned(), ..first.clone() };
            deliver(history, &listen, second);
            Some(())
        },
    },
    Plant {
        what: "what was refused became an intent",
        found_by: &["one-intent-per-key"],
        plant: |history, rng| {
            let refused = any(&mut history.submits, rng, |submit| submit.mutated)?;
            let correlation_id = refused.correlation_id.clone();
            let listen = any_listen(history, rng, 1)?.clone();
            let cursor = free_cursor(history, &listen.agent);
            let intent = "refused".to_owned();
            let delivery = Delivery { cursor, intent, correlation_id, step: false };
            deliver(history, &listen, delivery);
            Some(())
        },
    },
    Plant {
        what: "another body was taken for the first one",
        found_by: &["acknowledged-kept", "one-intent-per-key", "linearizable"],
        plant: |history, rng| {
            let originals: Vec<Submit> = history.submits.clone();
            let mutated = any(&mut history.submits, rng, |submit| submit.mutated)?;
            let original = originals.iter().find(|it| {
                (it.org, &it.key) == (mutated.org, &mutated.key) && it.told.done().is_some()
            })?;
            mutated.told = original.told.clone();
            Some(())
        },
    },
    Plant {
        what: "another body was refused for another reason",
        found_by: &["one-intent-per-key", "linearizable"],
        plant: |history, rng| {
            let mutated = any(&mut history.submits, rng, |submit| submit.mutated)?;
            mutated.told = refused(422, "invalid_request");
            Some(())
        },
    },
    Plant {
        what: "the same body was refused as another one",
        found_by: &["one-intent-per-key", "linearizable"],
        plant: |history, rng| {
            let keyed = |it: &Submit| it.key.is_some() && it.told.done().is_some();
            let mut again = any(&mut history.submits, rng, keyed)?.clone();
            again.told = refused(409, "idempotency_conflict");
            history.submits.push(again);
            Some(())
        },
    },
];

/// A repeat that is answered with an intent that there is, of the same agent.
fn another_answer(history: &mut History, rng: &mut StdRng, kind: Kind) -> Option<()> {
    let keyed = |it: &Submit| it.kind == kind && it.key.is_some() && it.told.done().is_some();
    // Of a chain a link that follows another one.
    let fits = |it: &Submit| {
        keyed(it)
            && (kind != Kind::Chain || it.key.as_ref().is_some_and(|key| key.contains("after")))
    };
    let mut again = any(&mut history.submits, rng, fits)?.clone();
    let (org, to, own) = (again.org, again.to_agent.clone(), again.told.done()?.clone());
    let start = again.span.start;
    let other = any_intent(history, rng, |it| {
        let first = it.submits[0];
        let there = it.submits.iter().any(|submit| submit.span.end < start);
        let same = (first.org, &first.to_agent) == (org, &to) && first.kind == kind;
        it.intent != own && there && same
    })?;
    again.told = Told::Done(other);
    history.submits.push(again);
    Some(())
}

/// Another connection of the same agent brings it.
pub(super) fn deliver(
    history: &mut History,
    like: &axp_chaos_tests::history::Listen,
    delivery: Delivery,
) {
    let since = delivery.cursor - 1;
    history.listens.push(axp_chaos_tests::history::Listen {
        since,
        deliveries: vec![delivery],
        ..like.clone()
    });
}
