//! What gets lost between nodes, call by call; see `axp_node::raft::link`.
//!
//! It sees every call, so it also notices who goes on sending to a peer that answers no pings: that
//! would keep a follower loyal to a leader that nobody can answer (docs/clustering.md, the breaker).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axp_node::raft::link::{Half, Loss};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::journal;

/// What must not be sent to a peer that answers no pings.
const SILENCED: [&str; 3] = ["append", "heartbeat", "snapshot"];
/// On top of the breaker's patience: a call that was let through just before may still be sent.
const SLACK: Duration = Duration::from_millis(500);

/// Which answers get lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    Arrive,
    AreLost,
    /// But those of pings arrive.
    AreLostButPings,
}

/// Rules of one node's calls to its peers.
#[derive(Debug)]
pub(crate) struct Losses(Mutex<Rules>);

#[derive(Debug)]
struct Rules {
    rng: StdRng,
    share: f64,
    /// Of calls to each peer; of others, they arrive.
    answers: BTreeMap<u64, Answers>,
    /// When each peer last answered a ping.
    heard: BTreeMap<u64, Duration>,
    started: Duration,
    /// For how long a peer may be silent.
    patience: Duration,
    /// What was sent to a peer that is silent for longer.
    nagging: Option<String>,
}

impl Losses {
    pub(crate) fn new(seed: u64, breaker_after: Duration) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Rules {
            rng: StdRng::seed_from_u64(seed),
            share: 0.0,
            answers: BTreeMap::new(),
            heard: BTreeMap::new(),
            started: Duration::ZERO,
            patience: breaker_after + SLACK,
            nagging: None,
        })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Rules) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this share of requests and of answers gets lost.
    pub(crate) fn lose(&self, share: f64) {
        self.with(|rules| rules.share = share);
    }

    /// What becomes of a peer's answers from now on.
    pub(crate) fn answers(&self, peer: u64, answers: Answers) {
        self.with(|rules| rules.answers.insert(peer, answers));
    }

    /// The node begins anew and has heard nobody yet.
    pub(crate) fn node_starts(&self) {
        self.with(|rules| {
            rules.heard.clear();
            rules.started = journal::now();
        });
    }

    /// What was sent to a peer that answers no pings.
    pub(crate) fn take_nagging(&self) -> Option<String> {
        self.with(|rules| rules.nagging.take())
    }
}

impl Rules {
    fn loses(&mut self, peer: u64, call: &'static str, half: Half) -> bool {
        let answer = match self.answers.get(&peer) {
            Some(Answers::Arrive) | None => false,
            Some(Answers::AreLost) => true,
            Some(Answers::AreLostButPings) => call != "ping",
        };
        (answer && half == Half::Answer) || (self.share > 0.0 && self.rng.random_bool(self.share))
    }

    fn note(&mut self, peer: u64, call: &'static str, half: Half, lost: bool) {
        let now = journal::now();
        if (call, half, lost) == ("ping", Half::Answer, false) {
            self.heard.insert(peer, now);
        }
        if half == Half::Request && SILENCED.contains(&call) {
            let heard = self.heard.get(&peer).copied().unwrap_or(self.started);
            let silent = now.saturating_sub(heard);
            if silent > self.patience {
                let text = format!("{call} to node {peer}, which answered no ping for {silent:?}");
                self.nagging.get_or_insert(text);
            }
        }
    }
}

impl Loss for Losses {
    fn loses(&self, peer: u64, call: &'static str, half: Half) -> bool {
        self.with(|rules| {
            let lost = rules.loses(peer, call, half);
            rules.note(peer, call, half, lost);
            lost
        })
    }
}
