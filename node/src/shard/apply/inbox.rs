//! Folding what happened to a thread, with its place in the order and its messages.

use axp_proto::log::{Delivery, IdempotencyRecord, InboxClaim, MailboxKey, Thread, ThreadChange};
use axp_raft_store::{Error, Transaction};
use bytes::Bytes;

use crate::inbox::{MessageChange, create, fold, origin_of};
use crate::shard::keys;
use crate::shard::tables::{Rows, put, put_number};

pub(super) fn change(
    tx: &mut Transaction<'_>,
    mailbox: &MailboxKey,
    change: &ThreadChange,
) -> Result<(), Error> {
    let key = keys::thread(mailbox, &change.thread_id);
    let mut thread = match tx.message::<Thread>(&key)? {
        Some(thread) => {
            tx.delete(keys::thread_order_row(mailbox, thread.status(), thread.number));
            thread
        }
        None => begin(tx, mailbox, change)?,
    };
    for event in &change.events {
        for message in fold(&mut thread, event) {
            store(tx, mailbox, &change.thread_id, message);
        }
    }
    thread.number = change.number;
    let order = keys::thread_order_row(mailbox, thread.status(), thread.number);
    tx.put(order, change.thread_id.clone());
    put(tx, key, &thread);
    raise_head(tx, mailbox, change.number)
}

/// A thread that is not stored yet: a new one, or that of a delivery.
fn begin(
    tx: &mut Transaction<'_>,
    mailbox: &MailboxKey,
    change: &ThreadChange,
) -> Result<Thread, Error> {
    let origin = match &change.origin {
        Some(origin) => origin.clone(),
        None => {
            let cursor = tx.number(&keys::mailbox_place(mailbox, &change.thread_id))?;
            let cursor = u32::try_from(cursor).map_err(Error::applier)?;
            let delivery: Delivery = tx
                .message(&keys::mailbox_row(mailbox, cursor))?
                .ok_or_else(|| Error::applier("a change of a thread that is not there"))?;
            origin_of(mailbox, &delivery)
        }
    };
    put_number(tx, keys::inbox_used(mailbox), 1);
    Ok(create(&change.thread_id, mailbox, origin, change.number))
}

fn store(tx: &mut Transaction<'_>, mailbox: &MailboxKey, thread_id: &[u8], change: MessageChange) {
    match change {
        MessageChange::Put(message) => {
            put(tx, keys::thread_message(mailbox, thread_id, &message.message_id), &message);
        }
        MessageChange::Delete(id) => tx.delete(keys::thread_message(mailbox, thread_id, &id)),
    }
}

/// Numbers and cursors are one sequence: none is given twice.
pub(super) fn raise_head(
    tx: &mut Transaction<'_>,
    mailbox: &MailboxKey,
    number: u32,
) -> Result<(), Error> {
    let head = keys::mailbox_head(mailbox);
    if tx.number(&head)? < u64::from(number) {
        put_number(tx, head, u64::from(number));
    }
    Ok(())
}

/// Remembers who used an idempotency key. Keys of inbox actions are claimed in steps only, so the
/// step before this one was the last that could have claimed one of them.
pub(super) fn claim(tx: &mut Transaction<'_>, claims: &[InboxClaim]) -> Result<(), Error> {
    for inbox in claims {
        let claim = inbox.claim.as_ref().ok_or_else(|| Error::applier("a claim of no key"))?;
        let record = IdempotencyRecord {
            fingerprint: claim.fingerprint.clone(),
            intent_id: inbox.thread_id.clone(),
            at_ms: inbox.at_ms,
            forget_at_ms: claim.forget_at_ms,
            ..IdempotencyRecord::default()
        };
        put(tx, keys::idempotency(&claim.key_hash), &record);
        tx.put(keys::forgetting(claim.forget_at_ms, &claim.key_hash), Bytes::new());
    }
    Ok(())
}
