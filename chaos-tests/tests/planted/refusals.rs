//! Planted in what was refused for being too much.

use axp_chaos_tests::history::Delivery;

use super::Plant;
use super::keys::deliver;
use super::places::{any, any_listen, free_cursor};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        what: "others were refused because somebody floods",
        found_by: &["refusals"],
        plant: |history, rng| {
            any(&mut history.refusals, rng, |_| true)?.flooding = false;
            Some(())
        },
    },
    Plant {
        what: "a refusal does not say when to come again",
        found_by: &["refusals"],
        plant: |history, rng| {
            any(&mut history.refusals, rng, |_| true)?.retry_after_seconds = None;
            Some(())
        },
    },
    Plant {
        what: "a refusal has another code",
        found_by: &["refusals"],
        plant: |history, rng| {
            any(&mut history.refusals, rng, |_| true)?.code = "internal".to_owned();
            Some(())
        },
    },
    Plant {
        what: "what was refused for its rate reached an agent",
        found_by: &["one-intent-per-key", "refusals"],
        plant: |history, rng| {
            let refused = any(&mut history.refusals, rng, |it| it.correlation_id.is_some())?;
            let correlation_id = refused.correlation_id.clone()?;
            let listen = any_listen(history, rng, 1)?.clone();
            let cursor = free_cursor(history, &listen.agent);
            let intent = "refused".to_owned();
            deliver(history, &listen, Delivery { cursor, intent, correlation_id, step: false });
            Some(())
        },
    },
];
