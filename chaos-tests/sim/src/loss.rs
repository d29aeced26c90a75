//! What gets lost between nodes, call by call; see `axp_node::raft::link`.

use std::sync::{Arc, Mutex, PoisonError};

use axp_node::raft::link::{Half, Loss};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Rules of one node's calls to its peers.
#[derive(Debug)]
pub(crate) struct Losses(Mutex<Rules>);

#[derive(Debug)]
struct Rules {
    rng: StdRng,
    share: f64,
    answers: bool,
}

impl Losses {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let rng = StdRng::seed_from_u64(seed);
        Arc::new(Self(Mutex::new(Rules { rng, share: 0.0, answers: false })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Rules) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this share of requests and of answers gets lost.
    pub(crate) fn lose(&self, share: f64) {
        self.with(|rules| rules.share = share);
    }

    /// From now on no answer comes back, or answers do again.
    pub(crate) fn lose_answers(&self, lose: bool) {
        self.with(|rules| rules.answers = lose);
    }
}

impl Loss for Losses {
    fn loses(&self, _peer: u64, _call: &'static str, half: Half) -> bool {
        self.with(|rules| {
            (rules.answers && half == Half::Answer)
                || (rules.share > 0.0 && rules.rng.random_bool(rules.share))
        })
    }
}
