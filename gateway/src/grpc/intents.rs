//! `axp.v1.Intents`. Requests become the JSON body that HTTP would bring, so that one place says
//! what is valid and a key means the same on both sides.

use std::pin::Pin;
use std::sync::Arc;

use axp_proto::log::Status as IntentStatus;
use axp_proto::v1;
use axp_proto::v1::intents_server::Intents as Api;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::time::timeout_at;
use tonic::{Request, Response, Status};

use super::enter::{Method, enter};
use super::error::stopping;
use super::{bodies, convert, structs};
use crate::clock;
use crate::cluster::{Item, Subscription};
use crate::error::ApiError;
use crate::limits::Permit;
use crate::service::{ListFilter, Service};

const LIST_DEFAULT: u32 = 50;
const LIST_MAX: u32 = 1_000;

pub(super) struct Intents(pub(super) Arc<Service>);

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Api for Intents {
    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let method = Method::unary("axp.v1.Intents/Submit");
        enter(&self.0, method, request, async |call, message: v1::SubmitRequest| {
            let submitted = self.0.submit(&call, &bodies::submit(&message)).await?;
            Ok(convert::submitted(&submitted))
        })
        .await
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::Intent>, Status> {
        let method = Method::unary("axp.v1.Intents/Get");
        enter(&self.0, method, request, async |call, message: v1::GetRequest| {
            convert::intent(&self.0.get(&call, &message.intent_id).await?)
        })
        .await
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let method = Method::unary("axp.v1.Intents/List");
        enter(&self.0, method, request, async |call, message: v1::ListRequest| {
            let address =
                |text: &str| (!text.is_empty()).then(|| call.caller.normalise(text)).transpose();
            let filter = ListFilter {
                limit: if message.limit == 0 { LIST_DEFAULT } else { message.limit.min(LIST_MAX) },
                statuses: statuses(&message.statuses)?,
                to_agent: address(&message.to_agent)?,
                from_agent: address(&message.from_agent)?,
                updated_before_ms: None,
            };
            let rows = self.0.list(&call, &filter).await?;
            Ok(v1::ListResponse { intents: rows.iter().filter_map(convert::row).collect() })
        })
        .await
    }

    type WatchStream = Boxed<v1::Event>;

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let method = Method::stream("axp.v1.Intents/Watch");
        enter(&self.0, method, request, async |call, message: v1::WatchRequest| {
            let permits = self.0.limits.stream_of(call.caller.workspace_id())?;
            let (id, mut subscription) =
                self.0.watch(&call, &message.intent_id, message.since).await?;
            let first = first(&mut subscription, call.deadline).await?;
            let convert = move |item: Item| match item {
                Item::Events(events) => {
                    events.iter().map(|event| convert::event(id, event)).collect()
                }
                Item::Deliveries(_) | Item::CaughtUp | Item::Complete => Vec::new(),
            };
            Ok(follow(&self.0, subscription, first, permits, convert))
        })
        .await
    }

    async fn resolve(
        &self,
        request: Request<v1::ResolveRequest>,
    ) -> Result<Response<v1::ResolveResponse>, Status> {
        let method = Method::unary("axp.v1.Intents/Resolve");
        enter(&self.0, method, request, async |call, message: v1::ResolveRequest| {
            let body = bodies::resolve(&message);
            let resolved = self.0.resolve(&call, &message.intent_id, &body).await?;
            let (intent, event) = convert::resolved(&resolved)?;
            Ok(v1::ResolveResponse { intent, event })
        })
        .await
    }

    async fn resume(
        &self,
        request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        let method = Method::unary("axp.v1.Intents/Resume");
        enter(&self.0, method, request, async |call, message: v1::ResumeRequest| {
            let outcome = structs::to_bytes(&message.result.unwrap_or_default());
            let resumed = self.0.finish(&call, &message.intent_id, message.fail, outcome).await?;
            let (intent, event) = convert::resolved(&resumed)?;
            Ok(v1::ResumeResponse { intent, event })
        })
        .await
    }

    async fn acknowledge(
        &self,
        request: Request<v1::AcknowledgeRequest>,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        let method = Method::unary("axp.v1.Intents/Acknowledge");
        enter(&self.0, method, request, async |call, message: v1::AcknowledgeRequest| {
            let acknowledged = self.0.acknowledge(&call, &message.intent_id).await?;
            let (intent, event) = convert::resolved(&acknowledged)?;
            Ok(v1::ResumeResponse { intent, event })
        })
        .await
    }

    async fn answer(
        &self,
        request: Request<v1::AnswerRequest>,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        let method = Method::unary("axp.v1.Intents/Answer");
        enter(&self.0, method, request, async |call, message: v1::AnswerRequest| {
            let body = bodies::answer(&message);
            let answered = self.0.resume(&call, &message.intent_id, &body).await?;
            let (intent, event) = convert::resolved(&answered)?;
            Ok(v1::ResumeResponse { intent, event })
        })
        .await
    }

    async fn pending(
        &self,
        request: Request<v1::PendingRequest>,
    ) -> Result<Response<v1::PendingResponse>, Status> {
        let method = Method::unary("axp.v1.Intents/Pending");
        enter(&self.0, method, request, async |call, message: v1::PendingRequest| {
            let agent = if message.agent.is_empty() {
                self.0.acting_agent(&call)?
            } else {
                call.caller.normalise(&message.agent)?
            };
            let limit = if message.limit == 0 { LIST_DEFAULT } else { message.limit.min(LIST_MAX) };
            let page = self.0.pending(&call, agent, message.since, limit).await?;
            let deliveries = page.entries.iter().filter_map(convert::delivery).collect();
            Ok(v1::PendingResponse { deliveries, next_since: page.next_since })
        })
        .await
    }

    async fn update_controls(
        &self,
        request: Request<v1::UpdateControlsRequest>,
    ) -> Result<Response<v1::UpdateControlsResponse>, Status> {
        let method = Method::unary("axp.v1.Intents/UpdateControls");
        enter(&self.0, method, request, async |call, message: v1::UpdateControlsRequest| {
            let body = bodies::controls(&message);
            let changed = self.0.update_controls(&call, &message.intent_id, &body).await?;
            let (intent, _) = convert::resolved(&changed)?;
            Ok(v1::UpdateControlsResponse { applied: !changed.stale, intent })
        })
        .await
    }

    async fn update_policy(
        &self,
        request: Request<v1::UpdatePolicyRequest>,
    ) -> Result<Response<v1::UpdateControlsResponse>, Status> {
        let method = Method::unary("axp.v1.Intents/UpdatePolicy");
        enter(&self.0, method, request, async |call, message: v1::UpdatePolicyRequest| {
            let body = bodies::policy(&message);
            let changed = self.0.update_policy(&call, &message.intent_id, &body).await?;
            let (intent, _) = convert::resolved(&changed)?;
            Ok(v1::UpdateControlsResponse { applied: !changed.stale, intent })
        })
        .await
    }

    async fn bulk_cancel(
        &self,
        request: Request<v1::BulkCancelRequest>,
    ) -> Result<Response<v1::BulkCancelResponse>, Status> {
        let method = Method::unary("axp.v1.Intents/BulkCancel");
        enter(&self.0, method, request, async |call, message: v1::BulkCancelRequest| {
            let done = self.0.bulk_cancel(&call, &bodies::bulk_cancel(&message)).await?;
            Ok(v1::BulkCancelResponse { intent_ids: done.intent_ids })
        })
        .await
    }
}

/// Waits for a sign of life, so that a refusal is the answer to the call.
pub(super) async fn first(
    subscription: &mut Subscription,
    deadline: clock::Deadline,
) -> Result<Item, ApiError> {
    match timeout_at(deadline.instant(), subscription.next()).await {
        Ok(item) => Ok(item?),
        Err(_) => Err(ApiError::unavailable("no leader of the shard answered in time")),
    }
}

/// A subscription as a stream of messages. Pulled by the connection: a client that does not read
/// gets no more than the window of what its node may send ahead.
pub(super) fn follow<T: Send + 'static>(
    service: &Arc<Service>,
    subscription: Subscription,
    first: Item,
    permits: (Permit, Permit),
    convert: impl Fn(Item) -> Vec<T> + Send + 'static,
) -> Boxed<T> {
    struct State<F, T> {
        subscription: Subscription,
        item: Option<Item>,
        ready: std::vec::IntoIter<T>,
        convert: F,
        done: bool,
        _permits: (Permit, Permit),
    }
    let stop = service.stop.clone();
    let state = State {
        subscription,
        item: Some(first),
        ready: Vec::new().into_iter(),
        convert,
        done: false,
        _permits: permits,
    };
    Box::pin(unfold(state, move |mut state| {
        let stop = stop.clone();
        async move {
            loop {
                if let Some(message) = state.ready.next() {
                    return Some((Ok(message), state));
                }
                if state.done {
                    return None;
                }
                let item = match state.item.take() {
                    Some(item) => Ok(item),
                    None => tokio::select! {
                        biased;
                        () = stop.cancelled() => {
                            state.done = true;
                            return Some((Err(stopping()), state));
                        }
                        item = state.subscription.next() => item,
                    },
                };
                match item {
                    Ok(Item::Complete) => state.done = true,
                    Ok(item) => state.ready = (state.convert)(item).into_iter(),
                    Err(rejection) => {
                        state.done = true;
                        return Some((Err(ApiError::from(rejection).into()), state));
                    }
                }
            }
        }
    }))
}

fn statuses(words: &[String]) -> Result<Vec<IntentStatus>, ApiError> {
    let parse = |word: &String| {
        IntentStatus::from_wire_name(word)
            .ok_or_else(|| ApiError::invalid(&["statuses"], "is no status", "value_error"))
    };
    words.iter().map(parse).collect()
}
