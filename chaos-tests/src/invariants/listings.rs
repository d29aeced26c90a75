//! A list has everything that it must have, nothing twice, nothing of others, newest first. Which is the
//! order of ids: they begin with the time of submission.

use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Invariant};
use crate::history::{FinalState, History, Listing, Row, Submit};

#[derive(Debug)]
pub(super) struct Listings;

impl Invariant for Listings {
    fn name(&self) -> &'static str {
        "listings"
    }

    fn promise(&self) -> &'static str {
        "P6, P8: a list has every intent that was acknowledged before it, and none of others"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        let known = Known::of(history);
        for listing in &history.listings {
            let Some(rows) = listing.told.done() else { continue };
            let who = || {
                let Listing { org, gateway, to_agent, .. } = listing;
                format!("list of {org} at gateway {gateway}, {to_agent:?}")
            };
            check_rows(&known, listing, rows, findings, &who);
            check_whole(&known, listing, rows, findings, &who);
        }
    }
}

/// What the record knows of intents.
struct Known<'a> {
    acknowledged: BTreeMap<&'a str, Vec<&'a Submit>>,
    finals: BTreeMap<&'a str, Vec<(usize, &'a FinalState)>>,
}

impl<'a> Known<'a> {
    fn of(history: &'a History) -> Self {
        Self { acknowledged: history.acknowledged(), finals: history.final_states() }
    }

    fn state(&self, intent: &str) -> Option<&FinalState> {
        self.finals.get(intent)?.first().map(|(_, state)| *state)
    }
}

fn check_rows(
    known: &Known<'_>,
    listing: &Listing,
    rows: &[Row],
    findings: &mut Findings,
    who: &impl Fn() -> String,
) {
    let ordered = rows.is_sorted_by(|a, b| a.intent >= b.intent);
    findings.expect(ordered, || format!("{}: not newest first", who()));
    let different: BTreeSet<&str> = rows.iter().map(|row| row.intent.as_str()).collect();
    findings.expect(different.len() == rows.len() && rows.len() <= listing.limit, || {
        format!("{}: {} rows, {} different", who(), rows.len(), different.len())
    });
    for row in rows {
        let submit = known.acknowledged.get(&*row.intent).and_then(|submits| submits.first());
        let own = submit.is_none_or(|submit| {
            let asked = listing.to_agent.as_ref().is_none_or(|to| *to == submit.to_agent);
            submit.org == listing.org && asked
        });
        findings.expect(own, || format!("{}: {} does not belong there", who(), row.intent));
        if listing.last
            && let Some(state) = known.state(&row.intent)
        {
            findings.expect(state.status == row.status, || {
                format!("{}: {} is {}, listed as {}", who(), row.intent, state.status, row.status)
            });
        }
    }
}

fn check_whole(
    known: &Known<'_>,
    listing: &Listing,
    rows: &[Row],
    findings: &mut Findings,
    who: &impl Fn() -> String,
) {
    let listed: BTreeSet<&str> = rows.iter().map(|row| row.intent.as_str()).collect();
    // A list that is full ends somewhere; what is older is not in it.
    let oldest = rows.last().filter(|_| rows.len() >= listing.limit).map(|row| &*row.intent);
    for (intent, submits) in &known.acknowledged {
        let submit = submits[0];
        let wanted = listing.to_agent.as_ref().is_none_or(|to| *to == submit.to_agent);
        let before = submits.iter().any(|submit| submit.span.end < listing.span.start);
        if submit.org != listing.org || !wanted || !before || listed.contains(intent) {
            continue;
        }
        let cut = oldest.is_some_and(|oldest| *intent < oldest);
        findings.expect(cut, || format!("{}: {intent} is missing", who()));
    }
    findings.looked_at(listed.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Told, fixture};
    use crate::invariants::violations;

    fn with_rows(change: impl Fn(&mut Vec<Row>)) -> History {
        let mut history = fixture::good();
        if let Told::Done(rows) = &mut history.listings[0].told {
            change(rows);
        }
        history
    }

    #[test]
    fn a_missing_intent_is_found_unless_the_list_was_full() {
        let mut oldest_gone = with_rows(|rows| drop(rows.remove(1)));
        assert_eq!(violations(&Listings, &oldest_gone), 1);
        oldest_gone.listings[0].limit = 1;
        assert_eq!(violations(&Listings, &oldest_gone), 0);
        // One that is newer than what is listed must be there, full or not.
        let mut newest_gone = with_rows(|rows| drop(rows.remove(0)));
        newest_gone.listings[0].limit = 1;
        assert_eq!(violations(&Listings, &newest_gone), 1);
    }

    #[test]
    fn an_intent_twice_and_disorder_are_found() {
        let twice = with_rows(|rows| rows.push(rows[1].clone()));
        assert_eq!(violations(&Listings, &twice), 1);
        let disorder = with_rows(|rows| rows.reverse());
        assert_eq!(violations(&Listings, &disorder), 1);
    }

    #[test]
    fn an_intent_of_others_and_a_wrong_status_are_found() {
        let mut history = fixture::good();
        for submit in &mut history.submits {
            if submit.told.done().is_some_and(|intent| intent == fixture::B) {
                submit.org = 1;
            }
        }
        assert_eq!(violations(&Listings, &history), 1);
        let status = with_rows(|rows| "FAILED".clone_into(&mut rows[0].status));
        assert_eq!(violations(&Listings, &status), 1);
    }
}
