//! What the API does, whatever the protocol: HTTP and gRPC translate to and from this layer.

mod access;
mod accounts;
mod address;
mod agents;
mod answers;
mod approvals;
mod bindings;
mod bulk_cancel;
mod caller;
mod controls;
mod credential;
mod idempotency;
mod inbox;
mod intents;
mod invites;
mod media;
mod once;
mod origin;
mod owner;
mod pending;
mod pushes;
mod resolve;
mod resume;
mod scenarios;
mod schemas;
mod signing;
mod submission;
mod target;
mod tasks;
mod users;
mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub(crate) use self::access::{AccessSubject, AccessTarget, AccessView};
pub(crate) use self::accounts::{
    AccountPlan, CreatedAccount, Revoked, new_key, plan_account, put, put_id,
};
pub(crate) use self::address::{AccessPart, AgentPath, normalise, slug};
pub(crate) use self::agents::{AgentEntry, Listening};
pub(crate) use self::answers::{Stored, sweep};
pub(crate) use self::bindings::follow_bindings;
pub(crate) use self::bulk_cancel::BulkCanceled;
pub(crate) use self::caller::{Caller, Credentials};
pub(crate) use self::credential::{hash, hash_hex, hex, hint, new_id, new_token};
pub(crate) use self::inbox::{Changes, Completion, Deletion, OwnThread};
pub(crate) use self::intents::ListFilter;
pub(crate) use self::media::{
    Download, LinkClaim, LinkUse, Links, MediaAccess, MediaState, is_image,
};
pub(crate) use self::origin::{Channel, Origin};
pub(crate) use self::pending::Pending;
pub(crate) use self::resolve::Resolved;
pub(crate) use self::scenarios::{Applied, AppliedAgent};
pub(crate) use self::signing::Rotated;
pub(crate) use self::submission::Submitted;
pub(crate) use self::tasks::{LinkChannel, Linked, OpenLink, OpenTasks};
pub(crate) use self::users::{Nick, user_address};
pub(crate) use self::webhooks::{counters, sweep_subscriptions};
use crate::clock::Deadline;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::limits::Limits;
use crate::media::Storage;
use crate::schema::ValidatorCache;
use crate::trace::TraceContext;

/// Shared by every request of one gateway.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) config: Config,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) limits: Limits,
    pub(crate) media: Box<dyn Storage>,
    pub(crate) validators: ValidatorCache,
    /// What links in answers start with; without a slash at the end.
    pub(crate) public_url: String,
    /// Set when the gateway is to stop: streams end then, with a hint to come back.
    pub(crate) stop: CancellationToken,
}

/// One request: who asks, and until when an answer is of use.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) caller: Arc<Caller>,
    pub(crate) deadline: Deadline,
    pub(crate) trace: TraceContext,
    /// The `Idempotency-Key`, if one was sent.
    pub(crate) idempotency_key: Option<String>,
    /// The acting agent that the caller asserts, as sent.
    pub(crate) owner: Option<String>,
    pub(crate) origin: Origin,
}

impl Service {
    pub(crate) fn new(
        config: Config,
        http_address: SocketAddr,
        cluster: Arc<Cluster>,
        media: Box<dyn Storage>,
        stop: CancellationToken,
    ) -> Self {
        let limits = Limits::new(&config.limits, &config.rate_limit, &config.media);
        let public_url = match config.http.public_url.trim_end_matches('/') {
            "" => format!("http://{http_address}"),
            url => url.to_owned(),
        };
        let validators = ValidatorCache::new(config.schemas.compiled_max);
        Self { config, cluster, limits, media, validators, public_url, stop }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.config.cluster.request_timeout())
    }
}
