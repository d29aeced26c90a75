//! Folding what changes the push queue: parcels, the rows they are found by, and published events.

use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::push_append::Kind;
use axp_proto::log::{
    Effect, Parcel, ParcelChange, ParcelState, PublishEvent, PushAppend, QueueMail, QueuePush,
    ReplayEvent,
};
use axp_raft_store::{Error, Outcome, Transaction};

use super::ShardApplier;
use crate::shard::keys;
use crate::shard::tables::{Rows, put, put_number};

impl ShardApplier {
    pub(super) fn push(
        &self,
        tx: &mut Transaction<'_>,
        append: &PushAppend,
    ) -> Result<Outcome, Error> {
        match &append.kind {
            Some(Kind::Parcel(change)) => self.change_parcel(tx, change),
            Some(Kind::Publish(event)) => self.publish(tx, event),
            Some(Kind::Queue(queue)) => self.queue_push(tx, queue).map(accepted),
            Some(Kind::Replay(replay)) => self.replay(tx, replay),
            Some(Kind::ForgetEvent(event_id)) => self.forget_event(tx, event_id),
            None => Err(Error::applier("a push append of an unknown kind")),
        }
    }

    /// Whether the effect was one of the push queue, and is done with.
    pub(super) fn put_push_effect(
        &self,
        tx: &mut Transaction<'_>,
        effect: &Effect,
    ) -> Result<bool, Error> {
        match &effect.kind {
            Some(EffectKind::PublishEvent(event)) => self.publish(tx, event).map(|_| true),
            Some(EffectKind::QueuePush(queue)) => self.queue_push(tx, queue).map(|_| true),
            Some(EffectKind::WithdrawPush(withdraw)) => {
                let key = keys::intent_parcel(&withdraw.intent_id);
                let before = tx.message(&key)?;
                self.replace(tx, before.as_ref(), None)?;
                Ok(true)
            }
            Some(EffectKind::QueueMail(queue)) => self.queue_mail(tx, queue).map(|_| true),
            _ => Ok(false),
        }
    }

    fn change_parcel(
        &self,
        tx: &mut Transaction<'_>,
        change: &ParcelChange,
    ) -> Result<Outcome, Error> {
        let after =
            change.parcel.as_ref().ok_or_else(|| Error::applier("a change of no parcel"))?;
        let before: Option<Parcel> = tx.message(&keys::parcel(after))?;
        let version = before.as_ref().map_or(0, |parcel| parcel.version);
        if version != change.expected_version {
            return Ok(Outcome::Stale { position: version.into() });
        }
        if change.removed {
            self.replace(tx, before.as_ref(), None)?;
            return Ok(Outcome::Accepted { position: 0 });
        }
        let after = Parcel { version: version + 1, ..after.clone() };
        self.replace(tx, before.as_ref(), Some(&after))?;
        Ok(Outcome::Accepted { position: after.version.into() })
    }

    fn publish(&self, tx: &mut Transaction<'_>, event: &PublishEvent) -> Result<Outcome, Error> {
        let key = keys::published(&event.event_id);
        if tx.get(&key)?.is_some() {
            return Ok(Outcome::Stale { position: 0 });
        }
        tx.put(keys::push_forgetting(event.forget_at_ms, &key), key.clone());
        put(tx, key, event);
        for subscription_id in &event.subscription_ids {
            self.queue(tx, event_parcel(event, subscription_id, event.at_ms))?;
        }
        Ok(Outcome::Accepted { position: 0 })
    }

    fn queue_push(&self, tx: &mut Transaction<'_>, queue: &QueuePush) -> Result<u32, Error> {
        let parcel = Parcel {
            intent_id: queue.intent_id.clone(),
            workspace_id: queue.workspace_id.clone(),
            address: queue.address.clone(),
            due_at_ms: queue.at_ms,
            queued_at_ms: queue.at_ms,
            changed_at_ms: queue.at_ms,
            again: queue.again,
            ..Parcel::default()
        };
        self.queue(tx, parcel)
    }

    fn queue_mail(&self, tx: &mut Transaction<'_>, queue: &QueueMail) -> Result<u32, Error> {
        let parcel = Parcel {
            intent_id: queue.intent_id.clone(),
            workspace_id: queue.workspace_id.clone(),
            mail: queue.mail.clone(),
            due_at_ms: queue.at_ms,
            queued_at_ms: queue.at_ms,
            changed_at_ms: queue.at_ms,
            ..Parcel::default()
        };
        self.queue(tx, parcel)
    }

    fn replay(&self, tx: &mut Transaction<'_>, replay: &ReplayEvent) -> Result<Outcome, Error> {
        let key = keys::published(&replay.event_id);
        let Some(mut event) = tx.message::<PublishEvent>(&key)? else {
            return Ok(Outcome::Stale { position: 0 });
        };
        for subscription_id in &replay.subscription_ids {
            self.queue(tx, event_parcel(&event, subscription_id, replay.at_ms))?;
            if !event.subscription_ids.contains(subscription_id) {
                event.subscription_ids.push(subscription_id.clone());
            }
        }
        put(tx, key, &event);
        Ok(Outcome::Accepted { position: 0 })
    }

    fn forget_event(&self, tx: &mut Transaction<'_>, event_id: &[u8]) -> Result<Outcome, Error> {
        let key = keys::published(event_id);
        let Some(event) = tx.message::<PublishEvent>(&key)? else {
            return Ok(Outcome::Stale { position: 0 });
        };
        for subscription_id in &event.subscription_ids {
            let parcel = tx.message(&keys::event_parcel(event_id, subscription_id))?;
            self.replace(tx, parcel.as_ref(), None)?;
        }
        tx.delete(keys::push_forgetting(event.forget_at_ms, &key));
        tx.delete(key);
        Ok(Outcome::Accepted { position: 0 })
    }

    /// A parcel that starts from the beginning. Attempts go on being counted where it was before,
    /// so that a receiver never meets a number twice.
    fn queue(&self, tx: &mut Transaction<'_>, parcel: Parcel) -> Result<u32, Error> {
        let before: Option<Parcel> = tx.message(&keys::parcel(&parcel))?;
        let (version, attempt) =
            before.as_ref().map_or((0, 0), |before| (before.version, before.attempt));
        let state = ParcelState::Queued.into();
        let parcel = Parcel { version: version + 1, attempt, state, ..parcel };
        self.replace(tx, before.as_ref(), Some(&parcel))?;
        Ok(parcel.version)
    }

    /// Puts one state of a parcel in the place of another, with all rows that it is found by.
    fn replace(
        &self,
        tx: &mut Transaction<'_>,
        before: Option<&Parcel>,
        after: Option<&Parcel>,
    ) -> Result<(), Error> {
        if let Some(parcel) = before {
            tx.delete(keys::parcel(parcel));
            found_by(parcel).into_iter().for_each(|row| tx.delete(row));
        }
        if let Some(parcel) = after {
            let key = keys::parcel(parcel);
            put(tx, key.clone(), parcel);
            found_by(parcel).into_iter().for_each(|row| tx.put(row, key.clone()));
        }
        let moves = |counted: fn(&Parcel) -> bool| {
            let (before, after) = (before.is_some_and(counted), after.is_some_and(counted));
            i64::from(after) - i64::from(before)
        };
        add(tx, keys::PARCELS_WAITING, moves(waits))?;
        add(tx, keys::PARCELS_DEAD, moves(is_dead))?;
        if let Some(parcel) = after.filter(|parcel| waits(parcel)) {
            let due = (keys::receiver(parcel), parcel.due_at_ms);
            self.touch(|touched| touched.parcels.push(due));
        }
        Ok(())
    }
}

fn event_parcel(event: &PublishEvent, subscription_id: &str, at_ms: i64) -> Parcel {
    Parcel {
        event_id: event.event_id.clone(),
        subscription_id: subscription_id.to_owned(),
        workspace_id: event.workspace_id.clone(),
        due_at_ms: at_ms,
        queued_at_ms: at_ms,
        changed_at_ms: at_ms,
        ..Parcel::default()
    }
}

/// Rows that lead to a parcel.
fn found_by(parcel: &Parcel) -> Vec<Vec<u8>> {
    let mut rows = Vec::new();
    if waits(parcel) {
        rows.push(keys::parcel_due(parcel));
    }
    if is_dead(parcel) {
        rows.push(keys::dead_parcel(parcel));
    }
    if parcel.forget_at_ms != 0 {
        rows.push(keys::push_forgetting(parcel.forget_at_ms, &keys::parcel(parcel)));
    }
    rows
}

fn waits(parcel: &Parcel) -> bool {
    matches!(parcel.state(), ParcelState::Queued | ParcelState::Claimed)
}

fn is_dead(parcel: &Parcel) -> bool {
    parcel.state() == ParcelState::Dead
}

fn add(tx: &mut Transaction<'_>, key: &[u8], change: i64) -> Result<(), Error> {
    if change != 0 {
        let number = tx.number(key)?.saturating_add_signed(change);
        put_number(tx, key.to_vec(), number);
    }
    Ok(())
}

fn accepted(version: u32) -> Outcome {
    Outcome::Accepted { position: version.into() }
}
