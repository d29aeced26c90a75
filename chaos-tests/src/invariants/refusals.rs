//! Too much is refused in the contract's words, leaves nothing behind, and hits only who asks too much.

use std::collections::BTreeSet;

use super::{Findings, Invariant};
use crate::history::History;

const CODE: &str = "rate_limit_exceeded";

#[derive(Debug)]
pub(super) struct Refusals;

impl Invariant for Refusals {
    fn name(&self) -> &'static str {
        "refusals"
    }

    fn promise(&self) -> &'static str {
        "P12: who floods is refused and told when to come again, nothing of it happens, others are served"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        let deliveries = history.listens.iter().flat_map(|listen| &listen.deliveries);
        let delivered: BTreeSet<&str> = deliveries.map(|it| it.correlation_id.as_str()).collect();
        for refusal in &history.refusals {
            let org = refusal.org;
            findings.expect(refusal.flooding, || {
                format!("{org} was refused at {} although others flood", refusal.span.start)
            });
            let told = refusal.code == CODE && refusal.retry_after_seconds.is_some_and(|it| it > 0);
            findings.expect(told, || format!("{org} was refused in other words: {refusal:?}"));
            if let Some(body) = &refusal.correlation_id {
                findings.expect(!delivered.contains(body.as_str()), || {
                    format!("{body} was refused and reached an agent")
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture;
    use crate::invariants::violations;

    #[test]
    fn a_refusal_of_others_is_found() {
        let mut history = fixture::good();
        history.refusals[0].flooding = false;
        assert_eq!(violations(&Refusals, &history), 1);
    }

    #[test]
    fn a_refusal_that_says_too_little_is_found() {
        let mut history = fixture::good();
        history.refusals[0].retry_after_seconds = None;
        assert_eq!(violations(&Refusals, &history), 1);
        history.refusals[0].retry_after_seconds = Some(1);
        history.refusals[0].code = "unavailable".to_owned();
        assert_eq!(violations(&Refusals, &history), 1);
    }

    #[test]
    fn what_was_refused_and_done_is_found() {
        let mut history = fixture::good();
        history.listens[0].deliveries[0].correlation_id = "refused".to_owned();
        assert_eq!(violations(&Refusals, &history), 1);
    }
}
