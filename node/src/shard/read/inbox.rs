//! Reads of inboxes. A thread is stored, or it is seen in the delivery that lies in the mailbox and
//! nothing else is kept of it (ADR 0009); readers cannot tell which.

use axp_proto::log::{Approval, Delivery, InboxMessage, MailboxKey, Thread, ThreadStatus};
use axp_proto::node::{ThreadList, ThreadView};
use axp_raft_store::Error;
use bytes::Bytes;
use prost::Message;

use super::ShardReader;
use crate::inbox::{create, origin_of};
use crate::shard::keys;
use crate::shard::tables::{Rows, decode};

/// Bytes of threads or messages in one answer, give or take one of them.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Deliveries that one list looks at: an agent may have many more waiting than anybody reads.
const DELIVERIES_MAX: usize = 50_000;
const STATUSES: [ThreadStatus; 3] =
    [ThreadStatus::Pending, ThreadStatus::Active, ThreadStatus::Done];

/// Where a thread stands in the order of its mailbox.
struct Found {
    number: u32,
    thread_id: Bytes,
    /// Of a thread that is not stored.
    delivery: Option<Delivery>,
}

impl ShardReader {
    /// A thread as it stands.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn thread(&self, mailbox: &MailboxKey, thread_id: &[u8]) -> Result<Option<Thread>, Error> {
        if let Some(thread) = self.stored_thread(mailbox, thread_id)? {
            return Ok(Some(thread));
        }
        let place = self.mailbox_place(mailbox, thread_id)?;
        let delivery: Option<Delivery> = self.0.message(&keys::mailbox_row(mailbox, place))?;
        Ok(delivery.map(|delivery| seen(mailbox, thread_id, &delivery, place)))
    }

    /// A thread, if more is kept of it than the delivery.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn stored_thread(
        &self,
        mailbox: &MailboxKey,
        thread_id: &[u8],
    ) -> Result<Option<Thread>, Error> {
        self.0.message(&keys::thread(mailbox, thread_id))
    }

    /// A thread with its newest messages, as far as they fit into one answer.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn thread_view(
        &self,
        mailbox: &MailboxKey,
        thread_id: &[u8],
    ) -> Result<Option<ThreadView>, Error> {
        let Some(thread) = self.thread(mailbox, thread_id)? else { return Ok(None) };
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for id in thread.message_ids.iter().rev() {
            let key = keys::thread_message(mailbox, thread_id, id);
            let message: Option<InboxMessage> = self.0.message(&key)?;
            bytes += message.as_ref().map_or(0, |message| message.content.len());
            messages.extend(message);
            if bytes > ANSWER_BYTES_MAX {
                break;
            }
        }
        messages.reverse();
        let thread_id = Bytes::copy_from_slice(thread_id);
        Ok(Some(ThreadView { thread_id, thread: Some(thread), messages }))
    }

    /// Whether any thread of this inbox is stored.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn inbox_is_used(&self, mailbox: &MailboxKey) -> Result<bool, Error> {
        Ok(self.0.number(&keys::inbox_used(mailbox))? != 0)
    }

    /// Threads, in one status or in any, the one that changed last first.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn threads(
        &self,
        mailbox: &MailboxKey,
        status: ThreadStatus,
        limit: usize,
    ) -> Result<ThreadList, Error> {
        let mut found = Vec::new();
        for each in STATUSES {
            let wanted = status == ThreadStatus::Unspecified || status == each;
            if wanted && self.inbox_is_used(mailbox)? {
                let mut left = limit + 1;
                self.scan_back(&keys::thread_order(mailbox, each), |key, value| {
                    found.push(stored(key, value));
                    left -= 1;
                    Ok(left > 0)
                })?;
            }
        }
        if matches!(status, ThreadStatus::Unspecified | ThreadStatus::Pending) {
            let (mut left, mut looked) = (limit + 1, 0);
            self.scan_back(&keys::mailbox(mailbox), |key, value| {
                looked += 1;
                if let Some(delivered) = self.delivered(mailbox, key, value)? {
                    found.push(delivered);
                    left -= 1;
                }
                Ok(left > 0 && looked < DELIVERIES_MAX)
            })?;
        }
        found.sort_unstable_by_key(|found| std::cmp::Reverse(found.number));
        self.fill(mailbox, found, limit)
    }

    /// Threads that changed after `since`, the one that changed first first.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn thread_changes(
        &self,
        mailbox: &MailboxKey,
        since: u32,
        limit: usize,
    ) -> Result<ThreadList, Error> {
        let (mut found, next) = (Vec::new(), since.saturating_add(1));
        for status in STATUSES {
            if self.inbox_is_used(mailbox)? {
                let mut left = limit + 1;
                let from = keys::thread_order_row(mailbox, status, next);
                self.scan(&keys::thread_order(mailbox, status), &from, |key, value| {
                    found.push(stored(key, value));
                    left -= 1;
                    Ok(left > 0)
                })?;
            }
        }
        let mut left = limit + 1;
        self.scan(&keys::mailbox(mailbox), &keys::mailbox_row(mailbox, next), |key, value| {
            if let Some(delivered) = self.delivered(mailbox, key, value)? {
                found.push(delivered);
                left -= 1;
            }
            Ok(left > 0)
        })?;
        found.sort_unstable_by_key(|found| found.number);
        self.fill(mailbox, found, limit)
    }

    /// A decided approval.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn approval(&self, place: &MailboxKey) -> Result<Option<Approval>, Error> {
        self.0.message(&keys::approval(place))
    }

    /// The thread of a delivery, unless it is stored, where it has another place.
    fn delivered(
        &self,
        mailbox: &MailboxKey,
        key: &[u8],
        value: &[u8],
    ) -> Result<Option<Found>, Error> {
        let delivery: Delivery = decode(Bytes::copy_from_slice(value))?;
        let thread = keys::thread(mailbox, &delivery.intent_id);
        if self.0.get(&thread)?.is_some() {
            return Ok(None);
        }
        let number = keys::mailbox_row_cursor(key).unwrap_or_default();
        let thread_id = delivery.intent_id.clone();
        Ok(Some(Found { number, thread_id, delivery: Some(delivery) }))
    }

    /// Reads what was found, as far as it fits into one answer.
    fn fill(
        &self,
        mailbox: &MailboxKey,
        found: Vec<Found>,
        limit: usize,
    ) -> Result<ThreadList, Error> {
        let (mut list, mut bytes) = (ThreadList::default(), 0);
        for found in found {
            if list.threads.len() >= limit || bytes > ANSWER_BYTES_MAX {
                list.has_more = true;
                break;
            }
            let thread = match &found.delivery {
                Some(delivery) => seen(mailbox, &found.thread_id, delivery, found.number),
                // With sled a scan is no view of one moment: it may have changed since.
                None => match self.0.message(&keys::thread(mailbox, &found.thread_id))? {
                    Some(thread) => thread,
                    None => continue,
                },
            };
            bytes += thread.encoded_len();
            let thread_id = found.thread_id;
            list.threads.push(ThreadView { thread_id, thread: Some(thread), messages: Vec::new() });
        }
        Ok(list)
    }
}

/// The thread that a delivery shows.
fn seen(mailbox: &MailboxKey, thread_id: &[u8], delivery: &Delivery, number: u32) -> Thread {
    create(thread_id, mailbox, origin_of(mailbox, delivery), number)
}

fn stored(key: &[u8], value: &[u8]) -> Found {
    let number = keys::mailbox_row_cursor(key).unwrap_or_default();
    Found { number, thread_id: Bytes::copy_from_slice(value), delivery: None }
}
