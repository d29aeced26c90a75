//! The key spaces of a shard's state: one tag byte each, big-endian numbers so that order is kept.
//!
//! Part of the on-disk contract: a tag is never reused for something else.

use axp_proto::ids::{GroupId, IntentId};
use axp_proto::log::{MailboxKey, Parcel, RecordHome, ThreadStatus, TimerKind};

/// Mutable part of an intent -> `IntentState`.
pub fn intent(id: IntentId) -> Vec<u8> {
    tagged(b'i', &[id.as_bytes()])
}

/// Immutable part of an intent -> `Submission`.
pub fn submission(id: IntentId) -> Vec<u8> {
    tagged(b's', &[id.as_bytes()])
}

/// All events of an intent, by append.
pub fn events(id: IntentId) -> Vec<u8> {
    tagged(b'e', &[id.as_bytes()])
}

/// The events of one append, under its last seq -> `EventChunk`. Under the last and not the first,
/// so that a scan that starts at `since + 1` meets the chunk which contains it.
pub fn event_chunk(id: IntentId, last_seq: u32) -> Vec<u8> {
    tagged(b'e', &[id.as_bytes(), &last_seq.to_be_bytes()])
}

/// The list of a workspace's intents, newest first -> `IntentSummary`.
pub fn list(workspace_id: &str) -> Vec<u8> {
    tagged(b'l', &[workspace_id.as_bytes(), &[0]])
}

pub fn list_row(workspace_id: &str, id: IntentId) -> Vec<u8> {
    let newest_first = id.as_bytes().map(|byte| !byte);
    tagged(b'l', &[workspace_id.as_bytes(), &[0], &newest_first])
}

/// Open human tasks of a workspace, of the newest intent first -> `OpenTask`.
pub fn open_tasks(workspace_id: &str) -> Vec<u8> {
    tagged(b'b', &[workspace_id.as_bytes(), &[0]])
}

pub fn open_task(workspace_id: &str, id: IntentId) -> Vec<u8> {
    let newest_first = id.as_bytes().map(|byte| !byte);
    tagged(b'b', &[workspace_id.as_bytes(), &[0], &newest_first])
}

/// The intent id at the end of a key of a list or of an open task.
pub fn list_row_id(key: &[u8]) -> Option<IntentId> {
    let inverted = key.last_chunk::<16>()?;
    IntentId::from_slice(&inverted.map(|byte| !byte)).ok()
}

/// In the place of a target group: effects for other intents of the same shard. No effect goes to the
/// control group, whose number this is.
pub const OWN_INTENTS: GroupId = GroupId::CONTROL;

/// Effects for one target group in order -> `Effect`.
pub fn outbox(target: GroupId) -> Vec<u8> {
    tagged(b'o', &[&target.0.to_be_bytes()])
}

pub fn outbox_row(target: GroupId, number: u64) -> Vec<u8> {
    tagged(b'o', &[&target.0.to_be_bytes(), &number.to_be_bytes()])
}

/// Number of the last effect for a target -> u64.
pub fn outbox_last(target: GroupId) -> Vec<u8> {
    tagged(b'n', &[&target.0.to_be_bytes()])
}

/// Number of the last effect that the target has taken -> u64.
pub fn outbox_done(target: GroupId) -> Vec<u8> {
    tagged(b'd', &[&target.0.to_be_bytes()])
}

/// Timers by due time, all of them.
pub const TIMERS: &[u8] = b"t";

/// Where timers begin that are due at this time or later.
pub fn timers_from(due_at_ms: i64) -> Vec<u8> {
    tagged(b't', &[&due_at_ms.to_be_bytes()])
}

pub fn timer(due_at_ms: i64, id: IntentId, kind: TimerKind) -> Vec<u8> {
    let kind = kind as i32;
    tagged(b't', &[&due_at_ms.to_be_bytes(), id.as_bytes(), &kind.to_be_bytes()])
}

/// Due time, intent and kind of a timer key.
pub fn parse_timer(key: &[u8]) -> Option<(i64, IntentId, TimerKind)> {
    let (due, rest) = key.strip_prefix(TIMERS)?.split_first_chunk::<8>()?;
    let (id, kind) = rest.split_first_chunk::<16>()?;
    let kind = TimerKind::try_from(i32::from_be_bytes(kind.try_into().ok()?)).ok()?;
    Some((i64::from_be_bytes(*due), IntentId::from_slice(id).ok()?, kind))
}

/// Idempotency keys -> `IdempotencyRecord`.
pub fn idempotency(key_hash: &[u8]) -> Vec<u8> {
    tagged(b'k', &[key_hash])
}

/// Idempotency keys by the time they may be forgotten.
pub const FORGETTING: &[u8] = b"x";

pub fn forgetting(forget_at_ms: i64, key_hash: &[u8]) -> Vec<u8> {
    tagged(b'x', &[&forget_at_ms.to_be_bytes(), key_hash])
}

/// Time and key hash of a forgetting key.
pub fn parse_forgetting(key: &[u8]) -> Option<(i64, &[u8])> {
    let (at, hash) = key.strip_prefix(FORGETTING)?.split_first_chunk::<8>()?;
    Some((i64::from_be_bytes(*at), hash))
}

/// Deliveries of a mailbox by cursor -> `Delivery`.
pub fn mailbox(key: &MailboxKey) -> Vec<u8> {
    mailbox_key(b'm', key, &[])
}

pub fn mailbox_row(key: &MailboxKey, cursor: u32) -> Vec<u8> {
    mailbox_key(b'm', key, &cursor.to_be_bytes())
}

/// The cursor at the end of a mailbox key.
pub fn mailbox_row_cursor(key: &[u8]) -> Option<u32> {
    key.last_chunk::<4>().map(|cursor| u32::from_be_bytes(*cursor))
}

/// Last cursor that a mailbox gave out -> u32.
pub fn mailbox_head(key: &MailboxKey) -> Vec<u8> {
    mailbox_key(b'h', key, &[])
}

/// Where an intent lies in a mailbox -> u32.
pub fn mailbox_place(key: &MailboxKey, intent_id: &[u8]) -> Vec<u8> {
    mailbox_key(b'p', key, intent_id)
}

/// Last effect that was taken from a source group -> u64.
pub fn taken(source: GroupId) -> Vec<u8> {
    tagged(b'w', &[&source.0.to_be_bytes()])
}

/// Steps of this shard's mailboxes -> u64.
pub const MAILBOX_STEP: &[u8] = b"q";

/// What is to be pushed: the delivery of an intent, or of an event to a subscription -> `Parcel`.
pub fn parcel(parcel: &Parcel) -> Vec<u8> {
    if let Some(mail) = &parcel.mail {
        return tagged(b'g', &[b"m", &parcel.intent_id, mail.recipient.as_bytes()]);
    }
    if parcel.event_id.is_empty() {
        return intent_parcel(&parcel.intent_id);
    }
    event_parcel(&parcel.event_id, &parcel.subscription_id)
}

pub fn intent_parcel(intent_id: &[u8]) -> Vec<u8> {
    tagged(b'g', &[b"i", intent_id])
}

pub fn event_parcel(event_id: &[u8], subscription_id: &str) -> Vec<u8> {
    tagged(b'g', &[b"e", event_id, subscription_id.as_bytes()])
}

/// All parcels of an event.
pub fn event_parcels(event_id: &[u8]) -> Vec<u8> {
    tagged(b'g', &[b"e", event_id])
}

/// Who a parcel is for, as the order of its parcels knows it. Two receivers never share a name, and
/// no name has a zero byte.
pub fn receiver(parcel: &Parcel) -> String {
    if let Some(mail) = &parcel.mail {
        return format!("m/{}", mail.recipient);
    }
    if parcel.event_id.is_empty() {
        return format!("a/{}/{}", parcel.workspace_id, parcel.address);
    }
    format!("s/{}", parcel.subscription_id)
}

/// Parcels that wait, by receiver and due time -> key of the parcel.
pub const PARCELS_DUE: &[u8] = b"j";

pub fn parcels_due(receiver: &str) -> Vec<u8> {
    tagged(b'j', &[receiver.as_bytes(), &[0]])
}

pub fn parcels_due_from(receiver: &str, due_at_ms: i64) -> Vec<u8> {
    tagged(b'j', &[receiver.as_bytes(), &[0], &due_at_ms.to_be_bytes()])
}

/// Behind all parcels of a receiver.
pub fn parcels_due_behind(receiver: &str) -> Vec<u8> {
    tagged(b'j', &[receiver.as_bytes(), &[1]])
}

pub fn parcel_due(parcel: &Parcel) -> Vec<u8> {
    let (receiver, key) = (receiver(parcel), self::parcel(parcel));
    tagged(b'j', &[receiver.as_bytes(), &[0], &parcel.due_at_ms.to_be_bytes(), &key])
}

/// Receiver and due time of a due key.
pub fn parse_parcel_due(key: &[u8]) -> Option<(&str, i64)> {
    let rest = key.strip_prefix(PARCELS_DUE)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let due = rest[end + 1..].first_chunk::<8>()?;
    Some((std::str::from_utf8(&rest[..end]).ok()?, i64::from_be_bytes(*due)))
}

/// A published event -> `PublishEvent`.
pub fn published(event_id: &[u8]) -> Vec<u8> {
    tagged(b'u', &[b"e", event_id])
}

/// The event of a key that `published` made.
pub fn published_id(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(b"ue")
}

/// Parcels of a workspace that were given up, newest first -> key of the parcel.
pub fn dead_parcels(workspace_id: &str) -> Vec<u8> {
    tagged(b'u', &[b"d", workspace_id.as_bytes(), &[0]])
}

pub fn dead_parcel(parcel: &Parcel) -> Vec<u8> {
    let newest_first = (!parcel.changed_at_ms).to_be_bytes();
    let key = self::parcel(parcel);
    tagged(b'u', &[b"d", parcel.workspace_id.as_bytes(), &[0], &newest_first, &key])
}

/// What of the push queue may be forgotten, by time: events and parcels -> key of the row.
pub const PUSH_FORGETTING: &[u8] = b"ux";

pub fn push_forgetting(forget_at_ms: i64, key: &[u8]) -> Vec<u8> {
    tagged(b'u', &[b"x", &forget_at_ms.to_be_bytes(), key])
}

/// Time of a forgetting key of the push queue.
pub fn parse_push_forgetting(key: &[u8]) -> Option<i64> {
    let at = key.strip_prefix(PUSH_FORGETTING)?.first_chunk::<8>()?;
    Some(i64::from_be_bytes(*at))
}

/// How many parcels wait, and how many were given up -> u64.
pub const PARCELS_WAITING: &[u8] = b"uw";
pub const PARCELS_DEAD: &[u8] = b"un";

/// Records of a table by id -> `Record`.
pub fn record(home: &RecordHome, table: &str, id: &str) -> Vec<u8> {
    let (workspace, name) = (home.workspace_id.as_bytes(), home.name.as_bytes());
    tagged(b'y', &[workspace, &[0], name, &[0], table.as_bytes(), &[0], id.as_bytes()])
}

/// Home, table and id of a record's key.
pub fn parse_record(key: &[u8]) -> Option<(RecordHome, String, String)> {
    let mut parts = key.strip_prefix(b"y")?.splitn(4, |byte| *byte == 0);
    let mut part = || String::from_utf8(parts.next()?.to_vec()).ok();
    let home = RecordHome { workspace_id: part()?, name: part()? };
    Some((home, part()?, part()?))
}

/// Number of the last append of records that was accepted -> u64. No record has such a short key.
pub const RECORD_REVISION: &[u8] = b"y";

/// Records by the time at which they expire.
pub const EXPIRING: &[u8] = b"z";

pub fn expiring(expire_at_ms: i64, record_key: &[u8]) -> Vec<u8> {
    tagged(b'z', &[&expire_at_ms.to_be_bytes(), record_key])
}

/// Time and record key of an expiring key.
pub fn parse_expiring(key: &[u8]) -> Option<(i64, &[u8])> {
    let (at, record_key) = key.strip_prefix(EXPIRING)?.split_first_chunk::<8>()?;
    Some((i64::from_be_bytes(*at), record_key))
}

/// A thread of an inbox -> `Thread`.
pub fn thread(key: &MailboxKey, thread_id: &[u8]) -> Vec<u8> {
    mailbox_key(b'v', key, thread_id)
}

/// Exists once the inbox has had a thread that is stored: who has none is not searched.
pub fn inbox_used(key: &MailboxKey) -> Vec<u8> {
    thread(key, &[])
}

/// Threads of an inbox in one status, in the order of their last change -> thread id.
pub fn thread_order(key: &MailboxKey, status: ThreadStatus) -> Vec<u8> {
    mailbox_key(b'c', key, &[status as u8])
}

pub fn thread_order_row(key: &MailboxKey, status: ThreadStatus, number: u32) -> Vec<u8> {
    let [a, b, c, d] = number.to_be_bytes();
    mailbox_key(b'c', key, &[status as u8, a, b, c, d])
}

/// A message of a thread -> `InboxMessage`.
pub fn thread_message(key: &MailboxKey, thread_id: &[u8], message_id: &[u8]) -> Vec<u8> {
    let mut row = mailbox_key(b'f', key, thread_id);
    row.extend_from_slice(message_id);
    row
}

/// An approval at its place -> `Approval`.
pub fn approval(place: &MailboxKey) -> Vec<u8> {
    mailbox_key(b'r', place, &[])
}

fn mailbox_key(tag: u8, key: &MailboxKey, rest: &[u8]) -> Vec<u8> {
    tagged(tag, &[key.workspace_id.as_bytes(), &[0], key.address.as_bytes(), &[0], rest])
}

fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(tag);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

#[cfg(test)]
mod tests {
    use axp_proto::ids::Slot;

    use super::*;

    fn id(ms: u64) -> IntentId {
        IntentId::new(ms, Slot::new(1).unwrap(), 5)
    }

    #[test]
    fn lists_run_from_new_to_old() {
        let (old, new) = (list_row("w", id(1)), list_row("w", id(2)));
        assert!(new < old);
        assert_eq!(list_row_id(&new), Some(id(2)));
        assert!(!list_row("ws", id(1)).starts_with(&list("w")));
    }

    #[test]
    fn a_record_is_found_by_its_key() {
        let home = RecordHome { workspace_id: String::new(), name: "user/1".to_owned() };
        let key = record(&home, "user", "a/b");
        assert_eq!(parse_record(&key), Some((home, "user".to_owned(), "a/b".to_owned())));
        assert_eq!(parse_expiring(&expiring(5, &key)), Some((5, &key[..])));
        assert_eq!(parse_record(RECORD_REVISION), None);
    }

    #[test]
    fn timers_run_by_due_time() {
        let key = timer(7, id(3), TimerKind::Deadline);
        assert_eq!(parse_timer(&key), Some((7, id(3), TimerKind::Deadline)));
        assert!(timer(6, id(9), TimerKind::Deadline) < key);
        assert_eq!(parse_forgetting(&forgetting(5, b"hash")), Some((5, &b"hash"[..])));
    }

    #[test]
    fn parcels_run_by_receiver_and_due_time() {
        let parcel = |subscription: &str, due_at_ms| Parcel {
            event_id: id(1).to_bytes(),
            subscription_id: subscription.to_owned(),
            due_at_ms,
            ..Parcel::default()
        };
        let key = parcel_due(&parcel("s1", 7));
        assert_eq!(parse_parcel_due(&key), Some(("s/s1", 7)));
        assert!(key >= parcels_due_from("s/s1", 7) && key < parcel_due(&parcel("s1", 8)));
        assert!(key < parcels_due_behind("s/s1"));
        assert!(parcels_due_behind("s/s1") < parcel_due(&parcel("s10", 0)));
    }

    #[test]
    fn dead_parcels_run_from_new_to_old() {
        let parcel = |changed_at_ms| Parcel {
            intent_id: id(1).to_bytes(),
            workspace_id: "w".to_owned(),
            changed_at_ms,
            ..Parcel::default()
        };
        assert!(dead_parcel(&parcel(9)) < dead_parcel(&parcel(8)));
        assert!(dead_parcel(&parcel(9)).starts_with(&dead_parcels("w")));
        assert_eq!(parse_push_forgetting(&push_forgetting(5, b"row")), Some(5));
    }
}
