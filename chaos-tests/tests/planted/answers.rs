//! Planted in what clients were answered: reads, ends, replicas, other organizations.

use std::collections::BTreeSet;

use axp_chaos_tests::history::{Finish, History, Probe, Read, Span, Told};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::Plant;
use super::places::{afterwards, any, any_intent, refused};

pub(super) const PLANTS: &[Plant] = &[
    Plant {
        what: "a read of what has ended is stale",
        found_by: &["reads-see-writes", "linearizable"],
        plant: |history, rng| {
            let intent = any_intent(history, rng, |it| it.is_work() && it.only_agent())?;
            let span = afterwards(history);
            let told = Told::Done("DELIVERED".to_owned());
            history.reads.push(Read { span, gateway: 1, visit: false, intent, told });
            Some(())
        },
    },
    Plant {
        what: "a read does not find what was acknowledged",
        found_by: &["reads-see-writes", "linearizable"],
        plant: |history, rng| {
            // Agents may hear of an intent before its submit is answered.
            let answered: Vec<(String, u64)> = history
                .submits
                .iter()
                .filter_map(|submit| Some((submit.told.done()?.clone(), submit.span.end)))
                .collect();
            let read = any(&mut history.reads, rng, |read| {
                let known = answered.iter().find(|(intent, _)| *intent == read.intent);
                known.is_some_and(|(_, at)| *at < read.span.start)
            })?;
            read.told = refused(404, "intent_not_found");
            Some(())
        },
    },
    Plant {
        what: "a later read is older than one before it",
        found_by: &["linearizable"],
        plant: |history, rng| {
            let (before, _) = read_before_end(history, rng)?;
            let span = Span { start: before.span.end + 1, end: before.span.end + 1 };
            let told = Told::Done("SUBMITTED".to_owned());
            history.reads.push(Read { span, told, ..before });
            Some(())
        },
    },
    Plant {
        what: "a read knows an end that nobody has asked for yet",
        found_by: &["linearizable"],
        plant: |history, rng| {
            let (before, status) = read_before_end(history, rng)?;
            let same = |read: &Read| read.intent == before.intent && read.span == before.span;
            let read = history.reads.iter_mut().find(|read| same(read))?;
            read.told = Told::Done(status);
            Some(())
        },
    },
    Plant {
        what: "two won, each with its own result",
        found_by: &["readers-agree", "terminal-as-told", "linearizable"],
        plant: |history, rng| {
            let winners: Vec<Finish> =
                history.finishes.iter().filter(|it| it.told.done().is_some()).cloned().collect();
            let lost = |it: &Finish| {
                let late = it.told.refusal().is_some_and(|(status, _)| status == 409);
                late && winners.iter().any(|winner| winner.intent == it.intent)
            };
            let loser = any(&mut history.finishes, rng, lost)?;
            let winner = winners.iter().find(|winner| winner.intent == loser.intent)?;
            let mut event = winner.told.done()?.clone();
            event.marker = Some(loser.marker.clone());
            loser.told = Told::Done(event);
            Some(())
        },
    },
    Plant {
        what: "a winner was told of another event than the log has",
        found_by: &["readers-agree"],
        plant: |history, rng| {
            // Of steps of scenarios there is no log at the end.
            let kept: BTreeSet<String> =
                history.final_states().into_keys().map(str::to_owned).collect();
            let won = |it: &Finish| it.told.done().is_some() && kept.contains(&it.intent);
            let finish = any(&mut history.finishes, rng, won)?;
            if let Told::Done(event) = &mut finish.told {
                event.digest ^= 1;
            }
            Some(())
        },
    },
    Plant {
        what: "who came too late was told that there is no such intent",
        found_by: &["terminal-as-told", "linearizable"],
        plant: |history, rng| {
            let late = |it: &Finish| it.told.refusal().is_some_and(|(status, _)| status == 409);
            any(&mut history.finishes, rng, late)?.told = refused(404, "intent_not_found");
            Some(())
        },
    },
    Plant {
        what: "replicas differ",
        found_by: &["replicas-equal"],
        plant: |history, rng| {
            let points = history.replica_hashes.iter();
            let nodes: BTreeSet<(u16, u64, u64)> =
                points.map(|it| (it.group, it.applied_index, it.node)).collect();
            let replica = any(&mut history.replica_hashes, rng, |it| {
                let at =
                    |other: &&(u16, u64, u64)| (other.0, other.1) == (it.group, it.applied_index);
                nodes.iter().filter(at).count() > 1
            })?;
            replica.hash = "another".to_owned();
            Some(())
        },
    },
    Plant {
        what: "a replica changed its past",
        found_by: &["replicas-equal"],
        plant: |history, rng| {
            let mut again = history.replica_hashes.choose(rng)?.clone();
            again.hash = "another".to_owned();
            history.replica_hashes.push(again);
            Some(())
        },
    },
    Plant {
        what: "an answer had a secret of others in it",
        found_by: &["no-leak"],
        plant: |history, rng| {
            any(&mut history.inspections, rng, |_| true)?.leaks.push("a secret".to_owned());
            Some(())
        },
    },
    Plant {
        what: "a foreign id was answered otherwise than an unknown one",
        found_by: &["no-leak"],
        plant: |history, rng| {
            let told = |it: &Probe| it.foreign.done().is_some() && it.unknown.done().is_some();
            any(&mut history.probes, rng, told)?.foreign = Told::Done("403 forbidden".to_owned());
            Some(())
        },
    },
];

/// A read that was over before anybody began to end the intent, and the status it was ended with.
fn read_before_end(history: &History, rng: &mut StdRng) -> Option<(Read, String)> {
    let finals = history.final_states();
    let fitting = history.reads.iter().filter_map(|read| {
        if read.told.done().is_none_or(|status| status != "DELIVERED") {
            return None;
        }
        let mut finishes = history.finishes.iter().filter(|it| it.intent == read.intent);
        let before = finishes.clone().all(|finish| finish.span.start > read.span.end + 1);
        let asked = finishes.any(|finish| finish.told.done().is_some());
        let status = finals.get(&*read.intent)?.first()?.1.status.clone();
        (before && asked).then(|| (read.clone(), status))
    });
    fitting.collect::<Vec<_>>().choose(rng).cloned()
}
