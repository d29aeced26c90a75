//! The event with a given seq is the same for everybody, and what was once seen stays.

use std::collections::BTreeMap;

use super::{Findings, Invariant};
use crate::history::{History, SeenEvent};

#[derive(Debug)]
pub(super) struct ReadersAgree;

impl Invariant for ReadersAgree {
    fn name(&self) -> &'static str {
        "readers-agree"
    }

    fn promise(&self) -> &'static str {
        "P2: every reader sees the same events, and no event that somebody saw disappears"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        // What the first gateway says at the end is the reference.
        let mut log: BTreeMap<&str, &[SeenEvent]> = BTreeMap::new();
        for read in &history.finals {
            let Some(state) = read.told.done() else { continue };
            let reference = *log.entry(&read.intent).or_insert(&state.events);
            let who = || format!("gateway {} at the end", read.gateway);
            compare(&read.intent, reference, &state.events, findings, who);
            findings.expect(reference.len() == state.events.len(), || {
                let (here, there) = (state.events.len(), reference.len());
                format!(
                    "{}: {here} events at gateway {}, {there} elsewhere",
                    read.intent, read.gateway
                )
            });
        }
        for watch in &history.watches {
            if let Some(reference) = log.get(&*watch.intent) {
                let who = || format!("a watcher at gateway {}", watch.gateway);
                compare(&watch.intent, reference, &watch.events, findings, who);
            }
        }
        for finish in &history.finishes {
            if let (Some(reference), Some(event)) = (log.get(&*finish.intent), finish.told.done()) {
                let who = || format!("the answer to {}", finish.marker);
                compare(&finish.intent, reference, std::slice::from_ref(event), findings, who);
            }
        }
    }
}

fn compare(
    intent: &str,
    reference: &[SeenEvent],
    seen: &[SeenEvent],
    findings: &mut Findings,
    who: impl Fn() -> String,
) {
    for event in seen {
        let logged = reference.iter().find(|logged| logged.seq == event.seq);
        findings.expect(logged == Some(event), || {
            format!("{intent} seq {}: {} saw {event:?}, the log has {logged:?}", event.seq, who())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Told, fixture};
    use crate::invariants::violations;

    #[test]
    fn a_watcher_that_saw_something_else_is_found() {
        let mut history = fixture::good();
        history.watches[0].events[1].digest ^= 1;
        assert_eq!(violations(&ReadersAgree, &history), 1);
    }

    #[test]
    fn an_event_that_disappeared_is_found() {
        let mut history = fixture::good();
        for read in &mut history.finals {
            if let Told::Done(state) = &mut read.told {
                state.events.truncate(3);
            }
        }
        // The watcher's last event and the acknowledged finish.
        assert_eq!(violations(&ReadersAgree, &history), 2);
    }

    #[test]
    fn gateways_that_differ_are_found() {
        let mut history = fixture::good();
        if let Told::Done(state) = &mut history.finals[3].told {
            state.events.pop();
        }
        assert_eq!(violations(&ReadersAgree, &history), 1);
    }
}
