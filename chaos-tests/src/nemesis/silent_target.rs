//! F17: half of the callbacks accept every push and answer none, for some seconds. What is pushed to the
//! others must not wait for it.

use anyhow::ensure;

use super::scene::hold;
use super::{Class, Needs, Nemesis, Scene};
use crate::history::{Answer, History, Kind};
use crate::workload::falls_silent;

/// Half of the first attempts at the others must come within this time, microseconds: with a fault that
/// overlaps, some intents wait for a leader, but most do not.
const MEDIAN_MAX: u64 = 2_000_000;

pub(super) const NEMESIS: Nemesis = Nemesis {
    name: "silent-target",
    class: Class::Surroundings,
    needs: Needs::NOTHING,
    takes_node: false,
    takes_gateway: false,
    strike: |scene| Box::pin(strike(scene)),
};

async fn strike(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let begun = scene.oracle.now();
    scene.broke("half of the callbacks answer nothing".to_owned(), &[]);
    scene.cluster.silence.begin();
    hold(scene.rng, 6000, 12_000).await;
    let ended = scene.oracle.now();
    scene.cluster.silence.end();
    scene.healed();
    let (unanswered, mut waits) = scene.oracle.with_history(|history| seen(history, begun, ended));
    waits.sort_unstable();
    let median = waits.get(waits.len() / 2).copied();
    tracing::info!(unanswered, others = waits.len(), median_us = median, "healed");
    ensure!(unanswered > 0, "nothing was pushed to anybody who was silent");
    ensure!(
        median.is_some_and(|median| median <= MEDIAN_MAX),
        "{} pushes to others meanwhile, half of them after {median:?} µs",
        waits.len()
    );
    scene.see_all_led().await
}

/// How many pushes were not answered, and how long intents that others were sent meanwhile waited for
/// their first attempt, in microseconds: from when they were acknowledged to the attempt, or to the
/// end where there was none yet.
fn seen(history: &History, begun: u64, ended: u64) -> (usize, Vec<u64>) {
    let meanwhile = |at: u64| (begun..ended).contains(&at);
    let pushes = history.pushes.iter();
    let silent = pushes.clone().filter(|push| falls_silent(push.org) && meanwhile(push.span.start));
    let unanswered = silent.filter(|push| push.answer == Answer::NotTaken).count();
    let first = pushes.filter(|push| push.attempt == 1 && !falls_silent(push.org));
    let first: std::collections::BTreeMap<&str, u64> =
        first.map(|push| (push.intent.as_str(), push.span.start)).collect();
    let submits = history.submits.iter().filter(|submit| {
        submit.kind == Kind::Push && !falls_silent(submit.org) && meanwhile(submit.span.end)
    });
    let waits = submits.filter_map(|submit| {
        let at = first.get(submit.told.done()?.as_str()).copied().unwrap_or(ended);
        Some(at.saturating_sub(submit.span.end))
    });
    (unanswered, waits.collect())
}
