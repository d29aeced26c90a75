//! What was acknowledged reaches its agent at least once, and is finished in the end.

use std::collections::BTreeSet;

use super::{Findings, Invariant};
use crate::history::History;

#[derive(Debug)]
pub(super) struct DeliveredAndFinished;

impl Invariant for DeliveredAndFinished {
    fn name(&self) -> &'static str {
        "delivered-and-finished"
    }

    fn promise(&self) -> &'static str {
        "delivery is at least once: a crashed agent, gateway or node loses nothing"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        let agents: BTreeSet<&str> = history.listens.iter().map(|l| l.agent.as_str()).collect();
        let delivered: BTreeSet<(&str, &str)> = history
            .listens
            .iter()
            .flat_map(|listen| listen.deliveries.iter().map(|d| (&*listen.agent, &*d.intent)))
            .collect();
        // An owner may end an intent before its agent sees it; then it need not be delivered.
        let ended_by_owner: BTreeSet<&str> = history
            .finishes
            .iter()
            .filter(|f| f.route == crate::history::Route::Resolve && f.told.refusal().is_none())
            .map(|finish| finish.intent.as_str())
            .collect();
        let finals = history.final_states();
        for (intent, submits) in history.acknowledged() {
            let agent = submits[0].to_agent.as_str();
            if !agents.contains(agent) {
                continue;
            }
            let reached = delivered.contains(&(agent, intent)) || ended_by_owner.contains(intent);
            findings.expect(reached, || format!("{intent} never reached {agent}"));
            let states = finals.get(intent).into_iter().flatten();
            for (gateway, state) in states {
                let ended = state.events.iter().any(crate::history::SeenEvent::is_terminal);
                findings.expect(ended, || {
                    format!("{intent} is still {} at gateway {gateway}", state.status)
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
    fn a_lost_delivery_is_found() {
        let mut history = fixture::good();
        history.listens[0].deliveries.remove(1);
        assert_eq!(violations(&DeliveredAndFinished, &history), 1);
    }

    #[test]
    fn an_intent_left_open_is_found() {
        let mut history = fixture::good();
        if let Told::Done(state) = &mut history.finals[0].told {
            state.events.pop();
        }
        assert_eq!(violations(&DeliveredAndFinished, &history), 1);
    }
}
