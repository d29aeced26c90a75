//! Effects, numbered densely for each target group: the target takes them in order and remembers
//! one number for each source, so a repeat is recognised without remembering every effect.

use std::collections::BTreeMap;

use axp_proto::ids::GroupId;
use axp_proto::log::effect::Kind;
use axp_proto::log::{Effect, MailboxKey, OutboxDone};
use axp_proto::shard_map::{group_of, mailbox_slot};
use axp_raft_store::{Error, Outcome, Transaction};

use super::ShardApplier;
use crate::shard::keys;
use crate::shard::tables::{Rows, put, put_number};

impl ShardApplier {
    /// Stores effects in the same batch as the events that caused them (design, section 5).
    pub(super) fn put_effects(
        &self,
        tx: &mut Transaction<'_>,
        effects: &[Effect],
    ) -> Result<(), Error> {
        let mut last: BTreeMap<GroupId, u64> = BTreeMap::new();
        for effect in effects {
            // What is pushed stays in this shard.
            if self.put_push_effect(tx, effect)? {
                continue;
            }
            let target = self.target(effect)?;
            let number = match last.get(&target) {
                Some(last) => last + 1,
                None => tx.number(&keys::outbox_last(target))? + 1,
            };
            put(tx, keys::outbox_row(target, number), effect);
            last.insert(target, number);
        }
        for (target, number) in last {
            put_number(tx, keys::outbox_last(target), number);
            self.touch(|touched| match target {
                keys::OWN_INTENTS => touched.steps = true,
                _ => touched.outbox = true,
            });
        }
        Ok(())
    }

    fn target(&self, effect: &Effect) -> Result<GroupId, Error> {
        let steps = matches!(
            effect.kind,
            Some(Kind::StepStart(_) | Kind::StepStop(_) | Kind::StepEnded(_))
        );
        if steps {
            return Ok(keys::OWN_INTENTS);
        }
        Ok(group_of(mailbox_slot(mailbox(effect)?), self.shard_groups))
    }
}

fn mailbox(effect: &Effect) -> Result<&MailboxKey, Error> {
    let mailbox = match &effect.kind {
        Some(Kind::Deposit(deposit)) => deposit.mailbox.as_ref(),
        Some(Kind::Withdraw(withdraw)) => withdraw.mailbox.as_ref(),
        Some(Kind::Inbox(post)) => post.mailbox.as_ref(),
        _ => None,
    };
    mailbox.ok_or_else(|| Error::applier("an effect without a target: this program is too old"))
}

pub(super) fn done(tx: &mut Transaction<'_>, done: &OutboxDone) -> Result<Outcome, Error> {
    let target = GroupId::try_from(done.target_group).map_err(Error::applier)?;
    let before = tx.number(&keys::outbox_done(target))?;
    if done.last_effect <= before {
        return Ok(Outcome::Stale { position: before });
    }
    for number in before + 1..=done.last_effect {
        tx.delete(keys::outbox_row(target, number));
    }
    put_number(tx, keys::outbox_done(target), done.last_effect);
    Ok(Outcome::Accepted { position: done.last_effect })
}
