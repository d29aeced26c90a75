use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::history::SeenEvent;
use crate::history::fixture::{A, events};

const STEPS: usize = 10_000;

fn op<O>(start: u64, end: u64, op: O) -> Operation<O> {
    Operation { start, end: Some(end), op }
}

fn unknown<O>(start: u64, op: O) -> Operation<O> {
    Operation { start, end: None, op }
}

/// created, submitted, delivered, completed by "m".
fn log() -> Vec<SeenEvent> {
    events(A, "m")
}

fn model(log: &[SeenEvent]) -> IntentLog<'_> {
    IntentLog::new(log, &[op(0, 1, FINISH)]).unwrap()
}

fn intent(operations: &[Operation<IntentOp<'_>>]) -> Outcome {
    let log = log();
    check(&model(&log), operations, STEPS)
}

fn key(operations: &[Operation<KeyOp<'_>>]) -> Outcome {
    check(&KeyRegister::default(), operations, STEPS)
}

const CREATE: IntentOp<'_> = IntentOp::Create;
const ENDED: IntentOp<'_> = IntentOp::Read { status: "COMPLETED" };
const DELIVERED: IntentOp<'_> = IntentOp::Read { status: "DELIVERED" };
const SUBMITTED: IntentOp<'_> = IntentOp::Read { status: "SUBMITTED" };
const FINISH: IntentOp<'_> = IntentOp::Finish { marker: "m" };

#[test]
fn what_happened_one_after_the_other_is_explained() {
    let history = [
        op(0, 1, IntentOp::NotFound),
        op(2, 3, CREATE),
        op(4, 5, SUBMITTED),
        op(6, 7, DELIVERED),
        op(8, 9, FINISH),
        op(10, 11, ENDED),
        op(12, 13, IntentOp::TooLate),
    ];
    assert_eq!(intent(&history), Outcome::Explained);
}

#[test]
fn operations_at_the_same_time_may_be_in_any_order() {
    let history = [
        op(0, 1, CREATE),
        op(2, 20, FINISH),
        op(3, 8, ENDED),
        op(3, 8, DELIVERED),
        op(4, 8, SUBMITTED),
    ];
    assert_eq!(intent(&history), Outcome::Explained);
}

#[test]
fn an_unknown_operation_may_happen_much_later_or_never() {
    let late = [op(0, 1, CREATE), unknown(2, FINISH), op(50, 51, DELIVERED), op(60, 61, ENDED)];
    assert_eq!(intent(&late), Outcome::Explained);
    let never = [op(0, 1, CREATE), unknown(2, FINISH), op(50, 51, DELIVERED)];
    assert_eq!(intent(&never), Outcome::Explained);
    let not_yet = [op(0, 1, CREATE), op(2, 3, ENDED), unknown(4, FINISH)];
    assert_eq!(intent(&not_yet), Outcome::Impossible { stuck: vec![1] });
}

#[test]
fn a_stale_read_is_found() {
    let history = [op(0, 1, CREATE), op(2, 3, FINISH), op(4, 5, DELIVERED)];
    assert_eq!(intent(&history), Outcome::Impossible { stuck: vec![2] });
}

#[test]
fn a_read_that_goes_back_is_found() {
    // The finish is under way all the time: each read alone is fine.
    let history = [op(0, 1, CREATE), op(2, 20, FINISH), op(3, 4, ENDED), op(5, 6, DELIVERED)];
    assert!(matches!(intent(&history), Outcome::Impossible { .. }));
    let history = [op(0, 1, CREATE), op(3, 4, DELIVERED), op(5, 6, SUBMITTED)];
    assert!(matches!(intent(&history), Outcome::Impossible { .. }));
    let history = [op(0, 1, CREATE), op(3, 4, IntentOp::Saw { seq: 3 }), op(5, 6, SUBMITTED)];
    assert!(matches!(intent(&history), Outcome::Impossible { .. }));
}

#[test]
fn a_lost_write_is_found() {
    let log = &log()[..3];
    let history = [op(0, 1, CREATE), op(2, 3, FINISH)];
    let outcome = check(&model(log), &history, STEPS);
    assert_eq!(outcome, Outcome::Impossible { stuck: vec![1] });
    let history = [op(0, 1, CREATE), op(2, 3, IntentOp::NotFound)];
    assert!(matches!(intent(&history), Outcome::Impossible { .. }));
}

#[test]
fn two_winners_are_found() {
    let other = IntentOp::Finish { marker: "other" };
    let history = [op(0, 1, CREATE), op(2, 9, FINISH), op(2, 9, other)];
    assert_eq!(intent(&history), Outcome::Impossible { stuck: vec![2] });
}

#[test]
fn a_refusal_as_too_late_of_an_open_intent_is_found() {
    let history = [op(0, 1, CREATE), op(2, 3, IntentOp::TooLate), op(4, 9, FINISH)];
    assert!(matches!(intent(&history), Outcome::Impossible { .. }));
}

#[test]
fn the_first_body_of_a_key_wins() {
    let done = |intent| KeyOp::Done { body: "b", intent };
    let conflict = KeyOp::Conflict { body: "other" };
    let history =
        [unknown(0, KeyOp::Unknown { body: "b" }), op(1, 9, conflict.clone()), op(5, 9, done("i"))];
    assert_eq!(key(&history), Outcome::Explained);
    assert!(matches!(
        key(&[op(0, 1, conflict.clone()), op(2, 3, done("i"))]),
        Outcome::Impossible { .. }
    ));
    assert!(matches!(key(&[op(0, 1, done("i")), op(2, 3, done("j"))]), Outcome::Impossible { .. }));
    let taken = KeyOp::Done { body: "other", intent: "i" };
    assert!(matches!(key(&[op(0, 1, done("i")), op(2, 3, taken)]), Outcome::Impossible { .. }));
    let same_refused = KeyOp::Conflict { body: "b" };
    assert!(matches!(
        key(&[op(0, 1, done("i")), op(2, 3, same_refused)]),
        Outcome::Impossible { .. }
    ));
    assert!(matches!(key(&[op(0, 1, KeyOp::Refused)]), Outcome::Impossible { .. }));
}

#[test]
fn giving_up_is_no_success() {
    let history = [op(0, 1, CREATE), op(2, 3, FINISH)];
    let log = log();
    assert_eq!(check(&model(&log), &history, 2), Outcome::Undecided);
}

/// Tries every order of every subset that holds all known operations.
fn brute_force<M: Model>(model: &M, operations: &[Operation<M::Op>]) -> bool {
    fn extend<M: Model>(
        model: &M,
        operations: &[Operation<M::Op>],
        order: &mut Vec<usize>,
        state: &M::State,
    ) -> bool {
        let known = |index: &usize| operations[*index].end.is_some();
        if (0..operations.len()).filter(known).all(|index| order.contains(&index)) {
            return true;
        }
        for index in 0..operations.len() {
            // Nothing that is placed already may have begun after this one had ended.
            let after = |other: &usize| {
                operations[index].end.is_some_and(|end| end < operations[*other].start)
            };
            if order.contains(&index) || order.iter().any(after) {
                continue;
            }
            if let Some(next) = model.step(state, &operations[index].op) {
                order.push(index);
                if extend(model, operations, order, &next) {
                    return true;
                }
                order.pop();
            }
        }
        false
    }
    extend(model, operations, &mut Vec::new(), &model.initial())
}

fn any_span<O>(rng: &mut StdRng, op: O) -> Operation<O> {
    let start = rng.random_range(0..12);
    let end = rng.random_bool(0.8).then(|| start + rng.random_range(0..6));
    Operation { start, end, op }
}

/// Counts of explained and impossible histories, all of them as by brute force.
fn compare<M: Model>(
    model: &M,
    histories: impl Iterator<Item = Vec<Operation<M::Op>>>,
) -> (u32, u32) {
    let (mut good, mut bad) = (0, 0);
    for history in histories {
        let explained = check(model, &history, STEPS) == Outcome::Explained;
        assert_eq!(explained, brute_force(model, &history), "{history:?}");
        if explained { good += 1 } else { bad += 1 }
    }
    (good, bad)
}

#[test]
fn the_search_agrees_with_trying_everything() {
    let mut rng = StdRng::seed_from_u64(5);
    let log = log();
    let model = model(&log);
    let histories = (0..20_000).map(|_| {
        let any = |rng: &mut StdRng| match rng.random_range(0..8) {
            0 | 1 => IntentOp::Create,
            2 => IntentOp::NotFound,
            3 => IntentOp::TooLate,
            4 => IntentOp::Saw { seq: rng.random_range(1..=4) },
            5 => FINISH,
            _ => IntentOp::Read {
                status: ["SUBMITTED", "DELIVERED", "COMPLETED"][rng.random_range(0..3)],
            },
        };
        let count = rng.random_range(1..=6);
        (0..count)
            .map(|_| {
                let op = any(&mut rng);
                any_span(&mut rng, op)
            })
            .collect()
    });
    let (good, bad) = compare(&model, histories);
    assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");

    let mut rng = StdRng::seed_from_u64(6);
    let histories = (0..20_000).map(|_| {
        let any = |rng: &mut StdRng| {
            let body = ["b", "c"][usize::from(rng.random_bool(0.2))];
            match rng.random_range(0..6) {
                0 => KeyOp::Conflict { body },
                1 => KeyOp::Unknown { body },
                _ => KeyOp::Done { body, intent: ["i", "j"][usize::from(rng.random_bool(0.2))] },
            }
        };
        let count = rng.random_range(1..=6);
        (0..count)
            .map(|_| {
                let op = any(&mut rng);
                any_span(&mut rng, op)
            })
            .collect()
    });
    let (good, bad) = compare(&KeyRegister::default(), histories);
    assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");
}
