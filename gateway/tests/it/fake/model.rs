//! The state that fake nodes share.

use std::collections::{BTreeMap, HashMap};

use axp_proto::ids::IntentId;
use axp_proto::log::{
    Approval, Delivery, Event, EventType, IntentState, MailboxEntry, Member, Parcel, Policy,
    PublishEvent, Status, Submission, TaskLink, Thread, WaitingReason, WorkflowState,
};
use axp_proto::node::{CurrentTask, InboxRequest, IntentView, Row};
use bytes::Bytes;

use super::inbox;

pub(crate) const NOW_MS: i64 = 1_764_000_000_000;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) revision: u64,
    pub(crate) rows: BTreeMap<String, (u64, Bytes)>,
    /// Every change of a row, for watchers.
    pub(crate) history: Vec<Row>,
    pub(crate) intents: BTreeMap<IntentId, Intent>,
    /// Hash of an idempotency key: fingerprint, intent, seq.
    pub(crate) keys: HashMap<Bytes, (Bytes, IntentId, u32)>,
    /// Published events with their parcels, none of which is ever delivered.
    pub(crate) published: BTreeMap<IntentId, (PublishEvent, Vec<Parcel>)>,
    /// Pushes of intents that somebody asked for again.
    pub(crate) redelivered: Vec<IntentId>,
    pub(crate) records: super::records::Records,
    pub(crate) mailboxes: HashMap<(String, String), Vec<MailboxEntry>>,
    /// Threads by the address of their owner and the intent.
    pub(crate) threads: BTreeMap<(String, Bytes), Thread>,
    pub(crate) approvals: HashMap<String, Approval>,
    /// Links that answer tasks, by hash.
    pub(crate) links: HashMap<Bytes, (IntentId, TaskLink)>,
    /// Outcomes do not arrive where `reply_to` says.
    pub(crate) hold_outcomes: bool,
    /// Actions on inboxes that arrived, in order.
    pub(crate) acted: Vec<InboxRequest>,
}

#[derive(Debug, Clone)]
pub(crate) struct Intent {
    pub(crate) submission: Submission,
    pub(crate) events: Vec<Event>,
    pub(crate) policy_generation: u32,
    pub(crate) controls: Vec<Member>,
    pub(crate) policy: Policy,
    /// Where its workflow stands: tests say so, nothing moves it.
    pub(crate) workflow: Option<WorkflowState>,
    /// The request that ended it.
    pub(crate) ended_by: Bytes,
}

impl Intent {
    pub(crate) fn status(&self) -> Status {
        self.events.last().unwrap().status()
    }

    pub(crate) fn last_seq(&self) -> u32 {
        self.events.last().map_or(0, |event| event.seq)
    }

    pub(crate) fn append(&mut self, kind: EventType, status: Status, actor: &str, details: &[u8]) {
        let waiting = status == Status::Waiting;
        let reason = if waiting { WaitingReason::Human } else { WaitingReason::Unspecified };
        self.events.push(Event {
            seq: self.last_seq() + 1,
            r#type: kind.into(),
            status: status.into(),
            at_ms: NOW_MS + self.events.len() as i64,
            actor: actor.to_owned(),
            waiting_reason: reason.into(),
            details_json: Bytes::copy_from_slice(details),
            ..Event::default()
        });
    }

    /// The task that waits, as a node tells it.
    fn task(&self) -> Option<CurrentTask> {
        let waits = self.events.last().unwrap().status() == Status::Waiting;
        let submission = &self.submission;
        (waits && !submission.human_task_json.is_empty()).then(|| CurrentTask {
            number: 0,
            rules: submission.task.clone(),
            task_json: submission.human_task_json.clone(),
        })
    }

    pub(crate) fn view(&self, id: IntentId) -> IntentView {
        let last = self.events.last().unwrap();
        let state = IntentState {
            last_seq: last.seq,
            status: last.status,
            waiting_reason: last.waiting_reason,
            created_at_ms: NOW_MS,
            updated_at_ms: last.at_ms,
            policy_generation: self.policy_generation,
            controls: self.controls.clone(),
            policy: Some(self.policy.clone()),
            workflow: self.workflow.clone(),
            ..IntentState::default()
        };
        IntentView {
            intent_id: id.to_bytes(),
            state: Some(state),
            submission: Some(self.submission.clone()),
            terminal_event: last.status().is_terminal().then(|| last.clone()),
            task: self.task(),
        }
    }
}

impl State {
    pub(crate) fn put_row(&mut self, key: String, value: Bytes) {
        self.revision += 1;
        self.rows.insert(key.clone(), (self.revision, value.clone()));
        self.history.push(Row { key, revision: self.revision, value, deleted: false });
    }

    pub(crate) fn delete_row(&mut self, key: String) {
        self.revision += 1;
        self.rows.remove(&key);
        self.history.push(Row { key, revision: self.revision, value: Bytes::new(), deleted: true });
    }

    pub(crate) fn submit(&mut self, id: IntentId, submission: Submission) {
        let mut intent = Intent {
            submission,
            events: Vec::new(),
            policy_generation: 0,
            controls: Vec::new(),
            policy: Policy::default(),
            workflow: None,
            ended_by: Bytes::new(),
        };
        let from = intent.submission.from_agent.clone();
        intent.append(EventType::Created, Status::Created, &from, b"");
        intent.append(EventType::Submitted, Status::Submitted, &from, b"");
        if intent.submission.human_task_json.is_empty() {
            intent.append(EventType::Delivered, Status::Delivered, "agent://agent_core", b"");
            self.deposit(id, &intent);
        } else {
            let task = &intent.submission.human_task_json;
            let details = [b"{\"human_task\":", &task[..], b"}"].concat();
            intent.append(EventType::Waiting, Status::Waiting, "agent://agent_core", b"");
            let kind = EventType::HumanTaskAssigned;
            intent.append(kind, Status::Waiting, "agent://agent_core", &details);
        }
        self.intents.insert(id, intent);
    }

    fn deposit(&mut self, id: IntentId, intent: &Intent) {
        let submission = &intent.submission;
        let key = (submission.target_workspace_id.clone(), submission.to_agent.clone());
        let mailbox = self.mailboxes.entry(key).or_default();
        let cursor = mailbox.last().map_or(0, |entry| entry.cursor) + 2;
        let delivery = Delivery {
            intent_id: id.to_bytes(),
            intent_type: submission.intent_type.clone(),
            from_agent: submission.from_agent.clone(),
            to_agent: submission.to_agent.clone(),
            correlation_id: submission.correlation_id.clone(),
            at_ms: NOW_MS,
            traceparent: submission.traceparent.clone(),
            status: Status::Delivered.into(),
            intent_seq: 3,
            created_at_ms: NOW_MS,
            mode: submission.delivery_mode,
            ..Delivery::default()
        };
        mailbox.push(MailboxEntry { cursor, delivery: Some(delivery) });
    }

    /// Appends an event to an intent that a test plays with.
    pub(crate) fn append(&mut self, id: &str, kind: EventType, status: Status, details: &[u8]) {
        let id: IntentId = id.parse().unwrap();
        let intent = self.intents.get_mut(&id).unwrap();
        intent.append(kind, status, "agent://agent_core", details);
        if status.is_terminal() {
            if !self.hold_outcomes {
                inbox::complete(&mut self.threads, id, intent);
            }
            let key =
                (intent.submission.target_workspace_id.clone(), intent.submission.to_agent.clone());
            if let Some(mailbox) = self.mailboxes.get_mut(&key) {
                mailbox.retain(|entry| {
                    entry.delivery.as_ref().is_none_or(|it| it.intent_id != id.to_bytes())
                });
            }
        }
    }
}
