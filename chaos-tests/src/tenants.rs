//! The organizations of a run.

use std::sync::Arc;

use crate::canary::Canary;
use crate::http::HttpClient;

/// One organization: the key of its clients, how they connect, and its canary, whose name is the
/// organization's.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub api_key: String,
    pub http: HttpClient,
    pub canary: Arc<Canary>,
}

impl Tenant {
    /// `number` makes it unique.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self::with_key(number, format!("axme_sa_chaos_{number:016x}"))
    }

    /// The organization whose key is known.
    #[must_use]
    pub fn with_key(number: u64, api_key: String) -> Self {
        let http = HttpClient::new(&api_key);
        Self { api_key, http, canary: Arc::new(Canary::new(number)) }
    }
}
