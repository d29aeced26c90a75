//! Folding: the same events give the same intent, live and on replay, on every replica.
//!
//! Old events are for ever: a change in what a fold does with one is a new event type instead.

use std::sync::Arc;

use axp_proto::log::{Event, IntentState, TimerChange, WaitingReason};

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

impl Intent {
    /// Folds one event.
    pub fn evolve(&mut self, event: &Event) {
        fold(&mut self.state, event);
        if event.status().is_terminal() {
            self.terminal_event = Some(Arc::new(event.clone()));
        }
    }

    /// Folds a change of a timer.
    pub fn change_timer(&mut self, change: &TimerChange) {
        fold_timer(&mut self.state, change);
    }
}
