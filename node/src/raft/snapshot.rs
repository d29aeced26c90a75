//! Snapshots on the wire: header, chunks in order, then length and checksum of all data.
//!
//! A transfer may take as long as it needs while it moves: what has a deadline is standing still.
//! Reading and writing snapshot data blocks, so both happen off the async threads.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_proto::raft::snapshot_chunk::Kind;
use axp_proto::raft::{self, SnapshotChunk, SnapshotEnd, SnapshotHeader, Target};
use axp_raft_store::snapshot::FORMAT_VERSION;
use axp_raft_store::wire::{
    log_id_to_proto, stored_membership_from_proto, stored_membership_to_proto, vote_to_proto,
};
use axp_raft_store::{SnapshotData, SnapshotMeta, Store, TypeConfig, Vote, blocking};
use openraft::errors::ErrorSource as _;
use openraft::errors::{ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::impls::BoxedErrorSource;
use openraft::raft::SnapshotResponse;
use openraft::{RPCTypes, StorageError};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::peer::Peer;
use super::wire;
use crate::metrics as names;
use crate::tasks;

/// Chunks of at most 1 MiB that are read ahead of the network.
const CHUNKS_AHEAD: usize = 4;

/// A snapshot as openraft hands it over.
pub(super) type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>;

type SendError = StreamingError<TypeConfig>;

/// One snapshot on its way to one peer.
#[derive(Debug)]
pub(super) struct Transfer<'a> {
    pub(super) peer: &'a Arc<Peer>,
    pub(super) target: Target,
    pub(super) stall_timeout: Duration,
    pub(super) from_node: u64,
}

impl Transfer<'_> {
    /// Ends when the peer has installed the snapshot, or nothing moved for too long, or openraft
    /// cancels because leadership is gone.
    pub(super) async fn run(
        self,
        vote: &Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed>,
    ) -> Result<SnapshotResponse<TypeConfig>, SendError> {
        let begun = Instant::now();
        let (chunks, read) = read_ahead(self.header(vote, &snapshot.meta), snapshot.snapshot);
        let moved = Arc::new(AtomicU64::new(0));
        let chunks = ReceiverStream::new(chunks).map({
            let moved = Arc::clone(&moved);
            move |chunk| {
                moved.fetch_add(1, Ordering::Relaxed);
                chunk
            }
        });
        let mut client = self.peer.snapshots.clone();
        let exchange = async {
            self.peer.links.request(self.peer.id, "snapshot").await;
            let answer = client.install_snapshot(chunks).await;
            self.peer.links.answer(self.peer.id, "snapshot").await;
            answer
        };
        let answer = tokio::select! {
            answer = exchange => answer,
            closed = cancel => return Err(closed.into()),
            () = stall(&moved, self.stall_timeout) => return Err(self.stalled()),
        };
        // A failed read ends the stream early; its reason matters more than what the peer said.
        match read.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(read_failed(&error)),
            Err(panic) => {
                return Err(read_failed(&axp_raft_store::Error::Snapshot(panic.to_string())));
            }
        }
        let answer = answer.map_err(|status| Unreachable::from_string(status.to_string()))?;
        let vote = wire::required_vote(answer.into_inner().vote)
            .map_err(|error| Unreachable::new(&error))?;
        metrics::histogram!(names::RAFT_SNAPSHOT_SEND).record(begun.elapsed().as_secs_f64());
        Ok(SnapshotResponse::new(vote))
    }

    fn header(&self, vote: &Vote, meta: &SnapshotMeta) -> SnapshotHeader {
        SnapshotHeader {
            target: Some(self.target.clone()),
            vote: Some(vote_to_proto(vote)),
            last_log_id: meta.last_log_id.as_ref().map(log_id_to_proto),
            membership: Some(stored_membership_to_proto(&meta.last_membership)),
            format_version: FORMAT_VERSION,
        }
    }

    fn stalled(&self) -> SendError {
        StreamingError::Timeout(Timeout {
            action: RPCTypes::InstallSnapshot,
            id: self.from_node,
            target: self.peer.id,
            timeout: self.stall_timeout,
        })
    }
}

fn read_failed(error: &axp_raft_store::Error) -> SendError {
    let source = BoxedErrorSource::from_string(error.chain());
    StorageError::read_snapshot(None, source).into()
}

/// Returns once `moved` stood still for `timeout`.
async fn stall(moved: &AtomicU64, timeout: Duration) {
    let mut last = moved.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(timeout).await;
        let now = moved.load(Ordering::Relaxed);
        if now == last {
            return;
        }
        last = now;
    }
}

type ReadResult = tokio::task::JoinHandle<Result<(), axp_raft_store::Error>>;

/// Reads the snapshot as far ahead as the channel lets it. The receiver going away is no error:
/// then the transfer has ended for a reason of its own.
fn read_ahead(
    header: SnapshotHeader,
    data: SnapshotData,
) -> (mpsc::Receiver<SnapshotChunk>, ReadResult) {
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    (receiver, tasks::spawn("snapshot read", read_into(sender, header, data)))
}

async fn read_into(
    sender: mpsc::Sender<SnapshotChunk>,
    header: SnapshotHeader,
    data: SnapshotData,
) -> Result<(), axp_raft_store::Error> {
    let send = async |kind| sender.send(SnapshotChunk { kind: Some(kind) }).await.is_ok();
    if !send(Kind::Header(header)).await {
        return Ok(());
    }
    let mut chunks = data.into_chunks();
    loop {
        // Reading a chunk blocks.
        let read = blocking::run(move || (chunks.next(), chunks)).await;
        let (chunk, rest) =
            read.map_err(|error| axp_raft_store::Error::Snapshot(error.to_string()))?;
        chunks = rest;
        let Some(chunk) = chunk else { break };
        if !send(Kind::Data(chunk?)).await {
            return Ok(());
        }
    }
    let (bytes, crc32c) = chunks.end();
    send(Kind::End(SnapshotEnd { bytes, crc32c })).await;
    Ok(())
}

/// A snapshot on its way in.
#[derive(Debug)]
pub(super) struct Reception {
    chunks: Streaming<SnapshotChunk>,
    header: SnapshotHeader,
    stall_timeout: Duration,
}

impl Reception {
    /// Waits for the header.
    pub(super) async fn begin(
        mut chunks: Streaming<SnapshotChunk>,
        stall_timeout: Duration,
    ) -> Result<Self, Status> {
        let Kind::Header(header) = next(&mut chunks, stall_timeout).await? else {
            return Err(Status::invalid_argument("a snapshot starts with its header"));
        };
        if header.format_version != FORMAT_VERSION {
            let text = format!(
                "snapshot format {} is not {FORMAT_VERSION}, which this version reads",
                header.format_version
            );
            return Err(Status::failed_precondition(text));
        }
        Ok(Self { chunks, header, stall_timeout })
    }

    pub(super) fn target(&self) -> Option<&Target> {
        self.header.target.as_ref()
    }

    /// Writes the data aside and checks it; nothing of the group's state is touched yet.
    pub(super) async fn receive(
        &mut self,
        group: GroupId,
        store: &Arc<Store>,
    ) -> Result<(Vote, Snapshot), Status> {
        let (vote, meta) = self.meta()?;
        let store = Arc::clone(store);
        let mut sink = on_disk(move || store.receive_snapshot(group)).await?;
        loop {
            match next(&mut self.chunks, self.stall_timeout).await? {
                Kind::Data(data) => {
                    sink = on_disk(move || sink.write(data).map(|()| sink)).await?;
                }
                Kind::End(end) => {
                    let data = on_disk(move || sink.finish(end.bytes, end.crc32c)).await?;
                    return Ok((vote, Snapshot { meta, snapshot: data }));
                }
                Kind::Header(_) => {
                    return Err(Status::invalid_argument("a snapshot has one header"));
                }
            }
        }
    }

    fn meta(&self) -> Result<(Vote, SnapshotMeta), Status> {
        let malformed =
            |error: wire::Error| Status::invalid_argument(format!("malformed: {error}"));
        let vote = wire::required_vote(self.header.vote).map_err(malformed)?;
        let last_log_id = wire::optional_log_id(self.header.last_log_id).map_err(malformed)?;
        let membership = self.header.membership.clone().unwrap_or_default();
        let last_membership = stored_membership_from_proto(&membership)
            .map_err(|error| malformed(wire::Error::Value(error)))?;
        Ok((vote, SnapshotMeta { last_log_id, last_membership }))
    }
}

pub(super) fn record_install(elapsed: Duration) {
    metrics::histogram!(names::RAFT_SNAPSHOT_INSTALL).record(elapsed.as_secs_f64());
}

/// The next chunk; a stream that ends before its end was cut off.
async fn next(
    chunks: &mut Streaming<raft::SnapshotChunk>,
    deadline: Duration,
) -> Result<Kind, Status> {
    let chunk = tokio::time::timeout(deadline, chunks.message())
        .await
        .map_err(|_| Status::deadline_exceeded("the snapshot stood still"))??;
    chunk
        .and_then(|chunk| chunk.kind)
        .ok_or_else(|| Status::data_loss("the snapshot ended before its end"))
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, axp_raft_store::Error> + Send + 'static,
) -> Result<T, Status> {
    match blocking::run(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            Err(Status::internal(format!("the snapshot cannot be taken: {}", error.chain())))
        }
        Err(error) => Err(Status::internal(format!("the snapshot cannot be taken: {error}"))),
    }
}
