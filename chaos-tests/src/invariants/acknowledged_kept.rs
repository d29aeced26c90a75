//! No acknowledged intent is lost: every gateway still has it at the end, and it is the same one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Invariant};
use crate::history::{FinalRead, History, Kind};

#[derive(Debug)]
pub(super) struct AcknowledgedKept;

impl Invariant for AcknowledgedKept {
    fn name(&self) -> &'static str {
        "acknowledged-kept"
    }

    fn promise(&self) -> &'static str {
        "P1: an acknowledged intent or event is never lost"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        let gateways: BTreeSet<usize> = history.finals.iter().map(|read| read.gateway).collect();
        let finals: BTreeMap<(usize, &str), &FinalRead> =
            history.finals.iter().map(|read| ((read.gateway, &*read.intent), read)).collect();
        for (intent, submits) in history.acknowledged() {
            for &gateway in &gateways {
                let state = finals.get(&(gateway, intent)).and_then(|read| read.told.done());
                findings.expect(state.is_some(), || {
                    let answer = finals.get(&(gateway, intent)).map(|read| &read.told);
                    format!("gateway {gateway} has lost intent {intent}: {answer:?}")
                });
                let Some(state) = state else { continue };
                for submit in &submits {
                    // The server names scenarios itself.
                    let named = submit.kind == Kind::Scenario;
                    findings.expect(named || state.correlation_id == submit.correlation_id, || {
                        let (is, was) = (&state.correlation_id, &submit.correlation_id);
                        format!("intent {intent} is another: correlation {is}, submitted {was}")
                    });
                }
                let created =
                    state.events.first().is_some_and(|e| e.event_type == "intent.created");
                findings.expect(created && state.events.len() >= 2, || {
                    format!("gateway {gateway}: intent {intent} lacks the events of its creation")
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Told, fixture};
    use crate::invariants::violations;

    #[test]
    fn a_lost_intent_is_found() {
        let mut history = fixture::good();
        history.finals[0].told = fixture::refused(404, "not_found");
        assert_eq!(violations(&AcknowledgedKept, &history), 1);
    }

    #[test]
    fn an_intent_that_nobody_read_back_is_found() {
        let mut history = fixture::good();
        history.finals.retain(|read| read.intent != fixture::B);
        assert_eq!(violations(&AcknowledgedKept, &history), 2);
    }

    #[test]
    fn an_intent_with_anothers_body_is_found() {
        let mut history = fixture::good();
        if let Told::Done(state) = &mut history.finals[0].told {
            state.correlation_id = "someone else's".to_owned();
        }
        assert_eq!(violations(&AcknowledgedKept, &history), 2); // one for each acknowledgement
    }

    #[test]
    fn lost_first_events_are_found() {
        let mut history = fixture::good();
        if let Told::Done(state) = &mut history.finals[3].told {
            state.events.remove(0);
        }
        assert_eq!(violations(&AcknowledgedKept, &history), 1);
    }
}
