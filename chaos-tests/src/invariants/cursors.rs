//! An agent's cursors go up, and one cursor means one delivery, whoever reads it.

use std::collections::BTreeMap;

use super::{Findings, Invariant};
use crate::history::History;

#[derive(Debug)]
pub(super) struct Cursors;

impl Invariant for Cursors {
    fn name(&self) -> &'static str {
        "cursors"
    }

    fn promise(&self) -> &'static str {
        "P5: a mailbox is one sequence: cursors ascend and stand for the same delivery for ever"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        let mut known: BTreeMap<(&str, u32), &str> = BTreeMap::new();
        let mut places: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for listen in &history.listens {
            let agent = listen.agent.as_str();
            let mut last = listen.since;
            for delivery in &listen.deliveries {
                let cursor = delivery.cursor;
                findings.expect(cursor > last, || {
                    format!("{agent}: cursor {cursor} came after {last}, since {}", listen.since)
                });
                last = cursor;
                let first = *known.entry((agent, cursor)).or_insert(&delivery.intent);
                findings.expect(first == delivery.intent, || {
                    format!("{agent}: cursor {cursor} was {first} and is {}", delivery.intent)
                });
                let place = *places.entry((agent, &delivery.intent)).or_insert(cursor);
                findings.expect(place == cursor, || {
                    let intent = &delivery.intent;
                    format!("{agent}: {intent} was deposited twice, at {place} and {cursor}")
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
    fn disorder_is_found() {
        let mut history = fixture::good();
        history.listens[0].deliveries.swap(0, 1);
        assert_eq!(violations(&Cursors, &history), 1);
    }

    #[test]
    fn a_cursor_before_since_is_found() {
        let mut history = fixture::good();
        history.listens[0].since = 2;
        assert_eq!(violations(&Cursors, &history), 1);
    }

    #[test]
    fn a_cursor_with_two_meanings_is_found() {
        let mut history = fixture::good();
        let mut again = history.listens[0].clone();
        again.deliveries.remove(1);
        again.deliveries[0].intent = "intent-c".to_owned();
        history.listens.push(again);
        assert_eq!(violations(&Cursors, &history), 1);
    }

    #[test]
    fn a_second_deposit_is_found() {
        let mut history = fixture::good();
        let mut again = history.listens[0].clone();
        again.since = 4;
        again.deliveries.remove(1);
        again.deliveries[0].cursor = 6;
        history.listens.push(again);
        assert_eq!(violations(&Cursors, &history), 1);
    }
}
