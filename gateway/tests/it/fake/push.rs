//! Events and pushes, faked: stored and counted, never delivered.

use axp_proto::ids::IntentId;
use axp_proto::log::{Parcel, ParcelState, PublishEvent};
use axp_proto::node::redeliver_request::Subject;
use axp_proto::node::{ParcelList, PublishRequest, Published, RedeliverRequest, Rejection};
use axp_proto::shard_map::group_of;

use super::SHARD_GROUPS;
use super::model::{NOW_MS, State};
use super::shard::{reject, visible};

pub(super) fn publish(state: &mut State, request: PublishRequest) -> Published {
    let event = request.event.unwrap();
    let id = IntentId::from_slice(&event.event_id).unwrap();
    assert_eq!(request.group, u32::from(group_of(id.slot(), SHARD_GROUPS)), "wrong group");
    let (event, parcels) = state.published.entry(id).or_insert_with(|| {
        let event = PublishEvent { at_ms: NOW_MS, ..event };
        let parcels = event.subscription_ids.iter().map(|to| parcel(&event, to));
        (event.clone(), parcels.collect())
    });
    Published { event: Some(event.clone()), parcels: parcels.clone() }
}

fn parcel(event: &PublishEvent, subscription_id: &str) -> Parcel {
    Parcel {
        event_id: event.event_id.clone(),
        subscription_id: subscription_id.to_owned(),
        workspace_id: event.workspace_id.clone(),
        state: ParcelState::Queued.into(),
        changed_at_ms: NOW_MS,
        ..Parcel::default()
    }
}

pub(super) fn published(
    state: &State,
    workspace: &str,
    event_id: &[u8],
) -> Result<Published, Rejection> {
    let found = IntentId::from_slice(event_id).ok().and_then(|id| state.published.get(&id));
    let found = found.filter(|(event, _)| event.workspace_id == workspace);
    let (event, parcels) = found.ok_or_else(|| reject("not_found", "event not found"))?;
    Ok(Published { event: Some(event.clone()), parcels: parcels.clone() })
}

pub(super) fn redeliver(
    state: &mut State,
    request: &RedeliverRequest,
) -> Result<Vec<Parcel>, Rejection> {
    let scope = request.scope.as_ref();
    match request.subject.as_ref().unwrap() {
        Subject::IntentId(id) => {
            let (id, _) = visible(state, id, scope)?;
            state.redelivered.push(id);
            Ok(vec![Parcel { intent_id: id.to_bytes(), attempt: 3, ..Parcel::default() }])
        }
        Subject::Event(replay) => {
            published(state, &scope.unwrap().workspace_id, &replay.event_id)?;
            let id = IntentId::from_slice(&replay.event_id).unwrap();
            let (event, parcels) = state.published.get_mut(&id).unwrap();
            *parcels = replay.subscription_ids.iter().map(|to| parcel(event, to)).collect();
            Ok(parcels.clone())
        }
    }
}

/// What tests have marked as dead.
pub(super) fn dead_letters(state: &State, workspace: &str, group: u32) -> ParcelList {
    let here = state.published.iter();
    let here = here.filter(|(id, _)| u32::from(group_of(id.slot(), SHARD_GROUPS)) == group);
    let parcels = here.flat_map(|(_, (_, parcels))| parcels.iter());
    let dead = parcels.filter(|it| it.state() == ParcelState::Dead && it.workspace_id == workspace);
    ParcelList { parcels: dead.cloned().collect() }
}
