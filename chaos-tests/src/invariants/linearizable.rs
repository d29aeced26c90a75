//! What clients were told of an intent, and of an idempotency key, can be put in one order in time.

use std::collections::BTreeMap;

use super::{Findings, Invariant};
use crate::history::{Finish, History, Span, Submit, Told};
use crate::linear::{self, IntentLog, IntentOp, KeyOp, KeyRegister, Model, Operation, Outcome};

/// Far beyond what any history of a run takes.
const STEPS_MAX: usize = 1_000_000;

#[derive(Debug)]
pub(super) struct Linearizable;

impl Invariant for Linearizable {
    fn name(&self) -> &'static str {
        "linearizable"
    }

    fn promise(&self) -> &'static str {
        "P6, P4: some order in time explains all answers about an intent, and about a key"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        let finals = history.final_states();
        for (intent, operations) in of_intents(history) {
            // What has no log, or a log with holes, is what acknowledged-kept and dense-seq speak of.
            let state = finals.get(intent).and_then(|states| states.first());
            let log = state.and_then(|(_, state)| IntentLog::new(&state.events, &operations));
            if let Some(log) = log {
                judge(intent, &log, &operations, findings);
            }
        }
        for ((org, key), operations) in of_keys(history) {
            judge(&format!("key {key} of {org}"), &KeyRegister::default(), &operations, findings);
        }
    }
}

fn judge<M: Model>(
    name: &str,
    model: &M,
    operations: &[Operation<M::Op>],
    findings: &mut Findings,
) {
    findings.looked_at(operations.len());
    match linear::check(model, operations, STEPS_MAX) {
        Outcome::Explained => {}
        Outcome::Impossible { stuck } => findings.violation(|| {
            let stuck: Vec<&Operation<M::Op>> = stuck.iter().map(|at| &operations[*at]).collect();
            format!("{name}: no order explains {stuck:?} beside the rest of {operations:?}")
        }),
        Outcome::Undecided => findings.violation(|| {
            format!("{name}: UNDECIDED after {STEPS_MAX} steps, {} operations", operations.len())
        }),
    }
}

/// An answer that is not known may come about at any time after the question.
fn operation<O, T>(span: Span, told: &Told<T>, op: O) -> Operation<O> {
    Operation { start: span.start, end: (!told.is_unknown()).then_some(span.end), op }
}

fn of_intents(history: &History) -> BTreeMap<&str, Vec<Operation<IntentOp<'_>>>> {
    let mut all: BTreeMap<&str, Vec<Operation<IntentOp<'_>>>> = BTreeMap::new();
    let bodies: BTreeMap<&str, &str> = history
        .submits
        .iter()
        .filter_map(|submit| Some((submit.correlation_id.as_str(), submit.told.done()?.as_str())))
        .collect();
    for submit in &history.submits {
        // An unknown attempt may have made the intent that a later one was answered with.
        let intent = match &submit.told {
            Told::Done(intent) => Some(intent.as_str()),
            Told::Unknown { .. } => bodies.get(submit.correlation_id.as_str()).copied(),
            Told::Refused { .. } => None,
        };
        if let Some(intent) = intent {
            let create = operation(submit.span, &submit.told, IntentOp::Create);
            all.entry(intent).or_default().push(create);
        }
    }
    for finish in &history.finishes {
        if let Some(op) = finish_op(finish) {
            let finish_at = operation(finish.span, &finish.told, op);
            all.entry(&finish.intent).or_default().push(finish_at);
        }
    }
    for read in &history.reads {
        let op = match &read.told {
            Told::Done(status) => IntentOp::Read { status },
            Told::Refused { status: 404, .. } => IntentOp::NotFound,
            Told::Refused { .. } | Told::Unknown { .. } => continue,
        };
        all.entry(&read.intent).or_default().push(operation(read.span, &read.told, op));
    }
    for watch in &history.watches {
        if let Some(last) = watch.events.last() {
            let (Span { start, end }, op) = (watch.span, IntentOp::Saw { seq: last.seq });
            let saw = Operation { start, end: Some(end), op };
            all.entry(&watch.intent).or_default().push(saw);
        }
    }
    all
}

fn finish_op(finish: &Finish) -> Option<IntentOp<'_>> {
    match &finish.told {
        Told::Done(_) | Told::Unknown { .. } => Some(IntentOp::Finish { marker: &finish.marker }),
        Told::Refused { status: 409, .. } => Some(IntentOp::TooLate),
        Told::Refused { status: 404, .. } => Some(IntentOp::NotFound),
        Told::Refused { .. } => None,
    }
}

type Key<'a> = (usize, &'a str);

/// By organization and key: the keys of one are nothing to another.
fn of_keys(history: &History) -> BTreeMap<Key<'_>, Vec<Operation<KeyOp<'_>>>> {
    let mut all: BTreeMap<Key<'_>, Vec<Operation<KeyOp<'_>>>> = BTreeMap::new();
    for submit in &history.submits {
        if let Some(key) = &submit.key {
            let op = operation(submit.span, &submit.told, key_op(submit));
            all.entry((submit.org, key)).or_default().push(op);
        }
    }
    all
}

fn key_op(submit: &Submit) -> KeyOp<'_> {
    let body = submit.correlation_id.as_str();
    match &submit.told {
        Told::Done(intent) => KeyOp::Done { body, intent },
        Told::Unknown { .. } => KeyOp::Unknown { body },
        Told::Refused { status: 409, code } if code == "idempotency_conflict" => {
            KeyOp::Conflict { body }
        }
        Told::Refused { .. } => KeyOp::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture;
    use crate::invariants::violations;

    #[test]
    fn a_stale_read_is_found() {
        let mut history = fixture::good();
        history.reads[0].told = Told::Done("DELIVERED".to_owned());
        assert_eq!(violations(&Linearizable, &history), 1);
        // The same answer to a read that was under way at the time is allowed.
        history.reads[0].span.start = 105;
        assert_eq!(violations(&Linearizable, &history), 0);
    }

    #[test]
    fn a_read_that_does_not_find_the_intent_is_found() {
        let mut history = fixture::good();
        history.reads[0].told = fixture::refused(404, "not_found");
        assert_eq!(violations(&Linearizable, &history), 1);
    }

    #[test]
    fn a_finish_that_is_not_in_the_log_is_found() {
        let mut history = fixture::good();
        for read in &mut history.finals {
            if let (fixture::A, Told::Done(state)) = (&*read.intent, &mut read.told) {
                state.events.pop();
            }
        }
        assert_eq!(violations(&Linearizable, &history), 1);
    }

    #[test]
    fn an_unknown_submit_may_be_what_made_the_intent() {
        let mut history = fixture::good();
        history.submits[0].told = Told::Unknown { why: "timeout".to_owned() };
        history.submits[1].span = fixture::span(200, 210);
        // Ended before the attempt that was answered: only the unknown one can have made it.
        history.submits[2].span = fixture::span(220, 230);
        assert_eq!(violations(&Linearizable, &history), 0);
        history.submits[0].span = fixture::span(150, 160);
        assert_eq!(violations(&Linearizable, &history), 1);
    }

    #[test]
    fn a_key_that_changes_its_mind_is_found() {
        let mut history = fixture::good();
        history.submits[2].span = fixture::span(0, 5);
        history.submits[0].span = fixture::span(10, 15);
        assert_eq!(violations(&Linearizable, &history), 1);
    }
}
