//! Every reader sees `seq` go up by one, from where it asked to continue.

use super::{Findings, Invariant};
use crate::history::{History, SeenEvent};

#[derive(Debug)]
pub(super) struct DenseSeq;

impl Invariant for DenseSeq {
    fn name(&self) -> &'static str {
        "dense-seq"
    }

    fn promise(&self) -> &'static str {
        "P2, P5: seq is 1, 2, 3 ... without gap or repeat, for every reader and from any cursor"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        for watch in &history.watches {
            if !watch.events.is_empty() {
                let (gateway, intent) = (watch.gateway, &watch.intent);
                check_run(&watch.events, watch.since, findings, || {
                    format!("watch of {intent} at gateway {gateway} since {}", watch.since)
                });
            }
        }
        for read in &history.finals {
            if let Some(state) = read.told.done() {
                check_run(&state.events, 0, findings, || {
                    format!("events of {} at gateway {}", read.intent, read.gateway)
                });
            }
        }
    }
}

fn check_run(
    events: &[SeenEvent],
    since: u32,
    findings: &mut Findings,
    what: impl FnOnce() -> String,
) {
    let dense = events.iter().zip(since + 1..).all(|(event, seq)| event.seq == seq);
    findings.expect(dense, || {
        let seqs: Vec<u32> = events.iter().map(|event| event.seq).collect();
        format!("{}: seq {seqs:?}", what())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture;
    use crate::invariants::violations;

    #[test]
    fn gaps_repeats_and_disorder_are_found() {
        for spoil in [
            |events: &mut Vec<SeenEvent>| drop(events.remove(0)),
            |events: &mut Vec<SeenEvent>| events.insert(0, events[0].clone()),
            |events: &mut Vec<SeenEvent>| events.swap(0, 1),
        ] {
            let mut history = fixture::good();
            spoil(&mut history.watches[1].events);
            assert_eq!(violations(&DenseSeq, &history), 1);
        }
    }

    #[test]
    fn a_gap_over_a_reconnect_is_found() {
        let mut history = fixture::good();
        history.watches[1].since = 1;
        assert_eq!(violations(&DenseSeq, &history), 1);
    }
}
