//! The road between shards: a call in this process where the target is led here, gRPC elsewhere.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_proto::node::DeliverRequest;
use axp_proto::node::deliver_response::Outcome;
use axp_proto::node::shard_client::ShardClient;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use tonic::transport::{Channel, Endpoint};

use super::Context;
use crate::net::Dial;
use crate::outbox::{Courier, CourierError};
use crate::shard::ExecuteError;

/// How long one attempt may take; a commit on the other side is part of it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Finds the leader of the target group, by what this node's own replica knows.
#[derive(Debug)]
pub struct NodeCourier {
    dial: Dial,
    /// Set once the shards exist, which need a courier to be made.
    context: OnceLock<Weak<Context>>,
    channels: Mutex<HashMap<String, Channel>>,
}

impl NodeCourier {
    #[must_use]
    pub fn new(dial: Dial) -> Self {
        Self { dial, context: OnceLock::new(), channels: Mutex::default() }
    }

    /// Gives the courier the node that it works for.
    pub fn attach(&self, context: Weak<Context>) {
        self.context.set(context).ok();
    }

    async fn attempt(&self, request: DeliverRequest) -> Result<u64, CourierError> {
        let group = GroupId::try_from(request.group).unwrap_or(GroupId::CONTROL);
        let nobody = CourierError::NoLeader(group);
        let context = self.context.get().and_then(Weak::upgrade).ok_or(nobody.clone())?;
        let target = context.shards.get(&group).ok_or(nobody.clone())?;
        if target.led().is_some() {
            let source = GroupId::try_from(request.source_group).unwrap_or(GroupId::CONTROL);
            return match target.deliver(source, request.effects).await {
                Ok(taken) => Ok(taken),
                Err(ExecuteError::NotLeader) => Err(nobody),
                Err(error) => Err(CourierError::Unreachable { group, reason: error.to_string() }),
            };
        }
        let leader = target.raft.server_metrics().borrow_watched().current_leader;
        let address = leader.and_then(|leader| context.members.api_address(leader));
        let unreachable = |reason: String| CourierError::Unreachable { group, reason };
        let channel = self
            .channel(&address.ok_or(nobody.clone())?)
            .map_err(|e| unreachable(e.to_string()))?;
        let answer = ShardClient::new(channel).deliver(request).await;
        match answer.map_err(|status| unreachable(status.to_string()))?.into_inner().outcome {
            Some(Outcome::Delivered(delivered)) => Ok(delivered.last_effect),
            Some(Outcome::Rejection(refusal)) => Err(unreachable(refusal.message)),
            Some(Outcome::NotLeader(_)) | None => Err(nobody),
        }
    }

    fn channel(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(3))
            .keep_alive_timeout(Duration::from_secs(3))
            .initial_connection_window_size(8 * 1024 * 1024)
            .initial_stream_window_size(2 * 1024 * 1024);
        let channel = self.dial.channel(&endpoint);
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}

impl Courier for NodeCourier {
    fn deliver(&self, request: DeliverRequest) -> BoxFuture<'_, Result<u64, CourierError>> {
        async move {
            let group = GroupId::try_from(request.group).unwrap_or(GroupId::CONTROL);
            match tokio::time::timeout(ATTEMPT_TIMEOUT, self.attempt(request)).await {
                Ok(result) => result,
                Err(_) => {
                    Err(CourierError::Unreachable { group, reason: "no answer in time".to_owned() })
                }
            }
        }
        .boxed()
    }
}
