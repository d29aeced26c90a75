//! A timer fires once, never before it is due, and not much later.

use super::{Findings, Invariant};
use crate::history::{Due, History, Timer};
use crate::timers::{Firing, Patience, firings};

const CLOCK_JUMP: &str = "clock-jump";

#[derive(Debug)]
pub(super) struct Timers;

impl Invariant for Timers {
    fn name(&self) -> &'static str {
        "timers"
    }

    fn promise(&self) -> &'static str {
        "P7: a timer is never lost, never early, fires once, and not late when its shard can write"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        let finals = history.final_states();
        // Where clocks jump, what is late and what somebody sees early is a matter of whose clock.
        let jumped = history.faults.iter().any(|fault| fault.nemesis == CLOCK_JUMP);
        let patience = (!jumped).then(|| Patience::of(history));
        for timer in &history.timers {
            let Some((_, state)) = finals.get(&*timer.intent).and_then(|states| states.first())
            else {
                continue; // acknowledged-kept speaks about it
            };
            match firings(&timer.due, &state.events) {
                Ok(firings) => {
                    for firing in firings {
                        judge(timer, firing, patience.as_ref(), findings);
                    }
                }
                Err(problem) => findings.expect(false, || format!("{}: {problem}", timer.intent)),
            }
        }
        if !jumped {
            check_watchers(history, findings);
        }
    }
}

fn judge(timer: &Timer, firing: Firing, patience: Option<&Patience>, findings: &mut Findings) {
    let (intent, due) = (&timer.intent, &timer.due);
    let Some(late_ms) = firing.late_ms() else {
        findings.expect(false, || format!("{intent}: a timer never fired: {due:?}"));
        return;
    };
    findings.expect(late_ms >= 0, || format!("{intent}: {} ms early: {due:?}", -late_ms));
    let latest_ms = patience.and_then(|patience| patience.latest_ms(intent, firing.due_ms));
    if let Some(latest_ms) = latest_ms {
        findings.expect(firing.due_ms + late_ms <= latest_ms, || {
            let allowed = latest_ms - firing.due_ms;
            format!("{intent}: {late_ms} ms late, and not at most {allowed}: {due:?}")
        });
    }
}

/// Nobody saw a deadline pass before it was over by the clock on the wall.
fn check_watchers(history: &History, findings: &mut Findings) {
    let deadlines: std::collections::BTreeMap<&str, i64> = history
        .timers
        .iter()
        .filter_map(|timer| match timer.due {
            Due::Deadline { at_ms } => Some((timer.intent.as_str(), at_ms)),
            Due::Delays { .. } | Due::Reminders { .. } => None,
        })
        .collect();
    for watch in &history.watches {
        let Some(due_ms) = deadlines.get(&*watch.intent) else { continue };
        if watch.events.iter().any(|event| event.event_type == "intent.timed_out") {
            let ended = i64::try_from(watch.span.end / 1000).unwrap_or(i64::MAX);
            let seen_ms = history.began_at_ms.saturating_add(ended);
            findings.expect(seen_ms >= *due_ms, || {
                format!("{}: seen to time out {} ms early", watch.intent, due_ms - seen_ms)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Told, fixture};
    use crate::invariants::violations;

    fn with_deadline(change: impl Fn(&mut crate::history::SeenEvent)) -> History {
        let mut history = fixture::good();
        for read in &mut history.finals {
            if let (fixture::C, Told::Done(state)) = (&*read.intent, &mut read.told) {
                change(&mut state.events[3]);
            }
        }
        history
    }

    #[test]
    fn an_early_timer_is_found() {
        let history = with_deadline(|event| event.at_ms = fixture::AT_MS + 29);
        assert_eq!(violations(&Timers, &history), 1);
    }

    #[test]
    fn a_lost_timer_is_found() {
        let history = with_deadline(|event| {
            event.event_type = "intent.in_progress".to_owned();
            event.status = "IN_PROGRESS".to_owned();
        });
        assert_eq!(violations(&Timers, &history), 1);
    }

    #[test]
    fn a_late_timer_is_found_when_its_shard_could_write() {
        let history = with_deadline(|event| event.at_ms = fixture::AT_MS + 5000);
        assert_eq!(violations(&Timers, &history), 1);
        let history = with_deadline(|event| event.at_ms = fixture::AT_MS + 900);
        assert_eq!(violations(&Timers, &history), 0);
    }

    #[test]
    fn a_watcher_that_saw_it_early_is_found() {
        let mut history = fixture::good();
        let mut watch = history.watches[0].clone();
        watch.intent = fixture::C.to_owned();
        watch.events = vec![fixture::event(fixture::C, 4, "timed_out", "TIMED_OUT")];
        watch.span = fixture::span(0, 29_000);
        history.watches.push(watch);
        assert_eq!(violations(&Timers, &history), 1);
    }
}
