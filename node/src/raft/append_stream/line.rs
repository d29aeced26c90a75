//! The line of a session: one gRPC stream to a peer, under the rules of the transport.

use std::time::Duration;

use axp_proto::raft::{AppendRequest, AppendResponse};
use axp_raft_store::LogId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{Line, Request, RpcError};
use crate::raft::network::GroupNetwork;
use crate::raft::{BATCH_BYTES_MAX, wire};

/// A stream of appends that was opened.
pub(in crate::raft) struct PeerLine<'a> {
    network: &'a GroupNetwork,
    outbound: mpsc::Sender<AppendRequest>,
    answers: Streaming<AppendResponse>,
}

impl<'a> PeerLine<'a> {
    /// # Errors
    /// When the peer answers no pings, refuses, or does not answer in time.
    pub(in crate::raft) async fn open(network: &'a GroupNetwork) -> Result<Self, RpcError> {
        let peer = network.reachable_peer(CALL)?;
        // One request is under way at a time.
        let (outbound, messages) = mpsc::channel(1);
        let mut client = peer.appends.clone();
        let open = client.append_stream(ReceiverStream::new(messages));
        match tokio::time::timeout(network.append_timeout(), open).await {
            Ok(Ok(answers)) => Ok(Self { network, outbound, answers: answers.into_inner() }),
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
        // There is room, so an error means that the call has ended: `answer` says why. What gets
        // lost on the way is noticed by the deadline.
        if !self.network.loses_request() {
            self.outbound.try_send(message).ok();
        }
        Ok(cut_after)
    }

    async fn answer(&mut self) -> Result<AppendResponse, RpcError> {
        loop {
            match self.answers.message().await {
                Ok(Some(_)) if self.network.loses_answer() => {}
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => return Err(self.network.append_failed("refused", "the stream ended")),
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
