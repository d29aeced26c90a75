//! Workflows: steps of all kinds, what ends them, and that nothing is lost or done twice whatever is
//! told again.

use std::collections::{BTreeMap, VecDeque};

use axp_proto::log::step::Kind;
use axp_proto::log::{
    AgentStep, Effect, HolderKind, HumanStep, NotifyStep, PendingWith, Step, StepEnded, TaskRules,
    WaitKind, WaitStep, Workflow,
};
use proptest::prelude::*;

use super::*;

fn agent(name: &str) -> Kind {
    Kind::Agent(AgentStep { holder: Some(holder(name, DeliveryMode::Stream)) })
}

fn human() -> Kind {
    Kind::Human(HumanStep {
        who: Some(PendingWith {
            kind: HolderKind::Human.into(),
            r#ref: "boss".into(),
            name: "Boss".into(),
        }),
        human_task_json: Bytes::from_static(br#"{"title":"Sign"}"#),
        task: Some(TaskRules {
            allowed_outcomes: vec!["approved".into(), "rejected".into()],
            assignees: vec!["ann@acme.test".into()],
            ..TaskRules::default()
        }),
        remind_after_seconds: Some(5),
        escalation: Some(holder("deputy", DeliveryMode::Inbox)),
        ..HumanStep::default()
    })
}

fn wait(kind: WaitKind, seconds: u32) -> Kind {
    Kind::Wait(WaitStep { kind: kind.into(), seconds, message: String::new() })
}

fn notify() -> Kind {
    let to = Some(holder("owner", DeliveryMode::Inbox));
    Kind::Notify(NotifyStep { escalates: false, to, message: "hello".into() })
}

fn step(id: &str, kind: Kind) -> Step {
    Step { step_id: id.into(), kind: Some(kind), ..Step::default() }
}

/// Steps one after the other.
fn sequence(kinds: Vec<Kind>) -> Vec<Step> {
    let last = kinds.len() - 1;
    let named = kinds.into_iter().enumerate().map(|(at, kind)| Step {
        on_success: (at < last).then(|| u32::try_from(at).unwrap() + 1),
        ..step(&format!("s{at}"), kind)
    });
    named.collect()
}

fn scenario(steps: Vec<Step>) -> Submission {
    Submission {
        to_agent: "agent://agent_core".into(),
        delivery_mode: DeliveryMode::Internal.into(),
        payload_json: Bytes::from_static(br#"{"amount":1}"#),
        workflow: Some(Workflow { scenario_id: "a.b".into(), steps, ..Workflow::default() }),
        ..submission()
    }
}

/// A shard in small: a workflow, the intents of its steps, and what they have to tell each other.
#[derive(Debug)]
struct Shard {
    intents: BTreeMap<IntentId, Intent>,
    told: VecDeque<Effect>,
    parent: IntentId,
    now_ms: i64,
    /// How often a child was really made.
    made: usize,
}

impl Shard {
    fn new(submission: Submission) -> Self {
        let (intents, told) = (BTreeMap::new(), VecDeque::new());
        let mut shard = Self { intents, told, parent: id(), now_ms: NOW, made: 0 };
        shard.command(id(), &Command::Submit(Arc::new(submission)));
        shard
    }

    fn command(&mut self, to: IntentId, command: &Command) -> bool {
        let known = self.intents.get(&to).cloned();
        let Ok(Verdict::Append(decision)) = decide(to, known.as_ref(), command, self.now_ms) else {
            return false;
        };
        self.made += usize::from(known.is_none());
        let mut intent = known
            .unwrap_or_else(|| Intent::new(to, Arc::clone(decision.submission.as_ref().unwrap())));
        // Folding the log again gives the same.
        let mut replayed = intent.clone();
        intent.observe(&decision);
        decision.events.iter().for_each(|event| replayed.evolve(event));
        decision.timers.iter().for_each(|timer| replayed.change_timer(timer));
        fold_changes(&mut replayed.state, &decision.changes, decision.events.is_empty());
        assert_eq!(replayed, intent);
        assert!(intent.is_consistent(), "{intent:?}");
        self.intents.insert(to, intent);
        let steps = decision.effects.into_iter().filter(|effect| {
            matches!(
                effect.kind,
                Some(EffectKind::StepStart(_) | EffectKind::StepStop(_) | EffectKind::StepEnded(_))
            )
        });
        self.told.extend(steps);
        true
    }

    fn tell(&mut self, effect: &Effect) {
        let (to, command) = match effect.kind.clone().unwrap() {
            EffectKind::StepStart(it) => {
                (it.intent_id, Command::StartStep(Arc::new(it.submission.unwrap())))
            }
            EffectKind::StepStop(it) => {
                let (status, reason) = (it.status(), it.reason);
                (it.intent_id, Command::StopStep { status, reason })
            }
            EffectKind::StepEnded(it) => (it.intent_id.clone(), Command::StepEnded(it)),
            other => panic!("{other:?}"),
        };
        self.command(IntentId::from_slice(&to).unwrap(), &command);
    }

    /// Tells everything, in order.
    fn settle(&mut self) {
        while let Some(effect) = self.told.pop_front() {
            self.tell(&effect);
        }
    }

    fn parent(&self) -> &Intent {
        &self.intents[&self.parent]
    }

    fn status(&self) -> Status {
        self.parent().state.status()
    }

    /// The intent of the agent that is waited for.
    fn child(&self) -> Option<IntentId> {
        let child = &self.parent().state.workflow.as_ref()?.child_id;
        IntentId::from_slice(child).ok().filter(|id| self.intents.contains_key(id))
    }

    fn answer(&mut self, failed: bool) {
        let child = self.child().unwrap();
        let outcome_json = Bytes::from_static(br#"{"passed":true}"#);
        let actor = "agent://acme/prod/checker".into();
        let result = AgentResult { failed, outcome_json, actor, ..AgentResult::default() };
        assert!(self.command(child, &Command::AgentResult(result)));
        self.settle();
    }

    fn pass(&mut self, seconds: i64) {
        self.now_ms += seconds * 1000;
    }

    fn expire(&mut self, kind: TimerKind) -> bool {
        let fired = self.command(self.parent, &Command::Expire(kind));
        self.settle();
        fired
    }

    fn details(&self) -> serde_json::Value {
        let event = self.parent().terminal_event.clone().unwrap();
        serde_json::from_slice(&event.details_json).unwrap()
    }
}

#[test]
fn agents_are_asked_one_after_the_other() {
    let mut shard = Shard::new(scenario(sequence(vec![agent("a"), agent("b")])));
    assert_eq!(shard.status(), Status::Delivered);
    let pending = shard.parent().state.pending_with.clone().unwrap();
    assert_eq!((&*pending.name, pending.kind()), ("a", HolderKind::Agent));
    shard.settle();
    let first = shard.child().unwrap();
    assert_eq!(first.slot(), id().slot(), "parent and step never cross shards");
    assert_eq!(shard.intents[&first].state.status(), Status::Delivered);
    shard.answer(false);
    assert_eq!(shard.parent().state.waiting_reason(), WaitingReason::Agent);
    let second = shard.intents[&shard.child().unwrap()].submission.clone();
    let payload: serde_json::Value = serde_json::from_slice(&second.payload_json).unwrap();
    assert_eq!(payload["parent_payload"], serde_json::json!({"amount": 1}));
    assert_eq!(payload["previous_results"], serde_json::json!({"s0": {"passed": true}}));
    assert_eq!(payload["parent_intent_id"], id().to_string());
    shard.answer(false);
    assert_eq!(shard.status(), Status::Completed);
    assert_eq!(
        shard.details()["result"],
        serde_json::json!({
            "s0": {"passed": true}, "s1": {"passed": true}, "last_result": {"passed": true},
        })
    );
}

#[test]
fn a_failed_step_ends_it_or_leads_elsewhere() {
    let mut shard = Shard::new(scenario(sequence(vec![agent("a")])));
    shard.settle();
    shard.answer(true);
    assert_eq!(shard.status(), Status::Failed);
    assert_eq!(
        (&shard.details()["reason"], &shard.details()["step_id"]),
        (&"step_failed".into(), &"s0".into())
    );

    let mut steps = sequence(vec![agent("a"), agent("b")]);
    steps[0].on_success = None;
    steps[0].on_failure = Some(1);
    let mut shard = Shard::new(scenario(steps));
    shard.settle();
    shard.answer(true);
    shard.answer(false);
    assert_eq!(shard.status(), Status::Completed);
}

#[test]
fn a_step_that_takes_too_long_times_out_and_may_be_tried_again() {
    let mut steps = sequence(vec![agent("a")]);
    steps[0] = Step {
        deadline_seconds: Some(15),
        max_retries: 1,
        retry_delay_seconds: 30,
        ..steps[0].clone()
    };
    let mut shard = Shard::new(scenario(steps));
    shard.settle();
    let first = shard.child().unwrap();
    shard.pass(14);
    assert!(!shard.expire(TimerKind::StepDeadline), "never early");
    shard.pass(1);
    assert!(shard.expire(TimerKind::StepDeadline));
    assert_eq!(shard.intents[&first].state.status(), Status::TimedOut);
    assert_eq!(shard.parent().state.waiting_reason(), WaitingReason::Time);
    // The agent of the first attempt comes too late.
    let late = AgentResult::default();
    assert!(!shard.command(first, &Command::AgentResult(late)));
    shard.pass(30);
    assert!(shard.expire(TimerKind::StepWait));
    let second = shard.child().unwrap();
    assert_ne!(first, second);
    shard.pass(15);
    assert!(shard.expire(TimerKind::StepDeadline));
    assert_eq!(shard.status(), Status::Failed);
    assert_eq!(shard.details()["reason"], "step_timeout");
}

#[test]
fn a_person_decides_one_step_and_not_the_next() {
    let mut shard = Shard::new(scenario(sequence(vec![human(), human(), agent("a")])));
    assert!(shard.parent().waits_for_human());
    assert_eq!(shard.parent().state.assignees, ["ann@acme.test"]);
    let approve = |task: Option<u32>, request: &'static str| {
        Command::TaskResult(TaskResult {
            outcome: "approved".into(),
            answer_json: Bytes::from_static(br#"{"outcome":"approved"}"#),
            actor: "ann@acme.test".into(),
            expected_task: task,
            request_id: request.into(),
            ..TaskResult::default()
        })
    };
    assert!(shard.command(id(), &approve(Some(1), "r1")));
    assert!(shard.parent().waits_for_human(), "the second asks");
    // The answer was lost and the request comes again, or somebody else meant the first task.
    assert!(unchanged(shard.parent(), &approve(Some(1), "r1"), NOW));
    assert_eq!(refused(shard.parent(), &approve(Some(1), "r2"), NOW), ErrorCode::InvalidState);
    assert!(shard.command(id(), &approve(Some(2), "r3")));
    shard.settle();
    assert_eq!(refused(shard.parent(), &approve(None, "r4"), NOW), ErrorCode::InvalidState);
    assert!(shard.parent().state.assignees.is_empty());
    shard.answer(false);
    assert_eq!(shard.status(), Status::Completed);
}

#[test]
fn people_are_reminded_and_others_asked() {
    let mut shard = Shard::new(scenario(sequence(vec![human(), agent("a")])));
    shard.pass(5);
    assert!(shard.expire(TimerKind::Reminder));
    assert_eq!(shard.parent().state.remind_count, 1);
    shard.pass(5);
    assert!(shard.expire(TimerKind::Escalation));
    assert!(shard.parent().is_deposited(), "it lies in the deputy's mailbox");
    assert!(shard.parent().state.assignees.contains(&"agent://acme/prod/deputy".to_owned()));
    let reject = TaskResult {
        outcome: "approved".into(),
        actor: "agent://acme/prod/deputy".into(),
        ..TaskResult::default()
    };
    assert!(shard.command(id(), &Command::TaskResult(reject)));
    assert!(!shard.parent().is_deposited(), "it has come back");
    assert_eq!(shard.parent().state.remind_count, 0);
}

#[test]
fn a_negative_answer_names_outcome_and_step() {
    let mut shard = Shard::new(scenario(sequence(vec![human()])));
    let answer = TaskResult {
        outcome: "rejected".into(),
        answer_json: Bytes::from_static(br#"{"outcome":"rejected"}"#),
        ..TaskResult::default()
    };
    assert!(shard.command(id(), &Command::TaskResult(answer)));
    assert_eq!(shard.status(), Status::Failed);
    let details = shard.details();
    assert_eq!((&details["outcome"], &details["step_id"]), (&"rejected".into(), &"s0".into()));
}

#[test]
fn the_runtime_waits_tells_and_fails_by_itself() {
    let kinds = vec![
        notify(),
        wait(WaitKind::Delay, 2),
        wait(WaitKind::Reminder, 3),
        wait(WaitKind::Timeout, 4),
    ];
    let mut shard = Shard::new(scenario(sequence(kinds)));
    assert_eq!(shard.parent().state.waiting_reason(), WaitingReason::Time);
    for seconds in [2, 3, 4] {
        assert!(!shard.expire(TimerKind::StepWait), "never early");
        shard.pass(seconds);
        assert!(shard.expire(TimerKind::StepWait));
    }
    assert_eq!(
        (shard.status(), &shard.details()["reason"]),
        (Status::Failed, &"step_timeout".into())
    );
    // Nothing but what is over at once: it ends with the submit.
    let shard = Shard::new(scenario(sequence(vec![notify(), notify()])));
    assert_eq!(shard.status(), Status::Completed);
    assert!(shard.parent().state.timers.is_empty());
}

#[test]
fn what_ends_the_scenario_ends_its_step() {
    let deadline = || Submission {
        deadline_at_ms: Some(NOW + 60_000),
        ..scenario(sequence(vec![agent("a")]))
    };
    let cancel = Command::Resolve(Resolve {
        status: Status::Canceled,
        reason: "no".into(),
        actor: "a".into(),
        ..Resolve::default()
    });
    for (command, status) in
        [(cancel, Status::Canceled), (Command::Expire(TimerKind::Deadline), Status::TimedOut)]
    {
        let mut shard = Shard::new(deadline());
        shard.settle();
        let child = shard.child().unwrap();
        shard.pass(60);
        assert!(shard.command(id(), &command));
        shard.settle();
        assert_eq!(
            (shard.status(), shard.intents[&child].state.status()),
            (status, Status::Canceled)
        );
    }
}

#[test]
fn answering_at_the_scenario_answers_for_the_agent() {
    let mut shard = Shard::new(scenario(sequence(vec![agent("a"), human()])));
    shard.settle();
    let child = shard.child().unwrap();
    let result = AgentResult { request_id: "r".into(), ..AgentResult::default() };
    assert!(shard.command(id(), &Command::AgentResult(result.clone())));
    shard.settle();
    assert_eq!(shard.intents[&child].state.status(), Status::Canceled);
    assert!(shard.parent().waits_for_human());
    assert!(unchanged(shard.parent(), &Command::AgentResult(result), NOW));
    let other = Command::AgentResult(AgentResult::default());
    assert_eq!(refused(shard.parent(), &other, NOW), ErrorCode::InvalidState);
    // A control resume approves the step that waits.
    let resume = Command::ControlResume {
        reason: String::new(),
        actor: "a".into(),
        expected: Expected::default(),
    };
    assert!(shard.command(id(), &resume));
    assert_eq!(shard.status(), Status::Completed);
}

#[test]
fn circles_and_results_are_bounded() {
    let mut steps = sequence(vec![wait(WaitKind::Delay, 1)]);
    steps[0].on_success = Some(0);
    let mut shard = Shard::new(scenario(steps));
    while shard.status() == Status::Waiting {
        shard.pass(1);
        assert!(shard.expire(TimerKind::StepWait));
    }
    assert_eq!(shard.details()["reason"], "too_many_steps");
    let mut shard = Shard::new(scenario(sequence(vec![agent("a"), agent("b")])));
    shard.settle();
    let child = shard.child().unwrap();
    let outcome_json = format!(r#"{{"text":"{}"}}"#, "x".repeat(64 * 1024)).into();
    let result = AgentResult { outcome_json, ..AgentResult::default() };
    assert!(shard.command(child, &Command::AgentResult(result)));
    shard.settle();
    assert_eq!(shard.details()["reason"], "results_too_large");
}

#[test]
fn state_without_a_workflow_folds_as_before() {
    let (mut intent, _) = submitted(submission());
    assert_eq!(intent.state.workflow, None);
    let told = StepEnded { entered: 1, attempt: 1, ..StepEnded::default() };
    assert!(unchanged(&intent, &Command::StepEnded(told), NOW));
    run(&mut intent, &complete(), NOW);
    assert_eq!(intent.state.workflow, None);
}

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
