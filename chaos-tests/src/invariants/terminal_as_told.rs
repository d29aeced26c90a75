//! Of two who end an intent one wins, and the log has what the winner was told.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Invariant};
use crate::history::{Finish, History, SeenEvent};

#[derive(Debug)]
pub(super) struct TerminalAsTold;

impl Invariant for TerminalAsTold {
    fn name(&self) -> &'static str {
        "terminal-as-told"
    }

    fn promise(&self) -> &'static str {
        "P3: exactly one finisher wins, the loser is refused, the log keeps the winner's result"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        let finals = history.final_states();
        let mut attempts: BTreeMap<&str, Vec<&Finish>> = BTreeMap::new();
        for finish in &history.finishes {
            attempts.entry(&finish.intent).or_default().push(finish);
        }
        for (intent, attempts) in attempts {
            let Some(&(_, state)) = finals.get(intent).and_then(|states| states.first()) else {
                continue; // acknowledged-kept speaks about it
            };
            let terminal = state.events.iter().find(|event| event.is_terminal());
            check_intent(intent, &attempts, terminal, findings);
        }
    }
}

fn check_intent(
    intent: &str,
    attempts: &[&Finish],
    terminal: Option<&SeenEvent>,
    findings: &mut Findings,
) {
    let winners: BTreeSet<&str> = attempts
        .iter()
        .filter(|finish| finish.told.done().is_some())
        .map(|finish| finish.marker.as_str())
        .collect();
    findings.expect(winners.len() <= 1, || format!("{intent} has two winners: {winners:?}"));

    for finish in attempts {
        if let Some(event) = finish.told.done() {
            let marker = event.marker.as_deref();
            findings.expect(marker == Some(&*finish.marker), || {
                format!("{intent}: {} was told of the result of {marker:?}", finish.marker)
            });
        }
        // A refusal for being too late says that the intent has ended.
        if finish.told.refusal().is_some_and(|(status, _)| status == 409) {
            findings.expect(terminal.is_some(), || {
                format!("{intent}: {} was refused as too late, yet it is open", finish.marker)
            });
        }
        let unheard_of = finish.told.refusal().is_some_and(|(status, _)| status == 404);
        findings.expect(!unheard_of, || format!("{intent}: {} was told 404", finish.marker));
    }

    let logged = terminal.and_then(|event| event.marker.as_deref());
    if let Some(winner) = winners.first() {
        findings.expect(logged == Some(winner), || {
            format!("{intent}: {winner} was told that it won, the log has {logged:?}")
        });
    }
    // Whoever is in the log asked for it and was not refused.
    if let Some(logged) = logged {
        let asked = attempts
            .iter()
            .any(|finish| finish.marker == logged && finish.told.refusal().is_none());
        findings.expect(asked, || format!("{intent}: nobody asked for the result of {logged}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Told, fixture};
    use crate::invariants::violations;

    #[test]
    fn two_winners_are_found() {
        let mut history = fixture::good();
        let mut event = history.finishes[0].told.done().unwrap().clone();
        event.marker = Some("a-owner".to_owned());
        history.finishes[1].told = Told::Done(event);
        // Two winners; and the one that sorts first is the log's, so nothing else.
        assert_eq!(violations(&TerminalAsTold, &history), 1);
    }

    #[test]
    fn a_log_that_keeps_the_losers_result_is_found() {
        let mut history = fixture::good();
        for read in &mut history.finals {
            if let Told::Done(state) = &mut read.told {
                state.events[3].marker = Some("a-owner".to_owned());
            }
        }
        // A: not the winner's, and asked for only by one that was refused. B: nobody asked.
        assert_eq!(violations(&TerminalAsTold, &history), 3);
    }

    #[test]
    fn an_unknown_finish_may_be_in_the_log_or_not() {
        let mut history = fixture::good();
        assert_eq!(violations(&TerminalAsTold, &history), 0);
        for read in &mut history.finals {
            if let (fixture::B, Told::Done(state)) = (&*read.intent, &mut read.told) {
                state.events.pop();
            }
        }
        assert_eq!(violations(&TerminalAsTold, &history), 0);
    }

    #[test]
    fn a_refusal_of_an_open_intent_is_found() {
        let mut history = fixture::good();
        history.finishes[2].told = fixture::refused(409, "invalid_state");
        for read in &mut history.finals {
            if let (fixture::B, Told::Done(state)) = (&*read.intent, &mut read.told) {
                state.events.pop();
            }
        }
        assert_eq!(violations(&TerminalAsTold, &history), 1);
    }
}
