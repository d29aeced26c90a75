//! Events for subscriptions: published here or by clients, counted, and replayed.
//!
//! The subscriptions are chosen over the cached rows, so that whoever has just subscribed through
//! this gateway is among them. The event is stored by the shard that its id names, and delivered
//! by that shard's leader; nobody waits for a receiver.

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::{GroupId, IntentId, Slot};
use axp_proto::log::{ParcelState, PublishEvent, ReplayEvent};
use axp_proto::node::{
    GetPublished, PublishRequest, Published, RedeliverRequest, query_request, query_response,
    redeliver_request,
};
use axp_proto::shard_map::group_of;
use axp_proto::webhook::EVENT_TYPES;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::clock;
use crate::cluster::{Plan, Tables};
use crate::error::ApiError;
use crate::json::Reader;
use crate::model::replayed_body;
use crate::service::answers::Stored;
use crate::service::idempotency::Claim;
use crate::service::{Call, Service};

/// Something that subscribers of a workspace may want to know.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) workspace_id: String,
    /// The agent whose event it is.
    pub(crate) owner_agent: String,
    pub(crate) event_type: String,
    pub(crate) source: String,
    /// A JSON object.
    pub(crate) payload: Bytes,
}

impl Service {
    /// Publishes what a client sends.
    ///
    /// # Errors
    /// 422 for a bad body, 403 for an owner of another organization, 409 for a key that published
    /// something else.
    pub(crate) async fn publish_body(
        &self,
        call: &Call,
        body: &Bytes,
    ) -> Result<Published, ApiError> {
        let claim = Claim::of(call, "POST /v1/webhooks/events", body)?;
        let mut reader = Reader::new(body)?;
        let event_type = reader.required_string("event_type", 3, 100).unwrap_or_default();
        if !event_type.is_empty() && !EVENT_TYPES.contains(&event_type.as_str()) {
            reader.problem("event_type", "is no event type that can be published", "value_error");
        }
        let source = reader.required_string("source", 2, 100).unwrap_or_default();
        let payload = reader.object("payload");
        if payload.is_none() && reader.fields().get("payload").is_none() {
            reader.problem("payload", "field required", "missing");
        }
        reader.finish()?;
        let publication = Publication {
            workspace_id: call.caller.workspace_id().to_owned(),
            owner_agent: self.acting_agent(call)?,
            event_type,
            source,
            payload: payload.unwrap_or_default(),
        };
        self.publish(call, publication, claim).await
    }

    /// Publishes an event to the subscriptions of a workspace; it is stored when this returns.
    ///
    /// # Errors
    /// 409 when the claim is for something else, or when no leader answers in time.
    pub(in crate::service) async fn publish(
        &self,
        call: &Call,
        publication: Publication,
        claim: Option<Claim>,
    ) -> Result<Published, ApiError> {
        let tables = self.cluster.refresh(call.deadline).await?;
        // With a key the id follows from it, so that a repeat meets the original.
        let event_id = match &claim {
            Some(claim) => claim.to_id(),
            None => IntentId::new(
                u64::try_from(clock::now_ms()).unwrap_or_default(),
                Slot::from_hash(rand::random()),
                rand::random(),
            ),
        };
        let fingerprint = claim.map(|claim| claim.fingerprint).unwrap_or_default();
        let event = PublishEvent {
            subscription_ids: wanting(
                &tables,
                &publication.workspace_id,
                &publication.owner_agent,
                &publication.event_type,
            ),
            workspace_id: publication.workspace_id,
            owner_agent: publication.owner_agent,
            event_type: publication.event_type,
            source: publication.source,
            payload_json: publication.payload,
            event_id: event_id.to_bytes(),
            fingerprint: fingerprint.clone(),
            ..PublishEvent::default()
        };
        let group = group_of(event_id.slot(), self.shard_groups(call).await?);
        let request = PublishRequest { group: group.into(), event: Some(event) };
        let published = self.cluster.router.publish(&request, call.deadline).await??;
        if published.event.as_ref().is_none_or(|event| event.fingerprint != fingerprint) {
            let message = "idempotency key reused with different payload";
            return Err(ApiError::new(ErrorCode::IdempotencyConflict, message));
        }
        Ok(published)
    }

    /// An event of the workspace and how far its deliveries are.
    ///
    /// # Errors
    /// 404 when it is unknown, another workspace's, or too old.
    pub(crate) async fn published(
        &self,
        call: &Call,
        event_id: &str,
    ) -> Result<Published, ApiError> {
        let (group, id) = self.locate_event(call, event_id).await?;
        let query = query_request::Query::GetPublished(GetPublished { event_id: id.to_bytes() });
        match self.query(call, group, query).await? {
            query_response::Outcome::Published(published) => Ok(published),
            _ => Err(ApiError::internal()),
        }
    }

    /// Delivers an event again, to the subscriptions that want it now.
    ///
    /// # Errors
    /// As [`Self::published`].
    pub(crate) async fn replay(
        &self,
        call: &Call,
        event_id: &str,
        body: &[u8],
    ) -> Result<Stored<Value>, ApiError> {
        let claim = Claim::of(call, &format!("POST /v1/webhooks/events/{event_id}/replay"), body)?;
        if let Some(answer) = self.stored_answer(call, claim.as_ref()).await? {
            return Ok(answer);
        }
        let (group, id) = self.locate_event(call, event_id).await?;
        let published = self.published(call, event_id).await?;
        let event = published.event.unwrap_or_default();
        let tables = self.cluster.refresh(call.deadline).await?;
        let replay = ReplayEvent {
            event_id: id.to_bytes(),
            subscription_ids: wanting(
                &tables,
                &event.workspace_id,
                &event.owner_agent,
                &event.event_type,
            ),
            at_ms: 0, // the leader's clock decides
        };
        let request = RedeliverRequest {
            group: group.into(),
            scope: Some(call.caller.scope(call.caller.address())),
            subject: Some(redeliver_request::Subject::Event(replay)),
        };
        let queued = self.cluster.router.redeliver(&request, call.deadline).await??;
        let replayed = Published { event: Some(event), parcels: queued.parcels };
        let answer = json!(replayed_body(&replayed, clock::now_ms())?);
        // The push may be repeated when this is lost; the answer under the key is the first one.
        let decide = |_: &Tables| Ok(Plan::Done(answer.clone()));
        self.transact_once(call, claim, decide, Value::clone).await
    }

    async fn locate_event(
        &self,
        call: &Call,
        event_id: &str,
    ) -> Result<(GroupId, IntentId), ApiError> {
        let id: IntentId = event_id.parse().map_err(|_| ApiError::not_found("event not found"))?;
        Ok((self.group(call, id).await?, id))
    }
}

fn wanting(tables: &Tables, workspace: &str, owner: &str, event_type: &str) -> Vec<String> {
    let subscriptions = tables.webhooks_of(workspace);
    let wanting = subscriptions.iter().filter(|it| it.value.wants(owner, event_type));
    wanting.map(|it| it.value.subscription_id.clone()).collect()
}

/// Deliveries of an event: all, those with an attempt, delivered, pending, given up.
pub(crate) fn counters(published: &Published) -> [usize; 5] {
    let count = |wanted: fn(ParcelState) -> bool| {
        published.parcels.iter().filter(|parcel| wanted(parcel.state())).count()
    };
    [
        published.parcels.len(),
        published.parcels.iter().filter(|parcel| parcel.attempt > 0).count(),
        count(|state| state == ParcelState::Delivered),
        count(|state| matches!(state, ParcelState::Queued | ParcelState::Claimed)),
        count(|state| state == ParcelState::Dead),
    ]
}
