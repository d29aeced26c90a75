//! Folding: the same events give the same intent, live and on replay, on every replica.
//!
//! Old events are for ever: a change in what a fold does with one is a new event type instead.

use std::sync::Arc;

use axp_proto::log::{Event, TimerChange, WaitingReason};

use super::state::Intent;

impl Intent {
    /// Folds one event; `seq` must follow the last one.
    pub fn evolve(&mut self, event: &Event) {
        debug_assert_eq!(event.seq, self.state.last_seq + 1, "events of {} are dense", self.id);
        let state = &mut self.state;
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
            self.terminal_event = Some(Arc::new(event.clone()));
        }
    }

    /// Folds a change of a timer: set, moved or cleared.
    pub fn change_timer(&mut self, change: &TimerChange) {
        let timers = &mut self.state.timers;
        timers.retain(|timer| timer.kind != change.kind);
        if change.due_at_ms.is_some() {
            timers.push(*change);
        }
    }
}
