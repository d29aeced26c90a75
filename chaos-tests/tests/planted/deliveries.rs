//! Planted in what agents were brought, and in what leads to something else.

use axp_chaos_tests::history::{Delivery, Kind, Listen, Submit};
use rand::seq::IndexedRandom as _;

use super::Plant;
use super::keys::deliver;
use super::places::{any, any_intent, any_listen, end_as, free_cursor, sinks};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        what: "an intent reached nobody",
        found_by: &["delivered-and-finished"],
        plant: |history, rng| {
            let intent = any_intent(history, rng, |it| it.is_work() && it.only_agent())?;
            for listen in &mut history.listens {
                listen.deliveries.retain(|delivery| delivery.intent != intent);
            }
            Some(())
        },
    },
    Plant {
        what: "a cursor means two things",
        found_by: &["cursors"],
        plant: |history, rng| {
            let listen = any_listen(history, rng, 1)?.clone();
            let first = listen.deliveries.first()?.clone();
            let others = history.listens.iter().flat_map(|listen| &listen.deliveries);
            let others: Vec<Delivery> = others
                .filter(|other| other.intent != first.intent && !other.step)
                .cloned()
                .collect();
            let other = others.choose(rng)?.clone();
            deliver(history, &listen, Delivery { cursor: first.cursor, ..other });
            Some(())
        },
    },
    Plant {
        what: "an intent was deposited twice",
        found_by: &["cursors"],
        plant: |history, rng| {
            let listen = any_listen(history, rng, 1)?.clone();
            let cursor = free_cursor(history, &listen.agent);
            let again = Delivery { cursor, ..listen.deliveries.first()?.clone() };
            deliver(history, &listen, again);
            Some(())
        },
    },
    Plant {
        what: "deliveries came in another order",
        found_by: &["cursors"],
        plant: |history, rng| {
            any_listen(history, rng, 2)?.deliveries.swap(0, 1);
            Some(())
        },
    },
    Plant {
        what: "a delivery from before the cursor came again",
        found_by: &["cursors"],
        plant: |history, rng| {
            let listen = any_listen(history, rng, 1)?;
            listen.since = listen.deliveries.first()?.cursor;
            Some(())
        },
    },
    Plant {
        what: "a chain broke off",
        found_by: &["chains"],
        plant: |history, rng| {
            let end = |it: &Submit| it.kind == Kind::Chain && it.steps == 0;
            let last = |it: &Submit| end(it) && it.told.done().is_some();
            any(&mut history.submits, rng, last)?.steps = 1;
            Some(())
        },
    },
    Plant {
        what: "a scenario failed",
        found_by: &["listings", "chains"],
        plant: |history, rng| {
            let scenario = any_intent(history, rng, |it| it.submits[0].kind == Kind::Scenario)?;
            end_as(history, &scenario, "intent.failed", "FAILED");
            Some(())
        },
    },
    Plant {
        what: "a step became two intents",
        found_by: &["chains"],
        plant: |history, rng| {
            let steps = history
                .listens
                .iter()
                .filter(|listen| listen.deliveries.iter().any(|delivery| delivery.step));
            let listen = steps.collect::<Vec<_>>().choose(rng).map(|listen| (*listen).clone())?;
            let step = listen.deliveries.iter().find(|delivery| delivery.step)?.clone();
            let cursor = free_cursor(history, &listen.agent);
            let again = Delivery { cursor, intent: "again".to_owned(), ..step };
            deliver(history, &listen, again);
            Some(())
        },
    },
    Plant {
        what: "a step became no intent",
        found_by: &["chains"],
        plant: |history, rng| {
            let steps = |it: &Submit| it.kind == Kind::Scenario && it.steps > 0;
            any(&mut history.submits, rng, |it| steps(it) && it.told.done().is_some())?.steps += 1;
            Some(())
        },
    },
    Plant {
        what: "a mailbox of many senders has a gap",
        found_by: &["delivered-and-finished", "chains"],
        plant: |history, rng| {
            let sinks = sinks(history);
            let seen = |listen: &&Listen| sinks.contains(&listen.agent);
            let listens = history.listens.iter().filter(seen);
            let all: Vec<(&str, &Delivery)> = listens
                .flat_map(|listen| listen.deliveries.iter().map(|it| (&*listen.agent, it)))
                .collect();
            let beside = |agent: &str, fits: &dyn Fn(u32) -> bool| {
                all.iter().any(|(other, it)| *other == agent && fits(it.cursor))
            };
            let later: Vec<&Delivery> = all
                .iter()
                .filter(|(agent, it)| beside(agent, &|cursor| cursor > it.cursor))
                .filter(|(agent, it)| beside(agent, &|cursor| cursor < it.cursor))
                .map(|(_, it)| *it)
                .collect();
            let gone = later.choose(rng)?.intent.clone();
            for listen in &mut history.listens {
                listen.deliveries.retain(|delivery| delivery.intent != gone);
            }
            Some(())
        },
    },
];
