//! Rebind: the holder's agent wants its deliveries by another road.
//!
//! Whatever the road, an open intent lies in its holder's mailbox; what differs is who says that it
//! was delivered. So a push that is given up for another road is delivered now, and a push that
//! begins starts counting its attempts.

use axp_proto::log::state_change::Kind;
use axp_proto::log::{DeliveryMode, Holder, Status};

use super::delivery_result::delivered;
use super::submit;
use crate::intent::decide::{Decision, Verdict};
use crate::intent::state::Intent;

pub(in crate::intent) fn decide(intent: &Intent, mode: DeliveryMode, now_ms: i64) -> Verdict {
    let holder = intent.holder();
    if intent.is_terminal() || holder.mode() == mode {
        return Verdict::Unchanged;
    }
    let mut decision = Decision::default();
    let mut after = intent.clone();
    after.state.holder = Some(Holder { mode: mode.into(), ..holder.clone() });
    decision.change(Kind::Holder(Holder { mode: mode.into(), ..holder }));
    if mode == DeliveryMode::Http {
        decision.change(Kind::DeliveryAttempt(0));
    } else if mode != DeliveryMode::Internal && intent.state.status() == Status::Submitted {
        let event = delivered(&after, now_ms);
        after.evolve(&event);
        decision.events.push(event);
    }
    // The same place in the mailbox, with what is new.
    decision.deposit(submit::deposit(&after));
    decision.requeue(intent, &after);
    Verdict::Append(decision)
}
