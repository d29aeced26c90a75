//! `axp.node.v1.Shard`, faked: commands and reads.

use std::pin::Pin;
use std::sync::atomic::Ordering;

use axp_proto::ids::IntentId;
use axp_proto::log::{EventType, IntentSummary, Status as IntentStatus, Submission, TaskLinkState};
use axp_proto::node::shard_server::Shard;
use axp_proto::node::{
    Accepted, CallFailed, CommitRecordsRequest, CommitRecordsResponse, DeliverRequest,
    DeliverResponse, DeliveryList, EventList, ExecuteAnswer, ExecuteAnswers, ExecuteBatch,
    ExecuteCall, ExecuteRequest, ExecuteResponse, InboxRequest, InboxResponse, IntentList,
    IntentRow, LinkedTask, ParcelList, PublishRequest, PublishResponse, QueryRequest,
    QueryResponse, RedeliverRequest, RedeliverResponse, Rejection, Scope, SubscribeRequest,
    SubscribeResponse, TaskList, TaskRow, execute_answer, execute_request, execute_response,
    inbox_response, publish_response, query_request, query_response, redeliver_response,
};
use axp_proto::shard_map::{group_of, mailbox_slot};
use axp_proto::task::is_assigned;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Request, Response, Status, Streaming};

use super::model::{Intent, State};
use super::{FakeNode, SHARD_GROUPS, inbox, push, take};

#[tonic::async_trait]
impl Shard for FakeNode {
    async fn execute(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<ExecuteResponse>, Status> {
        self.run(request.into_inner()).await.map(Response::new)
    }

    type ExecuteManyStream = Pin<Box<dyn Stream<Item = Result<ExecuteAnswers, Status>> + Send>>;

    async fn execute_many(
        &self,
        request: Request<Streaming<ExecuteBatch>>,
    ) -> Result<Response<Self::ExecuteManyStream>, Status> {
        let node = self.clone();
        let answers = request.into_inner().map(move |batch| {
            let node = node.clone();
            stream::iter(batch.map(|batch| batch.calls).unwrap_or_default())
                .map(move |call| node.clone().answer(call))
        });
        Ok(Response::new(Box::pin(answers.flatten().buffer_unordered(64))))
    }

    async fn query(
        &self,
        request: Request<QueryRequest>,
    ) -> Result<Response<QueryResponse>, Status> {
        self.before().await?;
        let request = request.into_inner();
        let outcome = match self.not_leader(request.group) {
            Some(hint) => query_response::Outcome::NotLeader(hint),
            None => query(&self.shared.state(), &request)
                .unwrap_or_else(query_response::Outcome::Rejection),
        };
        Ok(Response::new(QueryResponse { outcome: Some(outcome) }))
    }

    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        self.before().await?;
        Ok(Response::new(self.subscriptions(request.into_inner())))
    }

    async fn inbox(
        &self,
        request: Request<InboxRequest>,
    ) -> Result<Response<InboxResponse>, Status> {
        self.before().await?;
        let request = request.into_inner();
        let outcome = match self.not_leader(request.group) {
            Some(hint) => inbox_response::Outcome::NotLeader(hint),
            None => match self.shared.change(|state| inbox::act(state, request)) {
                Ok(done) => inbox_response::Outcome::Done(done),
                Err(rejection) => inbox_response::Outcome::Rejection(rejection),
            },
        };
        if take(&self.faults.lose_answers) {
            return Err(Status::unavailable("the answer is lost"));
        }
        Ok(Response::new(InboxResponse { outcome: Some(outcome) }))
    }

    async fn deliver(
        &self,
        _: Request<DeliverRequest>,
    ) -> Result<Response<DeliverResponse>, Status> {
        Err(Status::unimplemented("gateways do not deliver"))
    }

    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        self.before().await?;
        let request = request.into_inner();
        let outcome = match self.not_leader(request.group) {
            Some(hint) => publish_response::Outcome::NotLeader(hint),
            None => {
                let published = self.shared.change(|state| push::publish(state, request));
                publish_response::Outcome::Published(published)
            }
        };
        if take(&self.faults.lose_answers) {
            return Err(Status::unavailable("the answer is lost"));
        }
        Ok(Response::new(PublishResponse { outcome: Some(outcome) }))
    }

    async fn redeliver(
        &self,
        request: Request<RedeliverRequest>,
    ) -> Result<Response<RedeliverResponse>, Status> {
        self.before().await?;
        let request = request.into_inner();
        let outcome = match self.not_leader(request.group) {
            Some(hint) => redeliver_response::Outcome::NotLeader(hint),
            None => match self.shared.change(|state| push::redeliver(state, &request)) {
                Ok(parcels) => redeliver_response::Outcome::Queued(ParcelList { parcels }),
                Err(rejection) => redeliver_response::Outcome::Rejection(rejection),
            },
        };
        Ok(Response::new(RedeliverResponse { outcome: Some(outcome) }))
    }

    async fn commit_records(
        &self,
        request: Request<CommitRecordsRequest>,
    ) -> Result<Response<CommitRecordsResponse>, Status> {
        self.before().await?;
        if self.faults.hangs_commit() {
            std::future::pending::<()>().await;
        }
        let outcome = FakeNode::commit_records(self, request.into_inner())?;
        Ok(Response::new(CommitRecordsResponse { outcome: Some(outcome) }))
    }
}

impl FakeNode {
    async fn answer(self, call: ExecuteCall) -> Result<ExecuteAnswers, Status> {
        assert_ne!(call.patience_ms, 0, "deadlines travel");
        let result = match self.run(call.request.unwrap()).await {
            Ok(response) => execute_answer::Result::Response(response),
            Err(status) => execute_answer::Result::Failed(CallFailed {
                code: status.code().into(),
                message: status.message().to_owned(),
            }),
        };
        let answer = ExecuteAnswer { call_id: call.call_id, result: Some(result) };
        Ok(ExecuteAnswers { answers: vec![answer] })
    }

    async fn run(&self, request: ExecuteRequest) -> Result<ExecuteResponse, Status> {
        self.faults.last_traceparent.lock().unwrap().clone_from(&request.traceparent);
        self.faults.executed.fetch_add(1, Ordering::SeqCst);
        self.before().await?;
        let outcome = match self.not_leader(request.group) {
            Some(hint) => execute_response::Outcome::NotLeader(hint),
            None => match self.shared.change(|state| execute(state, request)) {
                Ok(accepted) => execute_response::Outcome::Accepted(accepted),
                Err(rejection) => execute_response::Outcome::Rejection(rejection),
            },
        };
        if take(&self.faults.lose_answers) {
            return Err(Status::unavailable("the answer is lost"));
        }
        Ok(ExecuteResponse { outcome: Some(outcome) })
    }
}

pub(super) fn reject(code: &str, message: &str) -> Rejection {
    Rejection { code: code.to_owned(), message: message.to_owned() }
}

/// The intent, if the scope may see it.
pub(super) fn visible<'a>(
    state: &'a State,
    id: &[u8],
    scope: Option<&Scope>,
) -> Result<(IntentId, &'a Intent), Rejection> {
    let unknown = || reject("not_found", "intent not found");
    let id = IntentId::from_slice(id).map_err(|_| unknown())?;
    let intent = state.intents.get(&id).ok_or_else(unknown)?;
    let workspace = &scope.ok_or_else(unknown)?.workspace_id;
    let submission = &intent.submission;
    let own = [&submission.workspace_id, &submission.target_workspace_id].contains(&workspace);
    if own { Ok((id, intent)) } else { Err(unknown()) }
}

fn execute(state: &mut State, request: ExecuteRequest) -> Result<Accepted, Rejection> {
    let id = IntentId::from_slice(&request.intent_id).unwrap();
    assert_eq!(request.group, u32::from(group_of(id.slot(), SHARD_GROUPS)), "wrong group");
    if let Some(key) = &request.idempotency
        && let Some((fingerprint, id, seq)) = state.keys.get(&key.key_hash)
    {
        if *fingerprint != key.fingerprint {
            let message = "idempotency key reused with different payload";
            return Err(reject("idempotency_conflict", message));
        }
        let intent = &state.intents[id];
        let event = Some(intent.events[*seq as usize - 1].clone());
        return Ok(Accepted { event, replayed: true, ..accepted(*id, intent) });
    }
    let accepted = command(state, id, request.command.unwrap(), request.scope.as_ref())?;
    if let Some(key) = request.idempotency {
        let seq = state.intents[&id].last_seq();
        state.keys.insert(key.key_hash, (key.fingerprint, id, seq));
    }
    Ok(accepted)
}

fn command(
    state: &mut State,
    id: IntentId,
    command: execute_request::Command,
    scope: Option<&Scope>,
) -> Result<Accepted, Rejection> {
    if let execute_request::Command::Submit(submission) = command {
        return submit(state, id, submission);
    }
    if let execute_request::Command::Rebind(rebind) = command {
        return rebind_entry(state, id, rebind.mode);
    }
    let own;
    let scope = match linked(state, &command) {
        Some(found) => {
            own = found?;
            Some(&own)
        }
        None => scope,
    };
    let (_, intent) = visible(state, &id.to_bytes(), scope)?;
    let request_id = request_id(&command);
    if intent.status().is_terminal() {
        if !request_id.is_empty() && intent.ended_by == request_id {
            return Ok(Accepted { event: None, ..accepted(id, intent) });
        }
        return Err(reject("invalid_state", "the intent has ended"));
    }
    if let Some(changed) = super::policy::change(state, id, &command)? {
        return Ok(changed);
    }
    let (_, intent) = visible(state, &id.to_bytes(), scope)?;
    let open = accepted(id, intent);
    let waiting = intent.status() == IntentStatus::Waiting;
    let generation = intent.policy_generation;
    let stale = |expected: Option<u32>| expected.is_some_and(|expected| expected != generation);
    let (kind, status, actor, details) = match command {
        execute_request::Command::Submit(_) => unreachable!(),
        execute_request::Command::Resolve(it) if stale(it.expected_policy_generation) => {
            return Ok(Accepted { stale_policy_generation: true, event: None, ..open });
        }
        execute_request::Command::Resolve(it) => match it.status() {
            IntentStatus::Completed => {
                (EventType::Completed, it.status(), it.actor, member("result", &it.outcome_json))
            }
            IntentStatus::Failed => {
                (EventType::Failed, it.status(), it.actor, member("error", &it.outcome_json))
            }
            status => (EventType::Canceled, status, it.actor, Bytes::new()),
        },
        execute_request::Command::AgentResult(it) if it.failed => {
            let details = member("error", &it.outcome_json);
            (EventType::Failed, IntentStatus::Failed, it.actor, details)
        }
        execute_request::Command::AgentResult(it) => {
            let details = member("result", &it.outcome_json);
            (EventType::Completed, IntentStatus::Completed, it.actor, details)
        }
        execute_request::Command::ControlResume(_) if !waiting => {
            return Ok(Accepted { event: None, ..open });
        }
        execute_request::Command::ControlResume(it) => {
            (EventType::InProgress, IntentStatus::InProgress, it.actor, Bytes::new())
        }
        execute_request::Command::TaskResult(it) => {
            if it.expected_task.is_some_and(|task| task != 0) {
                return Err(reject("invalid_state", "no task is pending"));
            }
            let rules = intent.submission.task.as_ref().unwrap();
            let (outcome, comment) = (&it.outcome, &it.comment);
            axp_proto::task::check(rules, outcome, comment, it.has_evidence)
                .map_err(|broken| reject("validation_error", &broken.message))?;
            if it.delegate_to.is_some() {
                (EventType::Transfer, IntentStatus::Waiting, it.actor, Bytes::new())
            } else if it.outcome == "rejected" {
                let details = decided("error", &it.answer_json);
                (EventType::Failed, IntentStatus::Failed, it.actor, details)
            } else {
                let details = decided("result", &it.answer_json);
                (EventType::Completed, IntentStatus::Completed, it.actor, details)
            }
        }
        execute_request::Command::Acknowledge(it) => {
            (EventType::Acknowledged, IntentStatus::Acknowledged, it.actor, Bytes::new())
        }
        execute_request::Command::Transfer(it) => {
            let to = it.to.and_then(|to| to.mailbox).unwrap().address;
            let details = serde_json::json!({ "to_handler": to, "reason": it.reason });
            (EventType::Transfer, intent.status(), it.actor, Bytes::from(details.to_string()))
        }
        other => panic!("no gateway sends {other:?}"),
    };
    state.append(&id.to_string(), kind, status, &details);
    let intent = state.intents.get_mut(&id).unwrap();
    intent.events.last_mut().unwrap().actor = actor;
    intent.ended_by = request_id;
    Ok(accepted(id, intent))
}

fn request_id(command: &execute_request::Command) -> Bytes {
    match command {
        execute_request::Command::Resolve(it) => it.request_id.clone(),
        execute_request::Command::AgentResult(it) => it.request_id.clone(),
        execute_request::Command::TaskResult(it) => it.request_id.clone(),
        _ => Bytes::new(),
    }
}

/// With the authority of a link a command has the scope of the intent, once.
fn linked(
    state: &mut State,
    command: &execute_request::Command,
) -> Option<Result<Scope, Rejection>> {
    let execute_request::Command::TaskResult(it) = command else { return None };
    if it.link_hash.is_empty() {
        return None;
    }
    let Some((id, link)) = state.links.get_mut(&it.link_hash) else {
        return Some(Err(reject("not_found", "link not found")));
    };
    if link.state() != TaskLinkState::Open {
        return Some(Err(reject("invalid_state", "the link was used")));
    }
    link.set_state(TaskLinkState::Used);
    let workspace_id = state.intents[id].submission.workspace_id.clone();
    Some(Ok(Scope { workspace_id, ..Scope::default() }))
}

/// The mailbox keeps how its owner wants each delivery.
fn rebind_entry(state: &mut State, id: IntentId, mode: i32) -> Result<Accepted, Rejection> {
    let entries = state.mailboxes.values_mut().flatten();
    let deliveries = entries.filter_map(|entry| entry.delivery.as_mut());
    deliveries.filter(|it| it.intent_id == id.to_bytes()).for_each(|it| it.mode = mode);
    Ok(accepted(id, &state.intents[&id]))
}

fn submit(state: &mut State, id: IntentId, submission: Submission) -> Result<Accepted, Rejection> {
    if let Some(known) = state.intents.get(&id) {
        let same = Submission { traceparent: String::new(), ..submission }
            == Submission { traceparent: String::new(), ..known.submission.clone() };
        return if same { Ok(accepted(id, known)) } else { Err(reject("conflict", "in use")) };
    }
    if submission.deadline_at_ms.is_some_and(|at| at <= super::model::NOW_MS) {
        return Err(reject("validation_error", "deadline_at is in the past"));
    }
    state.submit(id, submission);
    Ok(accepted(id, &state.intents[&id]))
}

pub(super) fn accepted(id: IntentId, intent: &Intent) -> Accepted {
    Accepted {
        intent: Some(intent.view(id)),
        event: intent.events.last().cloned(),
        ..Accepted::default()
    }
}

fn member(name: &str, json: &[u8]) -> Bytes {
    axp_proto::json::ObjectWriter::default().raw(name, json).finish()
}

/// A person's answer is told in two places.
fn decided(name: &str, json: &[u8]) -> Bytes {
    let details = axp_proto::json::ObjectWriter::default().raw(name, json);
    details.raw("task_result", json).finish()
}

fn query(state: &State, request: &QueryRequest) -> Result<query_response::Outcome, Rejection> {
    let scope = request.scope.as_ref();
    if let Some(outcome) = inbox::query(state, request.query.as_ref().unwrap()) {
        return outcome;
    }
    Ok(match request.query.as_ref().unwrap() {
        query_request::Query::GetIntent(get) => {
            let (id, intent) = visible(state, &get.intent_id, scope)?;
            query_response::Outcome::Intent(intent.view(id))
        }
        query_request::Query::ListTasks(list) => {
            let workspace = &scope.unwrap().workspace_id;
            let after = IntentId::from_slice(&list.after).ok();
            let wanted = |id: &IntentId, intent: &Intent| {
                u32::from(group_of(id.slot(), SHARD_GROUPS)) == request.group
                    && after.is_none_or(|after| *id < after)
                    && intent.submission.workspace_id == *workspace
                    && intent.view(*id).task.is_some()
                    && (list.assignee.is_empty()
                        || is_assigned(
                            &intent.submission.task.as_ref().unwrap().assignees,
                            &list.assignee,
                        ))
            };
            let rows = state.intents.iter().rev().filter(|(id, intent)| wanted(id, intent));
            let row = |(id, intent): (&IntentId, &Intent)| TaskRow {
                assigned_at_ms: super::model::NOW_MS,
                intent: Some(intent.view(*id)),
            };
            let tasks = rows.take(list.limit as usize).map(row).collect();
            query_response::Outcome::Tasks(TaskList { tasks })
        }
        query_request::Query::GetLinkedTask(get) => {
            let unknown = || reject("not_found", "link not found");
            let (id, link) = state.links.get(&get.link_hash).ok_or_else(unknown)?;
            let intent = Some(state.intents[id].view(*id));
            query_response::Outcome::LinkedTask(LinkedTask { link: Some(link.clone()), intent })
        }
        query_request::Query::ListEvents(list) => {
            let (_, intent) = visible(state, &list.intent_id, scope)?;
            let after = intent.events.iter().filter(|event| event.seq > list.since);
            let events = after.take(list.limit as usize).cloned().collect();
            query_response::Outcome::Events(EventList { events })
        }
        query_request::Query::ListIntents(list) => {
            let workspace = &scope.unwrap().workspace_id;
            let wanted = |id: &IntentId, intent: &Intent| {
                let submission = &intent.submission;
                u32::from(group_of(id.slot(), SHARD_GROUPS)) == request.group
                    && [&submission.workspace_id, &submission.target_workspace_id]
                        .contains(&workspace)
                    && (list.statuses.is_empty() || list.statuses.contains(&intent.status().into()))
                    && (list.to_agent.is_empty() || list.to_agent == submission.to_agent)
                    && (list.from_agent.is_empty() || list.from_agent == submission.from_agent)
                    && list.updated_before_ms.is_none_or(|before| super::model::NOW_MS < before)
            };
            let rows = state.intents.iter().rev().filter(|(id, intent)| wanted(id, intent));
            let intents = rows.take(list.limit as usize).map(row).collect();
            query_response::Outcome::Intents(IntentList { intents })
        }
        query_request::Query::GetRecords(get) => {
            query_response::Outcome::Records(state.records.get(get))
        }
        query_request::Query::ListRecords(list) => {
            query_response::Outcome::Records(state.records.list(list))
        }
        query_request::Query::MailboxBacklog(backlog) => {
            let mailbox = backlog.mailbox.as_ref().unwrap();
            assert_eq!(mailbox.workspace_id, scope.unwrap().workspace_id);
            let group = u32::from(group_of(mailbox_slot(mailbox), SHARD_GROUPS));
            assert_eq!(group, request.group, "wrong group");
            let key = (mailbox.workspace_id.clone(), mailbox.address.clone());
            let entries = state.mailboxes.get(&key).into_iter().flatten();
            let after = entries.filter(|entry| entry.cursor > backlog.since);
            let entries = after.take(backlog.limit as usize).cloned().collect();
            query_response::Outcome::Deliveries(DeliveryList { entries })
        }
        query_request::Query::ListDeadLetters(_) => {
            let workspace = &scope.unwrap().workspace_id;
            query_response::Outcome::DeadLetters(push::dead_letters(
                state,
                workspace,
                request.group,
            ))
        }
        query_request::Query::GetPublished(get) => {
            let workspace = &scope.unwrap().workspace_id;
            query_response::Outcome::Published(push::published(state, workspace, &get.event_id)?)
        }
        _ => unreachable!("asked above"),
    })
}

fn row((id, intent): (&IntentId, &Intent)) -> IntentRow {
    let summary = IntentSummary {
        status: intent.status().into(),
        created_at_ms: super::model::NOW_MS,
        updated_at_ms: super::model::NOW_MS,
        to_agent: intent.submission.to_agent.clone(),
        from_agent: intent.submission.from_agent.clone(),
        intent_type: intent.submission.intent_type.clone(),
    };
    IntentRow { intent_id: id.to_bytes(), summary: Some(summary) }
}
