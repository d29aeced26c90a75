//! The default engine loses nothing that was acknowledged and opens after every power loss.

use axp_chaos_tests::cluster::binaries;
use axp_chaos_tests::powerloss::trial::{CHURN, Outcome, Trial};
use axp_chaos_tests::powerloss::{EntryRule, Mounted, Survival};

/// A few rounds of each mode; `axp-powerloss` runs many.
const ROUNDS: u32 = 6;

fn try_fjall(survival: Survival, rule: EntryRule) -> Option<Outcome> {
    if let Some(reason) = Mounted::unavailable() {
        eprintln!("\n!!! SKIPPED: power-loss test did not run: {reason} !!!\n");
        return None;
    }
    binaries::build_for_tests().unwrap();
    let churn = binaries::example(CHURN).unwrap();
    let engine = "fjall".to_owned();
    let trial = Trial { churn, engine, survival, rule, rounds: ROUNDS, seed: 42 };
    Some(trial.run().unwrap())
}

fn nothing_is_lost(survival: Survival, rule: EntryRule) {
    let Some(outcome) = try_fjall(survival, rule) else { return };
    assert_eq!(outcome.kept, outcome.rounds, "{outcome:?}");
    // Otherwise the power went when there was nothing to lose.
    assert!(outcome.forgotten.bytes >= 1000, "{outcome:?}");
    assert!(outcome.acknowledgements > 100, "{outcome:?}");
}

#[test]
fn nothing_is_lost_when_all_unsynced_is_forgotten() {
    nothing_is_lost(Survival::Lose, EntryRule::Strict);
}

#[test]
fn nothing_is_lost_when_unsynced_writes_survive_by_chance() {
    nothing_is_lost(Survival::Reorder, EntryRule::Strict);
}

#[test]
fn nothing_is_lost_when_writes_are_torn() {
    nothing_is_lost(Survival::Torn, EntryRule::Strict);
}

#[test]
fn nothing_is_lost_with_a_metadata_journal() {
    nothing_is_lost(Survival::Torn, EntryRule::Journaled);
}
