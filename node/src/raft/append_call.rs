//! A call `AppendStream` that is kept: requests go out, answers come back in order.

use axp_proto::raft::raft_client::RaftClient;
use axp_proto::raft::{AppendRequest, AppendResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// An open call with one request under way at most.
#[derive(Debug)]
pub(super) struct AppendCall {
    outbound: mpsc::Sender<AppendRequest>,
    answers: Streaming<AppendResponse>,
}

impl AppendCall {
    /// # Errors
    /// When the peer cannot be reached or refuses.
    pub(super) async fn open(mut client: RaftClient<Channel>) -> Result<Self, Status> {
        let (outbound, requests) = mpsc::channel(1);
        let answers = client.append_stream(ReceiverStream::new(requests)).await?.into_inner();
        Ok(Self { outbound, answers })
    }

    /// Sends a request after the answer to the last one. Should the call have ended, the next
    /// `answer` says so.
    pub(super) fn send(&self, request: AppendRequest) {
        self.outbound.try_send(request).ok();
    }

    /// The next answer. Dropping the future loses none.
    ///
    /// # Errors
    /// When the call has ended.
    pub(super) async fn answer(&mut self) -> Result<AppendResponse, Status> {
        let answer = self.answers.message().await?;
        answer.ok_or_else(|| Status::unavailable("the stream of appends ended"))
    }
}
