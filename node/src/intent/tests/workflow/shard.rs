//! A shard in miniature: intents that hear of each other by their effects, as the outbox would tell
//! them, and a clock.

use std::collections::{BTreeMap, VecDeque};

use axp_proto::log::step::Kind;
use axp_proto::log::{
    AgentStep, Effect, HolderKind, HumanStep, NotifyStep, PendingWith, Step, TaskRules, WaitKind,
    WaitStep, Workflow,
};

use super::super::*;

pub(super) fn agent(name: &str) -> Kind {
    Kind::Agent(AgentStep { holder: Some(holder(name, DeliveryMode::Stream)) })
}

pub(super) fn human() -> Kind {
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

pub(super) fn wait(kind: WaitKind, seconds: u32) -> Kind {
    Kind::Wait(WaitStep { kind: kind.into(), seconds, message: String::new() })
}

pub(super) fn notify() -> Kind {
    let to = Some(holder("owner", DeliveryMode::Inbox));
    Kind::Notify(NotifyStep { escalates: false, to, message: "hello".into() })
}

pub(super) fn step(id: &str, kind: Kind) -> Step {
    Step { step_id: id.into(), kind: Some(kind), ..Step::default() }
}

/// Steps one after the other.
pub(super) fn sequence(kinds: Vec<Kind>) -> Vec<Step> {
    let last = kinds.len() - 1;
    let named = kinds.into_iter().enumerate().map(|(at, kind)| Step {
        on_success: (at < last).then(|| u32::try_from(at).unwrap() + 1),
        ..step(&format!("s{at}"), kind)
    });
    named.collect()
}

pub(super) fn scenario(steps: Vec<Step>) -> Submission {
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
pub(super) struct Shard {
    pub(super) intents: BTreeMap<IntentId, Intent>,
    pub(super) told: VecDeque<Effect>,
    pub(super) parent: IntentId,
    pub(super) now_ms: i64,
    /// How often a child was really made.
    pub(super) made: usize,
}

impl Shard {
    pub(super) fn new(submission: Submission) -> Self {
        let (intents, told) = (BTreeMap::new(), VecDeque::new());
        let mut shard = Self { intents, told, parent: id(), now_ms: NOW, made: 0 };
        shard.command(id(), &Command::Submit(Arc::new(submission)));
        shard
    }

    pub(super) fn command(&mut self, to: IntentId, command: &Command) -> bool {
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

    pub(super) fn tell(&mut self, effect: &Effect) {
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
    pub(super) fn settle(&mut self) {
        while let Some(effect) = self.told.pop_front() {
            self.tell(&effect);
        }
    }

    pub(super) fn parent(&self) -> &Intent {
        &self.intents[&self.parent]
    }

    pub(super) fn status(&self) -> Status {
        self.parent().state.status()
    }

    /// The intent of the agent that is waited for.
    pub(super) fn child(&self) -> Option<IntentId> {
        let child = &self.parent().state.workflow.as_ref()?.child_id;
        IntentId::from_slice(child).ok().filter(|id| self.intents.contains_key(id))
    }

    pub(super) fn answer(&mut self, failed: bool) {
        let child = self.child().unwrap();
        let outcome_json = Bytes::from_static(br#"{"passed":true}"#);
        let actor = "agent://acme/prod/checker".into();
        let result = AgentResult { failed, outcome_json, actor, ..AgentResult::default() };
        assert!(self.command(child, &Command::AgentResult(result)));
        self.settle();
    }

    pub(super) fn pass(&mut self, seconds: i64) {
        self.now_ms += seconds * 1000;
    }

    pub(super) fn expire(&mut self, kind: TimerKind) -> bool {
        let fired = self.command(self.parent, &Command::Expire(kind));
        self.settle();
        fired
    }

    pub(super) fn details(&self) -> serde_json::Value {
        let event = self.parent().terminal_event.clone().unwrap();
        serde_json::from_slice(&event.details_json).unwrap()
    }
}
