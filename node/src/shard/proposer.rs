//! Packs what many actors want to append at one moment into one Raft entry.
//!
//! A few entries may be in flight; what arrives meanwhile gathers and goes with the next one, so
//! batches grow with load and a lone command waits for nobody.

use std::time::Duration;

use axp_proto::log::{Append, Entry};
use axp_raft_store::{Outcome, Payload, Raft};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use prost::Message;
use tokio::sync::{mpsc, oneshot};

/// How many appends may wait for the proposer; admission keeps it from being reached.
const QUEUE_MAX: usize = 4096;
/// How many appends one entry carries.
const APPENDS_MAX: usize = 512;
/// How many bytes one entry carries, give or take one append: half of what a message may be.
const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// Entries in flight. One: what arrives meanwhile makes the next entry larger, and an entry costs far
/// more than an append in it (docs/benchmarks.md).
const IN_FLIGHT_MAX: usize = 1;
/// A write that takes longer than this has an unknown outcome for its caller.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What happened to an append that got no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It was not appended: this replica does not lead.
    #[error("not the leader")]
    NotLeader,
    /// It may be appended, now or later.
    #[error("outcome unknown")]
    Unknown,
}

struct Proposal {
    append: Append,
    reply: oneshot::Sender<Result<Outcome, ProposeError>>,
}

/// A handle to the proposer of a led shard.
#[derive(Debug, Clone)]
pub struct Proposer {
    queue: mpsc::Sender<Proposal>,
}

impl Proposer {
    /// The handle and the loop to run; the loop ends when the last handle is dropped.
    pub fn new(raft: Raft) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, proposals) = mpsc::channel(QUEUE_MAX);
        (Self { queue }, run(raft, proposals))
    }

    /// Appends and waits until it is applied here.
    ///
    /// # Errors
    /// When there is no outcome; see [`ProposeError`].
    pub async fn propose(&self, append: Append) -> Result<Outcome, ProposeError> {
        let (reply, outcome) = oneshot::channel();
        let proposal = Proposal { append, reply };
        self.queue.send(proposal).await.map_err(|_| ProposeError::NotLeader)?;
        outcome.await.unwrap_or(Err(ProposeError::Unknown))
    }
}

async fn run(raft: Raft, mut proposals: mpsc::Receiver<Proposal>) {
    let mut in_flight = FuturesUnordered::new();
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            Some(()) = in_flight.next(), if !in_flight.is_empty() => continue,
            count = proposals.recv_many(&mut batch, APPENDS_MAX), if in_flight.len() < IN_FLIGHT_MAX => {
                if count == 0 {
                    break;
                }
            }
        }
        let mut batch = batch.into_iter().peekable();
        while batch.peek().is_some() {
            let mut bytes = 0;
            let mut appends = Vec::new();
            let mut replies = Vec::new();
            while let Some(proposal) = batch.next_if(|_| bytes < ENTRY_BYTES_MAX) {
                bytes += proposal.append.encoded_len();
                appends.push(proposal.append);
                replies.push(proposal.reply);
            }
            metrics::histogram!(super::metrics::ENTRY_APPENDS).record(appends.len() as f64);
            in_flight.push(write(raft.clone(), Entry { appends }, replies));
        }
    }
    while in_flight.next().await.is_some() {}
}

async fn write(
    raft: Raft,
    entry: Entry,
    replies: Vec<oneshot::Sender<Result<Outcome, ProposeError>>>,
) {
    let result = write_entry(&raft, entry, replies.len()).await;
    match result {
        Ok(outcomes) => {
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                // A caller that hung up loses the reply, not the outcome: that is in the log.
                reply.send(Ok(outcome)).ok();
            }
        }
        Err(error) => {
            for reply in replies {
                reply.send(Err(error)).ok();
            }
        }
    }
}

/// One entry through Raft: an outcome for each of its appends.
///
/// # Errors
/// See [`ProposeError`].
pub async fn write_entry(
    raft: &Raft,
    entry: Entry,
    appends: usize,
) -> Result<Vec<Outcome>, ProposeError> {
    let payload = Payload(entry.encode_to_vec().into());
    let written = tokio::time::timeout(WRITE_TIMEOUT, raft.client_write(payload));
    match written.await {
        Ok(Ok(response)) if response.data.outcomes.len() == appends => Ok(response.data.outcomes),
        Ok(Ok(_)) => Err(ProposeError::Unknown),
        Ok(Err(error)) if error.forward_to_leader().is_some() => Err(ProposeError::NotLeader),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a write through raft failed");
            Err(ProposeError::Unknown)
        }
        Err(_) => Err(ProposeError::Unknown),
    }
}
