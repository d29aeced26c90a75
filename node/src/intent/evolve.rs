//! Folding: the same events give the same intent, live and on replay, on every replica.
//!
//! Old events are for ever: a change in what a fold does with one is a new event type instead.

use std::sync::Arc;

use axp_proto::log::state_change::Kind;
use axp_proto::log::{Event, IntentState, StateChange, TimerChange, WaitingReason};

use super::decide::Decision;
use super::state::Intent;

/// Folds one event into the stored state of an intent; `seq` must follow the last one.
pub fn fold(state: &mut IntentState, event: &Event) {
    debug_assert_eq!(event.seq, state.last_seq + 1, "events are dense");
    state.last_seq = event.seq;
    state.status = event.status;
    state.updated_at_ms = event.at_ms;
    state.pending_with.clone_from(&event.pending_with);
    state.set_waiting_reason(event.waiting_reason());
    if !event.handler.is_empty() {
        state.handler.clone_from(&event.handler);
    }
    if event.status().is_terminal() {
        state.terminal_seq = event.seq;
        state.set_waiting_reason(WaitingReason::Unspecified);
    }
}

/// Folds a change of a timer: set, moved or cleared.
pub fn fold_timer(state: &mut IntentState, change: &TimerChange) {
    let timers = &mut state.timers;
    timers.retain(|timer| timer.kind != change.kind);
    if change.due_at_ms.is_some() {
        timers.push(*change);
    }
}

/// Folds what an append changes beside its events. `silent`: it has no events, so that this is what
/// moves the intent's position on.
pub fn fold_changes(state: &mut IntentState, changes: &[StateChange], silent: bool) {
    state.changes += u32::from(silent);
    for kind in changes.iter().filter_map(|change| change.kind.as_ref()) {
        match kind {
            Kind::Controls(set) => {
                state.policy_generation = set.policy_generation;
                state.controls.clone_from(&set.controls);
            }
            Kind::Policy(set) => {
                state.policy_generation = set.policy_generation;
                state.policy.clone_from(&set.policy);
            }
            Kind::DeliveryAttempt(attempt) => state.delivery_attempt = *attempt,
            Kind::Holder(holder) => state.holder = Some(holder.clone()),
            Kind::RemindCount(count) => state.remind_count = *count,
            Kind::Workflow(workflow) => state.workflow = Some(workflow.clone()),
            Kind::Assignees(assignees) => state.assignees.clone_from(&assignees.names),
            Kind::Links(set) => state.links.clone_from(&set.links),
            Kind::EndedBy(request) => state.ended_by = request.clone(),
        }
    }
}

impl Intent {
    /// Folds one event.
    pub fn evolve(&mut self, event: &Event) {
        fold(&mut self.state, event);
        if event.status().is_terminal() {
            self.terminal_event = Some(Arc::new(event.clone()));
        }
    }

    /// Folds a whole decision, as apply does with the append that it became.
    pub fn observe(&mut self, decision: &Decision) {
        decision.events.iter().for_each(|event| self.evolve(event));
        decision.timers.iter().for_each(|timer| self.change_timer(timer));
        fold_changes(&mut self.state, &decision.changes, decision.events.is_empty());
        debug_assert!(self.is_consistent(), "after {decision:?}");
    }

    /// Folds a change of a timer.
    pub fn change_timer(&mut self, change: &TimerChange) {
        fold_timer(&mut self.state, change);
    }
}
