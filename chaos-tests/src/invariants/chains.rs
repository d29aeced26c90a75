//! What leads to something else leads to it once: chains go on to their last link, a scenario's agents
//! all do their part, and a mailbox that one agent empties in order has no gap.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Invariant};
use crate::history::{History, Kind, next_key};

#[derive(Debug)]
pub(super) struct Chains;

impl Invariant for Chains {
    fn name(&self) -> &'static str {
        "chains"
    }

    fn promise(&self) -> &'static str {
        "P1, P5: chains over shards reach their end once; a mailbox of many senders has no gap"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        check_chains(history, findings);
        check_scenarios(history, findings);
        check_mailboxes(history, findings);
    }
}

fn check_chains(history: &History, findings: &mut Findings) {
    let mut of_key: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for submit in history.submits.iter().filter(|submit| submit.kind == Kind::Chain) {
        if let (Some(key), Some(intent)) = (&submit.key, submit.told.done()) {
            of_key.entry(key).or_default().insert(intent);
        }
    }
    for (intent, submits) in history.acknowledged() {
        if submits[0].kind == Kind::Chain && submits[0].steps > 0 {
            let next = of_key.get(&*next_key(intent)).map_or(0, BTreeSet::len);
            findings.expect(next == 1, || format!("link {intent} was followed by {next}"));
        }
    }
}

/// Ended as planned, and each step became one intent. The server gives steps the correlation id of
/// their scenario. One that only waits may have been given up by its owner, if a clock jumped: a wait
/// that began ahead of time ends ahead of time, too.
fn check_scenarios(history: &History, findings: &mut Findings) {
    let mut steps: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let deliveries = history.listens.iter().flat_map(|listen| &listen.deliveries);
    for delivery in deliveries.filter(|delivery| delivery.step) {
        steps.entry(&delivery.correlation_id).or_default().insert(&delivery.intent);
    }
    let finals = history.final_states();
    let jumped = history.faults.iter().any(|fault| fault.nemesis == "clock-jump");
    for (intent, submits) in history.acknowledged() {
        let state = finals.get(intent).and_then(|states| states.first());
        let Some((_, state)) = state else { continue };
        if submits[0].kind != Kind::Scenario {
            continue;
        }
        let given_up = jumped && submits[0].steps == 0 && state.status == "FAILED";
        findings.expect(state.status == "COMPLETED" || given_up, || {
            format!("scenario {intent} ended as {}", state.status)
        });
        let made = steps.get(&*state.correlation_id).map_or(0, BTreeSet::len);
        findings.expect(made == submits[0].steps, || {
            format!("scenario {intent} made {made} intents for {} steps", submits[0].steps)
        });
    }
}

fn check_mailboxes(history: &History, findings: &mut Findings) {
    let sinks: BTreeSet<&str> = history
        .submits
        .iter()
        .filter(|submit| matches!(submit.kind, Kind::FanIn | Kind::Hoard))
        .map(|submit| submit.to_agent.as_str())
        .collect();
    let mut seen: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for listen in history.listens.iter().filter(|listen| sinks.contains(&*listen.agent)) {
        let cursors = listen.deliveries.iter().map(|delivery| delivery.cursor);
        seen.entry(&listen.agent).or_default().extend(cursors);
    }
    for (agent, cursors) in seen {
        // Each deposit takes as many places as the first one: a place for itself, one for its thread.
        let step = cursors.first().copied().unwrap_or_default();
        let expected = (1..).map(|number| number * step).take(cursors.len());
        findings.expect(cursors.iter().copied().eq(expected), || {
            format!("{agent}: the cursors have gaps: {cursors:?}")
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Delivery, FaultRecord, Listen, Submit, Told, fixture};
    use crate::invariants::violations;

    fn link(intent: &str, key: &str, steps: usize) -> Submit {
        Submit { kind: Kind::Chain, steps, ..fixture::submit(0, Some(intent), Some(key)) }
    }

    #[test]
    fn a_chain_that_breaks_off_and_one_that_forks_are_found() {
        let mut history = History { submits: vec![link("a", "k", 1)], ..History::default() };
        assert_eq!(violations(&Chains, &history), 1);
        history.submits.push(link("b", &next_key("a"), 0));
        assert_eq!(violations(&Chains, &history), 0);
        history.submits.push(link("c", &next_key("a"), 0));
        assert_eq!(violations(&Chains, &history), 1);
    }

    #[test]
    fn a_scenario_that_failed_or_made_too_much_is_found() {
        let mut history = fixture::good();
        (history.submits[0].kind, history.submits[3].kind) = (Kind::Work, Kind::Scenario);
        assert_eq!(violations(&Chains, &history), 0);
        history.submits[3].steps = 1;
        assert_eq!(violations(&Chains, &history), 1);
        history.listens[0].deliveries[1].step = true;
        assert_eq!(violations(&Chains, &history), 0);
        for read in &mut history.finals {
            if let Told::Done(state) = &mut read.told {
                "FAILED".clone_into(&mut state.status);
            }
        }
        assert_eq!(violations(&Chains, &history), 1);
        // Its agent's step is no wait; a wait may have been put far off by a clock.
        let jump = FaultRecord { nemesis: "clock-jump".to_owned(), ..FaultRecord::default() };
        history.faults.push(jump);
        assert_eq!(violations(&Chains, &history), 1);
        history.submits[3].steps = 0;
        history.listens[0].deliveries[1].step = false;
        assert_eq!(violations(&Chains, &history), 0);
    }

    #[test]
    fn a_gap_in_a_mailbox_is_found() {
        let to = Submit { kind: Kind::FanIn, ..fixture::submit(0, Some("a"), None) };
        let delivery = |cursor| Delivery {
            cursor,
            intent: format!("i{cursor}"),
            correlation_id: String::new(),
            step: false,
        };
        let listen = Listen {
            span: fixture::span(0, 1),
            gateway: 0,
            agent: fixture::AGENT.to_owned(),
            since: 0,
            unread_ms: 0,
            deliveries: [1, 2, 3].map(delivery).to_vec(),
        };
        let mut history =
            History { submits: vec![to], listens: vec![listen], ..History::default() };
        assert_eq!(violations(&Chains, &history), 0);
        history.listens[0].deliveries.iter_mut().for_each(|delivery| delivery.cursor *= 2);
        assert_eq!(violations(&Chains, &history), 0);
        history.listens[0].deliveries.remove(1);
        assert_eq!(violations(&Chains, &history), 1);
    }
}
