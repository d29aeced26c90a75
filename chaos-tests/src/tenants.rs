//! The organizations of a run.

use std::sync::Arc;

use crate::canary::Canary;

/// One organization: the key of its clients, and its canary, whose name is the organization's.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub api_key: String,
    pub canary: Arc<Canary>,
}

impl Tenant {
    /// `number` makes it unique.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let api_key = format!("axme_sa_chaos_{number:016x}");
        Self { api_key, canary: Arc::new(Canary::new(number)) }
    }
}
