//! One idempotency key makes one intent; all answers agree; another body is refused.
//!
//! Also found when no client was ever told of the second intent: each body carries its own
//! correlation id, and agents report the correlation id of whatever reaches them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Invariant};
use crate::history::{History, Submit};

#[derive(Debug)]
pub(super) struct OneIntentPerKey;

impl Invariant for OneIntentPerKey {
    fn name(&self) -> &'static str {
        "one-intent-per-key"
    }

    fn promise(&self) -> &'static str {
        "P4: one idempotency key makes one intent, all answers agree, another body is refused"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        check_answers(history, findings);
        check_bodies(history, findings);
    }
}

fn check_answers(history: &History, findings: &mut Findings) {
    // The keys of one organization are nothing to another.
    let mut by_key: BTreeMap<(usize, &str), Vec<&Submit>> = BTreeMap::new();
    for submit in &history.submits {
        if let Some(key) = &submit.key {
            by_key.entry((submit.org, key)).or_default().push(submit);
        }
    }
    for ((_, key), submits) in by_key {
        let (mutated, same): (Vec<&Submit>, Vec<&Submit>) =
            submits.into_iter().partition(|submit| submit.mutated);
        let intents: BTreeSet<&String> =
            same.iter().filter_map(|submit| submit.told.done()).collect();
        findings.expect(intents.len() <= 1, || format!("key {key} made {intents:?}"));
        for submit in same {
            let conflict = submit.told.refusal() == Some((409, "idempotency_conflict"));
            findings.expect(!conflict, || format!("key {key}: the same body was refused"));
        }
        // Mutated attempts begin after an acknowledgement of the original.
        for submit in mutated {
            findings.expect(submit.told.done().is_none(), || {
                format!("key {key}: another body was taken: {:?}", submit.told)
            });
            if let Some((status, code)) = submit.told.refusal() {
                findings.expect(status == 409, || {
                    format!("key {key}: another body was refused with {status} {code}")
                });
            }
        }
    }
}

/// One body, one intent; the body of a refused attempt, none.
fn check_bodies(history: &History, findings: &mut Findings) {
    let mut intents: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for submit in &history.submits {
        if let Some(intent) = submit.told.done() {
            intents.entry(&submit.correlation_id).or_default().insert(intent);
        }
    }
    let deliveries = history.listens.iter().flat_map(|listen| &listen.deliveries);
    for delivery in deliveries.filter(|delivery| !delivery.step) {
        intents.entry(&delivery.correlation_id).or_default().insert(&delivery.intent);
    }
    let mut may_exist: BTreeSet<&str> = BTreeSet::new();
    for submit in &history.submits {
        if submit.told.refusal().is_none() && !submit.mutated {
            may_exist.insert(&submit.correlation_id);
        }
    }
    for (correlation, intents) in intents {
        findings.expect(intents.len() == 1, || format!("{correlation} became {intents:?}"));
        findings.expect(may_exist.contains(correlation), || {
            format!("{correlation} was refused or never submitted, and became {intents:?}")
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Delivery, Told, fixture};
    use crate::invariants::violations;

    #[test]
    fn answers_that_disagree_are_found() {
        let mut history = fixture::good();
        history.submits[1].told = Told::Done("intent-c".to_owned());
        assert_eq!(violations(&OneIntentPerKey, &history), 2); // by key and by body
    }

    #[test]
    fn a_second_intent_that_no_client_was_told_of_is_found() {
        let mut history = fixture::good();
        history.listens[0].deliveries.push(Delivery {
            step: false,
            cursor: 6,
            intent: "intent-c".to_owned(),
            correlation_id: format!("correlation-of-{}", fixture::A),
        });
        assert_eq!(violations(&OneIntentPerKey, &history), 1);
    }

    #[test]
    fn a_mutated_body_that_is_taken_is_found() {
        let mut history = fixture::good();
        history.submits[2].told = Told::Done(fixture::A.to_owned());
        assert_eq!(violations(&OneIntentPerKey, &history), 2); // taken; and its body became real
    }

    #[test]
    fn a_mutated_body_that_reaches_an_agent_is_found() {
        let mut history = fixture::good();
        history.submits[2].told = Told::Unknown { why: "timeout".to_owned() };
        assert_eq!(violations(&OneIntentPerKey, &history), 0);
        history.listens[0].deliveries.push(Delivery {
            step: false,
            cursor: 6,
            intent: "intent-c".to_owned(),
            correlation_id: "correlation-mutated".to_owned(),
        });
        assert_eq!(violations(&OneIntentPerKey, &history), 1);
    }

    #[test]
    fn a_repeat_that_is_refused_is_found() {
        let mut history = fixture::good();
        history.submits[1].told = fixture::refused(409, "idempotency_conflict");
        assert_eq!(violations(&OneIntentPerKey, &history), 1);
    }
}
