//! What is pushed reaches its receiver, signed, until it is taken or given up, and is not repeated
//! beyond that.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Invariant};
use crate::history::{Answer, FinalState, History, Kind, Push, Route, SeenEvent, Submit};

/// After something broke, healed or moved, an answer may not have been heard for so long.
const SHAKEN_MICROS: u64 = 10_000_000;
/// So long after an answer it is stored that it was heard.
const HEARD_WITHIN_MICROS: u64 = 2_000_000;

#[derive(Debug)]
pub(super) struct Pushes;

impl Invariant for Pushes {
    fn name(&self) -> &'static str {
        "pushes"
    }

    fn promise(&self) -> &'static str {
        "delivery by http is at least once: signed, repeated until it is taken or given up"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        let mut sent: BTreeMap<&str, Vec<&Push>> = BTreeMap::new();
        for push in &history.pushes {
            sent.entry(&push.intent).or_default().push(push);
        }
        check_each(history, findings);
        let (finals, quiet) = (history.final_states(), Quiet::of(history));
        // An owner may end an intent before it could be pushed.
        let ended_by_owner: BTreeSet<&str> = history
            .finishes
            .iter()
            .filter(|it| it.route == Route::Resolve && it.told.refusal().is_none())
            .map(|finish| finish.intent.as_str())
            .collect();
        for (intent, submits) in history.acknowledged() {
            let state = finals.get(intent).and_then(|states| states.first());
            let Some((_, state)) = state else { continue }; // acknowledged-kept speaks about it
            if submits[0].kind == Kind::Push {
                let pushes = sent.get(intent).map(Vec::as_slice).unwrap_or_default();
                let by_owner = ended_by_owner.contains(intent);
                let sent = Sent { intent, submit: submits[0], state, by_owner, pushes };
                sent.check_attempts(&quiet, findings);
                sent.check_outcome(&quiet, findings);
            }
        }
    }
}

/// Everything that came was asked for by that organization, and is signed.
fn check_each(history: &History, findings: &mut Findings) {
    let submitted: BTreeSet<(usize, &str)> = history
        .submits
        .iter()
        .filter(|submit| submit.told.refusal().is_none())
        .map(|submit| (submit.org, submit.correlation_id.as_str()))
        .collect();
    for push in &history.pushes {
        let Push { org, intent, attempt, .. } = push;
        findings.expect(push.signed, || format!("{intent}, attempt {attempt}: not signed"));
        findings.expect(submitted.contains(&(*org, &*push.correlation_id)), || {
            format!("{intent} was pushed to {org}, which has not submitted it")
        });
    }
}

/// When nothing is in the way of an answer.
struct Quiet(Vec<u64>);

impl Quiet {
    fn of(history: &History) -> Self {
        let mut disturbances: Vec<u64> = history.faults.iter().map(|fault| fault.at).collect();
        disturbances.extend(history.heals.iter().map(|heal| heal.at));
        disturbances.extend(history.leader_changes.iter().map(|change| change.at));
        disturbances.sort_unstable();
        Self(disturbances)
    }

    fn is_between(&self, from: u64, to: u64) -> bool {
        let place = self.0.partition_point(|at| at + SHAKEN_MICROS < from);
        self.0.get(place).is_none_or(|at| *at > to)
    }
}

/// One intent and what was sent of it.
struct Sent<'a> {
    intent: &'a str,
    submit: &'a Submit,
    state: &'a FinalState,
    by_owner: bool,
    pushes: &'a [&'a Push],
}

impl Sent<'_> {
    fn has(&self, event_type: &str) -> bool {
        self.state.events.iter().any(|event| event.event_type == event_type)
    }

    /// Whether its agent ended it.
    fn is_signed_end(&self) -> bool {
        self.state.events.last().is_some_and(|event| event.marker.is_some())
    }

    /// Each attempt has a number of its own, and there are only so many that are known to have failed: one
    /// whose sender may not have lived to store that is made again (ADR 0010).
    fn check_attempts(&self, quiet: &Quiet, findings: &mut Findings) {
        let intent = self.intent;
        let numbers: BTreeSet<u32> = self.pushes.iter().map(|push| push.attempt).collect();
        findings.expect(numbers.len() == self.pushes.len(), || {
            format!("{intent}: {} pushes have the numbers {numbers:?}", self.pushes.len())
        });
        let unheard = self
            .pushes
            .iter()
            .filter(|push| !quiet.is_between(push.span.start, push.span.end + HEARD_WITHIN_MICROS));
        let most = self.submit.steps + unheard.count();
        let within = numbers.iter().all(|number| *number > 0 && *number as usize <= most);
        findings.expect(within, || format!("{intent}: attempts {numbers:?} of {most}"));
    }

    /// Delivered says that somebody took it, and given up that nobody did.
    fn check_outcome(&self, quiet: &Quiet, findings: &mut Findings) {
        let intent = self.intent;
        let ended = self.state.events.last().is_some_and(SeenEvent::is_terminal);
        findings.expect(ended, || format!("{intent} is still {}", self.state.status));
        let (delivered, given_up) =
            (self.has("intent.delivered"), self.has("intent.delivery_failed"));
        let answers = || self.pushes.iter().map(|push| push.answer).collect::<Vec<_>>();
        let reached = !self.pushes.is_empty() || given_up || self.by_owner;
        findings.expect(reached, || format!("{intent} was not pushed"));
        let taken = self.pushes.iter().any(|push| push.answer != Answer::NotTaken);
        findings.expect(!delivered || taken, || {
            format!("{intent} counts as delivered, and was answered {:?}", answers())
        });
        let heard = self.pushes.iter().filter(|push| push.answer == Answer::Taken);
        for push in heard {
            let end = self.pushes.iter().map(|push| push.span.start).max().unwrap_or_default();
            if quiet.is_between(push.span.start, push.span.end + HEARD_WITHIN_MICROS) {
                findings.expect(end <= push.span.start, || {
                    format!("{intent}: attempt {} was taken, and others followed", push.attempt)
                });
                // Its agent may have ended it before the push could say that it had arrived.
                let heard_of = delivered || self.is_signed_end();
                findings.expect(heard_of && !given_up, || {
                    format!("{intent}: attempt {} was taken and forgotten", push.attempt)
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{FinalRead, Told, fixture};
    use crate::invariants::violations;

    fn push(attempt: u32, answer: Answer) -> Push {
        let at = u64::from(attempt) * 20;
        Push {
            span: fixture::span(at, at + 1),
            org: 0,
            intent: "pushed".to_owned(),
            correlation_id: "correlation-of-pushed".to_owned(),
            attempt,
            signed: true,
            answer,
        }
    }

    /// Refused once, and then taken.
    fn history() -> History {
        let submit = fixture::submit(0, Some("pushed"), Some("key"));
        let state = FinalState {
            status: "COMPLETED".to_owned(),
            correlation_id: submit.correlation_id.clone(),
            events: fixture::events("pushed", "agent"),
        };
        let told = Told::Done(state);
        History {
            submits: vec![Submit { kind: Kind::Push, steps: 2, ..submit }],
            finals: vec![FinalRead { gateway: 0, intent: "pushed".to_owned(), told }],
            pushes: vec![push(1, Answer::NotTaken), push(2, Answer::Taken)],
            ..History::default()
        }
    }

    fn found(change: impl FnOnce(&mut History)) -> u64 {
        let mut history = history();
        change(&mut history);
        violations(&Pushes, &history)
    }

    fn state(history: &mut History) -> &mut FinalState {
        match &mut history.finals[0].told {
            Told::Done(state) => state,
            _ => panic!("it has a state"),
        }
    }

    #[test]
    fn a_push_that_was_taken_at_last_is_as_promised() {
        assert_eq!(found(|_| {}), 0);
    }

    #[test]
    fn pushes_without_a_signature_and_to_others_are_found() {
        assert_eq!(found(|history| history.pushes[0].signed = false), 1);
        assert_eq!(found(|history| history.pushes[0].org = 1), 1);
    }

    #[test]
    fn what_never_came_is_found() {
        // Nor can it have been delivered.
        assert_eq!(found(|history| history.pushes.clear()), 2);
        assert_eq!(found(|history| history.pushes[1].answer = Answer::NotTaken), 1);
    }

    #[test]
    fn one_attempt_twice_and_one_too_many_are_found() {
        assert_eq!(found(|history| history.pushes[1].attempt = 1), 1);
        assert_eq!(found(|history| history.submits[0].steps = 1), 1);
    }

    #[test]
    fn a_repeat_of_what_was_taken_is_found_unless_something_broke() {
        let repeated = |history: &mut History| history.pushes[0].answer = Answer::Taken;
        assert_eq!(found(repeated), 1);
        let broken = |history: &mut History| {
            repeated(history);
            let leader = crate::history::LeaderChange { at: 25, group: 1, term: 2, leader: 2 };
            history.leader_changes.push(leader);
        };
        assert_eq!(found(broken), 0);
    }

    #[test]
    fn what_was_taken_and_given_up_is_found() {
        let given_up = |history: &mut History| {
            let end = state(history).events.last_mut().unwrap();
            "intent.delivery_failed".clone_into(&mut end.event_type);
            state(history).events.remove(2);
        };
        assert_eq!(found(given_up), 1);
        assert_eq!(found(|history| drop(state(history).events.pop())), 1);
    }
}
