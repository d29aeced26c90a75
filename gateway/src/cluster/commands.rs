//! The one stream of commands to a node, shared by all requests of this gateway.
//!
//! ```text
//! request 1 --\                                     /--> request 1
//! request 2 ---+--> queue --> batches == stream == answers --> request 2
//! request 3 --/      (bounded)                       \--> request 3
//! ```
//!
//! What gathers while the last batch is on its way goes in the next one. When the stream breaks,
//! every request on it hears that its outcome is unknown; the router repeats it, which is harmless,
//! and the first to do so opens the next stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axp_proto::node::execute_answer::Result as CallResult;
use axp_proto::node::shard_client::ShardClient;
use axp_proto::node::{
    ExecuteAnswer, ExecuteAnswers, ExecuteBatch, ExecuteCall, ExecuteRequest, ExecuteResponse,
};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::metrics::COMMANDS_PENDING;

/// Requests that wait to be sent; the limits on requests keep it from being reached.
const QUEUE_MAX: usize = 4096;
/// Calls in one batch, and their bytes, give or take one.
const BATCH_CALLS_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 1024 * 1024;

type Reply = oneshot::Sender<Result<ExecuteResponse, Status>>;

struct Call {
    request: ExecuteRequest,
    patience: Duration,
    reply: Reply,
}

/// A handle to the stream; cheap to share.
#[derive(Debug)]
pub(super) struct Commands {
    queue: mpsc::Sender<Call>,
}

impl Commands {
    #[expect(clippy::disallowed_methods, reason = "a loop that ends or panics breaks its stream")]
    pub(super) async fn connect(mut client: ShardClient<Channel>) -> Result<Arc<Self>, Status> {
        let (batches, outgoing) = mpsc::channel(1);
        let answers = client.execute_many(ReceiverStream::new(outgoing)).await?.into_inner();
        let (queue, calls) = mpsc::channel(QUEUE_MAX);
        let exchange = Exchange { batches, pending: HashMap::new(), last_id: 0 };
        // Ends with the stream, or when nobody holds the handle any more.
        tokio::spawn(exchange.run(calls, answers));
        Ok(Arc::new(Self { queue }))
    }

    pub(super) fn is_open(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Runs one command; waits for as long as the caller does.
    ///
    /// # Errors
    /// What the node said, or UNAVAILABLE when the stream broke: then the outcome is unknown.
    pub(super) async fn execute(
        &self,
        request: ExecuteRequest,
        patience: Duration,
    ) -> Result<ExecuteResponse, Status> {
        let broken = || Status::unavailable("the stream of commands broke");
        let (reply, answer) = oneshot::channel();
        self.queue.send(Call { request, patience, reply }).await.map_err(|_| broken())?;
        answer.await.unwrap_or_else(|_| Err(broken()))
    }
}

/// The loop behind the handle. Dropping it drops every reply, and so tells who waits.
struct Exchange {
    batches: mpsc::Sender<ExecuteBatch>,
    /// Answered or given up by the node within the call's patience, hence bounded like requests.
    pending: HashMap<u64, Reply>,
    last_id: u64,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        metrics::gauge!(COMMANDS_PENDING).decrement(self.pending.len() as f64);
    }
}

impl Exchange {
    async fn run(
        mut self,
        mut calls: mpsc::Receiver<Call>,
        mut answers: Streaming<ExecuteAnswers>,
    ) {
        let mut waiting = Vec::new();
        loop {
            let room = self.batches.clone();
            tokio::select! {
                message = answers.message() => match message {
                    Ok(Some(message)) => self.answered(message),
                    Ok(None) => return,
                    Err(status) => {
                        tracing::debug!(%status, "a stream of commands broke");
                        return;
                    }
                },
                count = calls.recv_many(&mut waiting, BATCH_CALLS_MAX), if waiting.is_empty() => {
                    if count == 0 {
                        return;
                    }
                }
                place = room.reserve(), if !waiting.is_empty() => match place {
                    Ok(place) => place.send(self.batch(&mut waiting)),
                    // The stream has ended; `answers` may still say why.
                    Err(_) => return,
                },
            }
        }
    }

    /// Takes as many calls as fit one message.
    fn batch(&mut self, waiting: &mut Vec<Call>) -> ExecuteBatch {
        let mut bytes = 0;
        let fits = waiting.iter().take_while(|call| {
            let before = bytes;
            bytes += call.request.encoded_len();
            before < BATCH_BYTES_MAX
        });
        let count = fits.count();
        let calls = waiting.drain(..count).map(|Call { request, patience, reply }| {
            self.last_id += 1;
            self.pending.insert(self.last_id, reply);
            metrics::gauge!(COMMANDS_PENDING).increment(1.0);
            let patience_ms = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
            ExecuteCall { call_id: self.last_id, patience_ms, request: Some(request) }
        });
        ExecuteBatch { calls: calls.collect() }
    }

    fn answered(&mut self, message: ExecuteAnswers) {
        for ExecuteAnswer { call_id, result } in message.answers {
            let Some(reply) = self.pending.remove(&call_id) else { continue };
            metrics::gauge!(COMMANDS_PENDING).decrement(1.0);
            let result = match result {
                Some(CallResult::Response(response)) => Ok(response),
                Some(CallResult::Failed(failed)) => {
                    Err(Status::new(Code::from_i32(failed.code), failed.message))
                }
                None => Err(Status::internal("a node answered without a result")),
            };
            // A caller that gave up repeats the command under the same id.
            reply.send(result).ok();
        }
    }
}
