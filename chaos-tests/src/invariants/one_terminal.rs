//! Exactly one terminal event at most, and nothing after it.

use super::{Findings, Invariant};
use crate::history::{History, SeenEvent};

#[derive(Debug)]
pub(super) struct OneTerminal;

impl Invariant for OneTerminal {
    fn name(&self) -> &'static str {
        "one-terminal"
    }

    fn promise(&self) -> &'static str {
        "P3: a terminal status is final: one terminal event, none after it"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        for read in &history.finals {
            let Some(state) = read.told.done() else { continue };
            let who = format!("{} at gateway {}", read.intent, read.gateway);
            check_events(&state.events, &who, findings);
            let last = state.events.last().map(|event| event.status.as_str());
            findings.expect(last == Some(&*state.status), || {
                format!("{who}: status {} but the last event says {last:?}", state.status)
            });
        }
        for watch in &history.watches {
            let who = format!("{} as watched at gateway {}", watch.intent, watch.gateway);
            check_events(&watch.events, &who, findings);
        }
    }
}

fn check_events(events: &[SeenEvent], who: &str, findings: &mut Findings) {
    let Some(first) = events.iter().position(SeenEvent::is_terminal) else { return };
    findings.expect(first + 1 == events.len(), || {
        let types: Vec<&str> = events[first..].iter().map(|event| &*event.event_type).collect();
        format!("{who}: went on after its end: {types:?}")
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Told, fixture};
    use crate::invariants::violations;

    #[test]
    fn two_terminal_events_are_found() {
        let mut history = fixture::good();
        if let Told::Done(state) = &mut history.finals[0].told {
            let mut second = state.events[3].clone();
            second.seq = 5;
            state.events.push(second);
        }
        assert_eq!(violations(&OneTerminal, &history), 1);
    }

    #[test]
    fn an_event_after_the_end_is_found_and_so_is_a_status_that_lies() {
        let mut history = fixture::good();
        let late = fixture::event(fixture::A, 5, "in_progress", "IN_PROGRESS");
        if let Told::Done(state) = &mut history.finals[0].told {
            state.events.push(late);
        }
        // It goes on after its end, and the status is not that of the last event.
        assert_eq!(violations(&OneTerminal, &history), 2);
    }
}
