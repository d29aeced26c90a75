//! Any workflow, any order of what happens to it.

use axp_proto::log::step::Kind;
use axp_proto::log::{Effect, Step, WaitKind};
use proptest::prelude::*;

use super::super::*;
use super::shard::*;

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(agent("a")),
        2 => Just(human()),
        1 => (1_u32..4).prop_map(|seconds| wait(WaitKind::Delay, seconds)),
        1 => (1_u32..4).prop_map(|seconds| wait(WaitKind::Timeout, seconds)),
        1 => (1_u32..4).prop_map(|seconds| wait(WaitKind::Reminder, seconds)),
        1 => Just(notify()),
    ]
}

fn any_workflow() -> impl Strategy<Value = Vec<Step>> {
    let routes = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u32..3, 0_u32..4);
    prop::collection::vec((any_kind(), routes, prop::option::of(3_u32..9)), 1..6).prop_map(
        |drafts| {
            let count = drafts.len();
            let route = |index: prop::sample::Index| {
                let place = index.index(count + 1);
                (place < count).then(|| u32::try_from(place).unwrap())
            };
            let steps =
                drafts.into_iter().enumerate().map(|(at, (kind, routes, deadline_seconds))| {
                    let (success, failure, max_retries, retry_delay_seconds) = routes;
                    let immediate = matches!(kind, Kind::Notify(_));
                    Step {
                        max_retries: if matches!(kind, Kind::Agent(_)) { max_retries } else { 0 },
                        retry_delay_seconds,
                        deadline_seconds,
                        // The gateway refuses circles that never wait.
                        on_success: route(success).filter(|&next| !immediate || next as usize > at),
                        on_failure: route(failure),
                        ..step(&format!("s{at}"), kind)
                    }
                });
            steps.collect()
        },
    )
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Answer(bool),
    Decide(bool),
    Pass(i64),
    Fire(TimerKind),
    /// The leader dies: what was told since some time is told again, in order.
    Crash(usize),
    Tell,
}

fn any_move() -> impl Strategy<Value = Move> {
    let timer = prop_oneof![
        Just(TimerKind::StepDeadline),
        Just(TimerKind::StepWait),
        Just(TimerKind::Reminder),
        Just(TimerKind::Escalation)
    ];
    prop_oneof![
        4 => any::<bool>().prop_map(Move::Answer),
        3 => any::<bool>().prop_map(Move::Decide),
        2 => (1_i64..9).prop_map(Move::Pass),
        4 => timer.prop_map(Move::Fire),
        2 => (1_usize..6).prop_map(Move::Crash),
        8 => Just(Move::Tell),
    ]
}

/// Runs any moves, telling what is to be told one by one, and from the past again after crashes.
fn play(shard: &mut Shard, moves: Vec<Move>) {
    let mut history: Vec<Effect> = Vec::new();
    for each in moves {
        match each {
            Move::Answer(failed) => {
                if let Some(child) = shard.child() {
                    let result = AgentResult { failed, ..AgentResult::default() };
                    shard.command(child, &Command::AgentResult(result));
                }
            }
            Move::Decide(yes) => {
                let outcome = if yes { "approved" } else { "rejected" };
                let answer = TaskResult { outcome: outcome.into(), ..TaskResult::default() };
                shard.command(shard.parent, &Command::TaskResult(answer));
            }
            Move::Pass(seconds) => shard.pass(seconds),
            Move::Fire(kind) => {
                shard.command(shard.parent, &Command::Expire(kind));
            }
            Move::Crash(back) => {
                let again = history.split_off(history.len().saturating_sub(back));
                again.into_iter().rev().for_each(|effect| shard.told.push_front(effect));
            }
            Move::Tell => {
                if let Some(effect) = shard.told.pop_front() {
                    shard.tell(&effect);
                    history.push(effect);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_step_is_lost_and_none_is_done_twice(
        steps in any_workflow(),
        moves in prop::collection::vec(any_move(), 0..60),
    ) {
        let mut shard = Shard::new(scenario(steps));
        play(&mut shard, moves);
        // From here on everybody does what is asked for, and every workflow ends.
        let mut left = 5_000;
        while !shard.parent().is_terminal() {
            left -= 1;
            prop_assert!(left > 0, "it goes on for ever: {:?}", shard.parent().state);
            shard.settle();
            if shard.parent().is_terminal() {
                break;
            }
            if let Some(child) = shard.child() {
                let moved = shard.command(child, &Command::AgentResult(AgentResult::default()));
                prop_assert!(moved, "an open attempt has an open child");
            } else if shard.parent().waits_for_human() {
                let answer = TaskResult { outcome: "rejected".into(), ..TaskResult::default() };
                prop_assert!(shard.command(shard.parent, &Command::TaskResult(answer)));
            } else {
                shard.pass(10);
                prop_assert!(shard.expire(TimerKind::StepWait), "it waits for a time");
            }
        }
        shard.settle();
        // Every attempt was made once, and none is left open.
        let children = shard.intents.len() - 1;
        prop_assert_eq!(shard.made, children + 1);
        prop_assert!(shard.intents.values().all(Intent::is_terminal));
        let attempts: std::collections::BTreeSet<_> = shard
            .intents
            .values()
            .filter_map(|intent| intent.submission.parent.as_ref())
            .map(|parent| (parent.entered, parent.attempt))
            .collect();
        prop_assert_eq!(attempts.len(), children, "one child for each attempt");
    }
}
