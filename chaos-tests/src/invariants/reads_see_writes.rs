//! A read that begins after a write was acknowledged sees it, at any gateway: a simple second opinion
//! beside `linearizable`, which is a search and needs the log of the intent.

use std::collections::BTreeMap;

use axp_proto::log::Status;

use super::{Findings, Invariant};
use crate::history::History;

#[derive(Debug)]
pub(super) struct ReadsSeeWrites;

impl Invariant for ReadsSeeWrites {
    fn name(&self) -> &'static str {
        "reads-see-writes"
    }

    fn promise(&self) -> &'static str {
        "P6: a read after an acknowledged write sees it, at any gateway"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        let mut created: BTreeMap<&str, u64> = BTreeMap::new();
        for submit in &history.submits {
            if let Some(intent) = submit.told.done() {
                let at = created.entry(intent).or_insert(submit.span.end);
                *at = submit.span.end.min(*at);
            }
        }
        let mut ended: BTreeMap<&str, u64> = BTreeMap::new();
        for finish in &history.finishes {
            if finish.told.done().is_some() {
                let at = ended.entry(&finish.intent).or_insert(finish.span.end);
                *at = finish.span.end.min(*at);
            }
        }
        for read in &history.reads {
            if read.told.is_unknown() {
                continue;
            }
            let (intent, gateway) = (read.intent.as_str(), read.gateway);
            if created.get(intent).is_some_and(|at| *at < read.span.start) {
                findings.expect(read.told.done().is_some(), || {
                    format!("{intent}: acknowledged, then {:?} at gateway {gateway}", read.told)
                });
            }
            if let (Some(at), Some(status)) = (ended.get(intent), read.told.done()) {
                let terminal = Status::from_wire_name(status).is_some_and(Status::is_terminal);
                findings.expect(*at >= read.span.start || terminal, || {
                    format!("{intent}: ended, then read as {status} at gateway {gateway}")
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
    fn a_stale_read_is_found() {
        let mut history = fixture::good();
        history.reads[0].told = Told::Done("DELIVERED".to_owned());
        assert_eq!(violations(&ReadsSeeWrites, &history), 1);
        // The same answer to a read that was under way at the time is allowed.
        history.reads[0].span.start = 105;
        assert_eq!(violations(&ReadsSeeWrites, &history), 0);
    }

    #[test]
    fn a_read_that_does_not_find_the_intent_is_found() {
        let mut history = fixture::good();
        history.reads[0].told = fixture::refused(404, "not_found");
        assert_eq!(violations(&ReadsSeeWrites, &history), 1);
    }
}
