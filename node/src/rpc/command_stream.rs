//! All commands of one gateway over one stream: no task, no header and no deadline timer of HTTP/2
//! for each, and one message for what comes together.
//!
//! A call that takes long holds up nobody: answers go as they are ready. When so many are under way
//! that reading on would be unbounded, reading stops, and the gateway feels it as flow control.

use std::time::Duration;

use axp_proto::node::execute_answer::Result as CallResult;
use axp_proto::node::{CallFailed, ExecuteAnswer, ExecuteAnswers, ExecuteBatch, ExecuteCall};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::shard::ShardRpc;
use crate::shard::metrics as names;

/// Calls of one stream that may be under way; admission refuses far earlier.
const CALLS_MAX: usize = 8192;
/// Bytes of one message of answers, give or take one.
const ANSWERS_BYTES_MAX: usize = 1024 * 1024;
/// Messages that wait for the connection.
const MESSAGES_MAX: usize = 16;

type Answers = mpsc::Sender<Result<ExecuteAnswers, Status>>;

/// Serves the stream until the gateway ends it, or the node stops.
pub(super) fn serve(
    rpc: ShardRpc,
    batches: Streaming<ExecuteBatch>,
) -> ReceiverStream<Result<ExecuteAnswers, Status>> {
    let (answers, stream) = mpsc::channel(MESSAGES_MAX);
    let stop = rpc.stop.clone();
    crate::tasks::spawn("commands", async move {
        stop.run_until_cancelled(connection(&rpc, batches, &answers)).await;
    });
    ReceiverStream::new(stream)
}

async fn connection(rpc: &ShardRpc, mut batches: Streaming<ExecuteBatch>, answers: &Answers) {
    let mut under_way = FuturesUnordered::new();
    let mut ended = false;
    while !ended || !under_way.is_empty() {
        tokio::select! {
            batch = batches.message(), if !ended && under_way.len() < CALLS_MAX => match batch {
                Ok(Some(batch)) => {
                    // Boxed: what waits in line must not be moved with every change of the line.
                    under_way.extend(batch.calls.into_iter().map(|call| answer(rpc, call).boxed()));
                    metrics::histogram!(names::COMMANDS_UNDER_WAY).record(under_way.len() as f64);
                }
                Ok(None) => ended = true,
                // The connection is gone: nobody is left to be answered.
                Err(_) => return,
            },
            Some(first) = under_way.next(), if !under_way.is_empty() => {
                let mut bytes = first.encoded_len();
                let mut ready = vec![first];
                while bytes < ANSWERS_BYTES_MAX
                    && let Some(Some(next)) = under_way.next().now_or_never()
                {
                    bytes += next.encoded_len();
                    ready.push(next);
                }
                if answers.send(Ok(ExecuteAnswers { answers: ready })).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn answer(rpc: &ShardRpc, call: ExecuteCall) -> ExecuteAnswer {
    let ExecuteCall { call_id, patience_ms, request } = call;
    let executed = async {
        rpc.run(request.ok_or_else(|| Status::invalid_argument("a call without a request"))?).await
    };
    let patience = Duration::from_millis(patience_ms.into());
    let result = match tokio::time::timeout(patience, executed).await {
        Ok(Ok(response)) => CallResult::Response(response),
        Ok(Err(status)) => failed(&status),
        Err(_) => failed(&Status::deadline_exceeded("no outcome in time")),
    };
    ExecuteAnswer { call_id, result: Some(result) }
}

fn failed(status: &Status) -> CallResult {
    let message = status.message().to_owned();
    CallResult::Failed(CallFailed { code: status.code().into(), message })
}
