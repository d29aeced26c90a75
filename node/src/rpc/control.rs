//! `axp.node.v1.Control`: commits, and the watch that every gateway's cache lives on.

use std::sync::Arc;

use axp_proto::node::commit_response::Outcome;
use axp_proto::node::control_server::Control as ControlService;
use axp_proto::node::{
    CommitRequest, CommitResponse, Committed as WireCommitted, ControlUpdate, RevisionRequest,
    RevisionResponse, WatchRequest, revision_response,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::Context;
use crate::control::{Committed, Control};
use crate::shard::proposer::ProposeError;

/// Updates that wait for a slow gateway.
const UPDATES_MAX: usize = 16;

/// The service; cheap to clone.
#[derive(Debug, Clone)]
pub struct ControlRpc {
    pub context: Arc<Context>,
    pub stop: CancellationToken,
}

#[tonic::async_trait]
impl ControlService for ControlRpc {
    type WatchStream = ReceiverStream<Result<ControlUpdate, Status>>;

    async fn watch(
        &self,
        _request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (updates, stream) = mpsc::channel(UPDATES_MAX);
        let (control, stop) = (Arc::clone(&self.context.control), self.stop.clone());
        crate::tasks::spawn("control watch", async move {
            stop.run_until_cancelled(watch(&control, &updates)).await;
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn commit(
        &self,
        request: Request<CommitRequest>,
    ) -> Result<Response<CommitResponse>, Status> {
        let control = &self.context.control;
        let outcome = match control.commit(request.into_inner().changes).await {
            Ok(Committed::Revision(revision)) => Outcome::Committed(WireCommitted { revision }),
            Ok(Committed::Conflict(conflict)) => Outcome::Conflict(conflict),
            Err(ProposeError::NotLeader) => {
                Outcome::NotLeader(self.context.not_leader(&control.raft))
            }
            Err(error @ ProposeError::Unknown) => {
                return Err(Status::unavailable(error.to_string()));
            }
        };
        Ok(Response::new(CommitResponse { outcome: Some(outcome) }))
    }

    async fn revision(
        &self,
        _request: Request<RevisionRequest>,
    ) -> Result<Response<RevisionResponse>, Status> {
        let control = &self.context.control;
        let outcome = match control.linearizable_revision().await {
            Ok(revision) => revision_response::Outcome::Revision(revision),
            Err(ProposeError::NotLeader) => {
                revision_response::Outcome::NotLeader(self.context.not_leader(&control.raft))
            }
            Err(error @ ProposeError::Unknown) => {
                return Err(Status::unavailable(error.to_string()));
            }
        };
        Ok(Response::new(RevisionResponse { outcome: Some(outcome) }))
    }
}

/// Everything as it stands, then every change, until the reader goes.
async fn watch(control: &Control, updates: &mpsc::Sender<Result<ControlUpdate, Status>>) {
    let mut changed = control.watch();
    let (mut revision, mut snapshot_sent) = (0, false);
    loop {
        changed.mark_unchanged();
        let (rows, upto) = match control.changes_after(revision) {
            Ok(page) => page,
            Err(error) => {
                updates.send(Err(Status::unavailable(error.chain()))).await.ok();
                return;
            }
        };
        let more = upto > revision;
        revision = upto;
        let snapshot_end = !more && !snapshot_sent;
        snapshot_sent |= snapshot_end;
        if more || snapshot_end {
            let update = ControlUpdate { revision, rows, snapshot_end };
            if updates.send(Ok(update)).await.is_err() {
                return;
            }
        }
        if !more {
            tokio::select! {
                () = updates.closed() => return,
                changed = changed.changed() => if changed.is_err() { return },
            }
        }
    }
}
