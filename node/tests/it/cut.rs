//! Cuts links of one node, one direction at a time.

use std::collections::HashMap;
use std::sync::Mutex;

use axp_node::raft::link::{Half, Loss};

/// What is lost of the calls to one peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    requests: bool,
    answers: bool,
}

impl Rule {
    pub(crate) const CUT: Self = Self { requests: true, answers: true };
    pub(crate) const LOSES_ANSWERS: Self = Self { requests: false, answers: true };
}

/// The cut links of one node, and what it sent over all of them.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    rules: Mutex<HashMap<u64, Rule>>,
    sent: Mutex<HashMap<&'static str, u64>>,
}

impl Cuts {
    pub(crate) fn set(&self, peer: u64, rule: Rule) {
        self.rules.lock().unwrap().insert(peer, rule);
    }

    pub(crate) fn heal(&self) {
        self.rules.lock().unwrap().clear();
    }
}

impl Cuts {
    /// Requests sent so far of any of these calls.
    pub(crate) fn sent(&self, calls: &[&str]) -> u64 {
        let sent = self.sent.lock().unwrap();
        calls.iter().filter_map(|call| sent.get(call)).sum()
    }
}

impl Loss for Cuts {
    fn loses(&self, peer: u64, call: &'static str, half: Half) -> bool {
        if half == Half::Request {
            *self.sent.lock().unwrap().entry(call).or_default() += 1;
        }
        self.rules.lock().unwrap().get(&peer).is_some_and(|rule| match half {
            Half::Request => rule.requests,
            Half::Answer => rule.answers,
        })
    }
}
