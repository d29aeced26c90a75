//! The line of a session: one gRPC stream to a peer, under the rules of the transport.

use std::time::Duration;

use axp_proto::raft::AppendResponse;
use axp_raft_store::LogId;

use super::{Line, Request, RpcError};
use crate::raft::append_call::AppendCall;
use crate::raft::network::GroupNetwork;
use crate::raft::{BATCH_BYTES_MAX, wire};

/// A stream of appends that was opened.
pub(in crate::raft) struct PeerLine<'a> {
    network: &'a GroupNetwork,
    call: AppendCall,
}

impl<'a> PeerLine<'a> {
    /// # Errors
    /// When the peer answers no pings, refuses, or does not answer in time.
    pub(in crate::raft) async fn open(network: &'a GroupNetwork) -> Result<Self, RpcError> {
        let peer = network.reachable_peer(CALL)?;
        let open = AppendCall::open(peer.appends.clone());
        match tokio::time::timeout(network.append_timeout(), open).await {
            Ok(Ok(call)) => Ok(Self { network, call }),
            Ok(Err(status)) => Err(network.append_failed("refused", &status.to_string())),
            Err(_) => Err(network.append_timed_out()),
        }
    }
}

/// As it is counted in metrics.
const CALL: &str = "append";

impl Line for PeerLine<'_> {
    fn patience(&self) -> Duration {
        self.network.append_timeout()
    }

    fn send(&mut self, request: &Request) -> Result<Option<LogId>, RpcError> {
        self.network.reachable_peer(CALL)?;
        let target = self.network.wire_target();
        let (message, cut_after) = wire::append_request(target, request, BATCH_BYTES_MAX);
        // What gets lost on the way is noticed by the deadline.
        if !self.network.loses_request() {
            self.call.send(message);
        }
        Ok(cut_after)
    }

    async fn answer(&mut self) -> Result<AppendResponse, RpcError> {
        loop {
            match self.call.answer().await {
                Ok(_) if self.network.loses_answer() => {}
                Ok(answer) => return Ok(answer),
                Err(status) => {
                    return Err(self.network.append_failed("refused", &status.to_string()));
                }
            }
        }
    }

    fn timed_out(&self) -> RpcError {
        self.network.append_timed_out()
    }
}
