//! Inboxes, faked: threads that a test puts there, and a record of what owners asked for. What an
//! action does to a thread is the node's to decide; here it leaves an entry.

use std::collections::BTreeMap;

use axp_proto::ids::IntentId;
use axp_proto::inbox::{approval_place, completion_id};
use axp_proto::log::{
    Approval, MailboxKey, Thread, ThreadEntry, ThreadEventType, ThreadOrigin, ThreadStatus,
};
use axp_proto::node::inbox_request::Action;
use axp_proto::node::{
    InboxDone, InboxRequest, Rejection, ThreadList, ThreadView, query_request, query_response,
};
use axp_proto::shard_map::{group_of, mailbox_slot};
use bytes::Bytes;
use uuid::Uuid;

use super::SHARD_GROUPS;
use super::model::{Intent, NOW_MS, State};
use super::shard::reject;

fn unknown() -> Rejection {
    reject("not_found", "thread not found")
}

fn entry(event_id: Bytes, kind: ThreadEventType, details_json: Bytes) -> ThreadEntry {
    let actor = "agent://somebody".to_owned();
    ThreadEntry { event_id, r#type: kind.into(), actor, at_ms: NOW_MS, details_json }
}

/// A thread about an intent that came straight here.
pub(crate) fn thread(number: u32, from_agent: &str, to_agent: &str) -> Thread {
    let origin = ThreadOrigin {
        intent_type: "intent.ask.v1".to_owned(),
        from_agent: from_agent.to_owned(),
        to_agent: to_agent.to_owned(),
        created_at_ms: NOW_MS,
        ..ThreadOrigin::default()
    };
    let received = entry(Bytes::from_static(&[9; 16]), ThreadEventType::Received, Bytes::new());
    Thread {
        origin: Some(origin),
        status: ThreadStatus::Pending.into(),
        updated_at_ms: NOW_MS,
        number,
        timeline: vec![received],
        ..Thread::default()
    }
}

/// The outcome of an intent in the inbox of `reply_to`.
pub(super) fn complete(
    threads: &mut BTreeMap<(String, Bytes), Thread>,
    id: IntentId,
    intent: &Intent,
) {
    let to = intent.submission.reply_to_address.clone();
    if !to.is_empty() {
        let mut thread = thread(2, "agent://axme.intent-protocol", &to);
        let kind = ThreadEventType::CompletionDelivered;
        thread.timeline.push(entry(completion_id(id), kind, Bytes::new()));
        threads.insert((to, id.to_bytes()), thread);
    }
}

pub(super) fn act(state: &mut State, request: InboxRequest) -> Result<InboxDone, Rejection> {
    let mailbox = request.mailbox.clone().unwrap();
    assert_eq!(request.group, u32::from(group_of(mailbox_slot(&mailbox), SHARD_GROUPS)));
    assert_eq!(mailbox.workspace_id, request.scope.as_ref().unwrap().workspace_id);
    state.acted.push(request.clone());
    if let Some(Action::Approval(wanted)) = request.action {
        let approval = Approval {
            approval_id: request.thread_id,
            decision: wanted.decision,
            comment: wanted.comment,
            decided_at_ms: NOW_MS,
            ..Approval::default()
        };
        let stored = state.approvals.entry(mailbox.address).or_insert(approval);
        if stored.decision != wanted.decision {
            return Err(reject("invalid_state", "the approval was decided otherwise"));
        }
        return Ok(InboxDone { approval: Some(stored.clone()), ..InboxDone::default() });
    }
    let key = (mailbox.address, request.thread_id.clone());
    let thread = state.threads.get_mut(&key).ok_or_else(unknown)?;
    if let Some(Action::Decide(decide)) = &request.action {
        if thread.decision != 0 {
            return Err(reject("invalid_state", "the thread is approved already"));
        }
        thread.decision = decide.decision;
    }
    let details = match &request.action {
        Some(Action::DeleteMessages(_)) => {
            Bytes::from(format!(r#"{{"message_ids":["{}"]}}"#, Uuid::nil()))
        }
        _ => Bytes::new(),
    };
    let kind = ThreadEventType::Read;
    thread.timeline.push(entry(request.action_id.clone(), kind, details));
    let view = view(&key, thread);
    Ok(InboxDone { thread: Some(view), ..InboxDone::default() })
}

fn view((_, thread_id): &(String, Bytes), thread: &Thread) -> ThreadView {
    let thread_id = thread_id.clone();
    ThreadView { thread_id, thread: Some(thread.clone()), messages: Vec::new() }
}

pub(super) fn query(
    state: &State,
    query: &query_request::Query,
) -> Option<Result<query_response::Outcome, Rejection>> {
    use query_request::Query;
    let of = |mailbox: &Option<MailboxKey>| {
        let address = mailbox.clone().unwrap().address;
        state.threads.iter().filter(move |((owner, _), _)| *owner == address)
    };
    Some(match query {
        Query::ListThreads(list) => {
            let wanted = |thread: &Thread| list.status == 0 || list.status == thread.status;
            let found = of(&list.mailbox).filter(|(_, thread)| wanted(thread));
            let mut threads: Vec<_> = found.map(|(key, thread)| view(key, thread)).collect();
            threads.truncate(list.limit as usize);
            Ok(query_response::Outcome::Threads(ThreadList { threads, has_more: false }))
        }
        Query::ThreadChanges(list) => {
            let found = of(&list.mailbox).filter(|(_, thread)| thread.number > list.since);
            let mut threads: Vec<_> = found.map(|(key, thread)| view(key, thread)).collect();
            threads.sort_by_key(|view| view.thread.as_ref().unwrap().number);
            let has_more = threads.len() > list.limit as usize;
            threads.truncate(list.limit as usize);
            Ok(query_response::Outcome::Threads(ThreadList { threads, has_more }))
        }
        Query::GetThread(get) => {
            let key = (get.mailbox.clone().unwrap().address, get.thread_id.clone());
            let found = state.threads.get(&key).map(|thread| view(&key, thread));
            found.map(query_response::Outcome::Thread).ok_or_else(unknown)
        }
        Query::GetApproval(get) => {
            let place = get.mailbox.clone().unwrap();
            let id = Uuid::try_parse(place.address.strip_prefix("approval:").unwrap()).unwrap();
            assert_eq!(place, approval_place(&place.workspace_id, id));
            let approval = state.approvals.get(&place.address).cloned();
            approval.map(query_response::Outcome::Approval).ok_or_else(unknown)
        }
        _ => return None,
    })
}
