//! Plants violations in the record of a real run and demands that those invariants find each that are
//! meant to, and no others.
//!
//! The record (`tests/fixtures/record`, which says how it was made) is small and has every kind of
//! operation in it. A plant changes one thing that a client was told, as a bug would have changed it:
//! what follows from it for others is changed with it, so that it is found for its own sake.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says where it failed")]

mod answers;
mod deliveries;
mod events;
mod keys;
mod lists;
mod places;
mod pushes;
mod refusals;
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axp_chaos_tests::history::History;
use axp_chaos_tests::invariants::{ALL, check_all};
use axp_proto::hash::stable_hash;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const ROUNDS: u64 = 4;
/// What is chosen by chance may not fit; then something else is.
const TRIES: usize = 20;
/// Different violations; the goal is 100.
const PLANTED_MIN: usize = 150;

/// A kind of violation.
struct Plant {
    what: &'static str,
    /// Who has to find it.
    found_by: &'static [&'static str],
    /// Changes something in a place that is chosen by chance, or finds none that it fits.
    plant: fn(&mut History, &mut StdRng) -> Option<()>,
}

const PLANTS: &[&[Plant]] = &[
    events::PLANTS,
    answers::PLANTS,
    keys::PLANTS,
    deliveries::PLANTS,
    times::PLANTS,
    lists::PLANTS,
    pushes::PLANTS,
    refusals::PLANTS,
];

fn record() -> History {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/record");
    History::load(&folder).unwrap()
}

fn found_by(history: &History) -> Vec<&'static str> {
    let verdicts = check_all(history).into_iter();
    verdicts.filter(|it| it.findings.violations > 0).map(|it| it.invariant).collect()
}

#[test]
fn the_record_is_clean_and_has_something_for_every_invariant() {
    for verdict in check_all(&record()) {
        assert_eq!(verdict.findings.texts, Vec::<String>::new(), "{}", verdict.invariant);
        assert!(verdict.findings.checked > 0, "{} looked at nothing", verdict.invariant);
    }
}

#[test]
fn every_planted_violation_is_found_by_those_it_is_for() {
    let clean = record();
    let mut planted: BTreeSet<u64> = BTreeSet::new();
    let mut wrong = Vec::new();
    for (number, plant) in (0..).zip(PLANTS.iter().copied().flatten()) {
        let mut wanted = plant.found_by.to_vec();
        wanted.sort_by_key(|name| ALL.iter().position(|invariant| invariant.name() == *name));
        for round in 0..ROUNDS {
            let mut rng = StdRng::seed_from_u64(number * ROUNDS + round);
            let planted_in = (0..TRIES).find_map(|_| {
                let mut history = clean.clone();
                (plant.plant)(&mut history, &mut rng).map(|()| history)
            });
            let Some(history) = planted_in else {
                wrong.push(format!("{}, round {round}: there is no place for it", plant.what));
                continue;
            };
            let found = found_by(&history);
            if found != wanted {
                wrong.push(format!("{}, round {round}: found by {found:?}", plant.what));
            }
            planted.insert(stable_hash(&[format!("{history:?}").as_bytes()]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Not counted twice: chance may choose one place again.
    assert!(planted.len() >= PLANTED_MIN, "{} different violations", planted.len());
}

#[test]
fn every_invariant_is_meant_to_find_something() {
    let mut kinds: BTreeMap<&str, usize> = ALL.iter().map(|it| (it.name(), 0)).collect();
    for name in PLANTS.iter().copied().flatten().flat_map(|plant| plant.found_by) {
        *kinds.get_mut(name).unwrap() += 1;
    }
    assert!(kinds.values().all(|kinds| *kinds > 0), "{kinds:?}");
}
