//! Folding one step of the shard's mailboxes: what other groups deposited or withdrew.

use axp_proto::ids::GroupId;
use axp_proto::log::mailbox_change::Kind;
use axp_proto::log::{MailboxAppend, MailboxChange, MailboxEntry, MailboxKey, SourceBatch};
use axp_raft_store::{Error, Outcome, Transaction};

use super::{ShardApplier, inbox};
use crate::shard::bells::Topic;
use crate::shard::keys;
use crate::shard::tables::{Rows, put, put_number};

impl ShardApplier {
    pub(super) fn mailbox(
        &self,
        tx: &mut Transaction<'_>,
        append: &MailboxAppend,
    ) -> Result<Outcome, Error> {
        let step = tx.number(keys::MAILBOX_STEP)?;
        if append.expected_step != step || !continues(tx, &append.sources)? {
            return Ok(Outcome::Stale { position: step });
        }
        for source in &append.sources {
            for change in &source.changes {
                self.change_mailbox(tx, change)?;
            }
            let group = GroupId::try_from(source.source_group).map_err(Error::applier)?;
            put_number(tx, keys::taken(group), source.last_effect);
        }
        for change in &append.changes {
            self.change_mailbox(tx, change)?;
        }
        inbox::claim(tx, &append.claims)?;
        self.put_effects(tx, &append.effects)?;
        put_number(tx, keys::MAILBOX_STEP.to_vec(), step + 1);
        Ok(Outcome::Accepted { position: step + 1 })
    }

    fn change_mailbox(
        &self,
        tx: &mut Transaction<'_>,
        change: &MailboxChange,
    ) -> Result<(), Error> {
        let mailbox =
            change.mailbox.as_ref().ok_or_else(|| Error::applier("a change of no mailbox"))?;
        match &change.kind {
            Some(Kind::Deposit(entry)) => {
                deposit(tx, mailbox, entry)?;
                self.touch(|touched| touched.topics.push(Topic::Mailbox(mailbox.clone())));
            }
            Some(Kind::Withdraw(intent_id)) => withdraw(tx, mailbox, intent_id)?,
            Some(Kind::Thread(change)) => {
                inbox::change(tx, mailbox, change)?;
                self.touch(|touched| touched.topics.push(Topic::Inbox(mailbox.clone())));
            }
            Some(Kind::Approval(approval)) => put(tx, keys::approval(mailbox), approval),
            None => return Err(Error::applier("a mailbox change of an unknown kind")),
        }
        Ok(())
    }
}

/// Whether each source goes on where it was left.
fn continues(tx: &Transaction<'_>, sources: &[SourceBatch]) -> Result<bool, Error> {
    for source in sources {
        let group = GroupId::try_from(source.source_group).map_err(Error::applier)?;
        if tx.number(&keys::taken(group))? != source.after_effect {
            return Ok(false);
        }
    }
    Ok(true)
}

fn deposit(
    tx: &mut Transaction<'_>,
    mailbox: &MailboxKey,
    entry: &MailboxEntry,
) -> Result<(), Error> {
    let delivery = entry.delivery.as_ref().ok_or_else(|| Error::applier("a deposit of nothing"))?;
    put(tx, keys::mailbox_row(mailbox, entry.cursor), delivery);
    let place = keys::mailbox_place(mailbox, &delivery.intent_id);
    put_number(tx, place, u64::from(entry.cursor));
    inbox::raise_head(tx, mailbox, entry.cursor)
}

fn withdraw(tx: &mut Transaction<'_>, mailbox: &MailboxKey, intent_id: &[u8]) -> Result<(), Error> {
    let place = keys::mailbox_place(mailbox, intent_id);
    let cursor = tx.number(&place)?;
    if cursor != 0 {
        let cursor = u32::try_from(cursor).map_err(Error::applier)?;
        tx.delete(keys::mailbox_row(mailbox, cursor));
        tx.delete(place);
    }
    Ok(())
}
