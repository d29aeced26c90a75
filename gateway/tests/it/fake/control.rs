//! `axp.node.v1.Control`, faked.

use std::pin::Pin;
use std::sync::atomic::Ordering;

use axp_proto::node::control_server::Control;
use axp_proto::node::{
    CommitRequest, CommitResponse, Committed, Conflict, ControlUpdate, RevisionRequest,
    RevisionResponse, Row, WatchRequest, commit_response, revision_response,
};
use futures_util::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{FakeNode, take};

const CONTROL: u32 = 0;

#[tonic::async_trait]
impl Control for FakeNode {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<ControlUpdate, Status>> + Send>>;

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (sender, receiver) = tokio::sync::mpsc::channel(16);
        let node = self.clone();
        let mut bell = self.shared.bell.subscribe();
        tokio::spawn(async move {
            let mut told = 0;
            let mut first = true;
            loop {
                bell.borrow_and_update();
                let until = match node.faults.watch_until.load(Ordering::SeqCst) {
                    0 => u64::MAX,
                    until => until,
                };
                let rows: Vec<Row> = {
                    let state = node.shared.state();
                    let history = state.history.iter();
                    history
                        .filter(|row| row.revision > told && row.revision <= until)
                        .cloned()
                        .collect()
                };
                if first || !rows.is_empty() {
                    told = rows.last().map_or(told, |row| row.revision);
                    let update = ControlUpdate { revision: told, rows, snapshot_end: first };
                    first = false;
                    if sender.send(Ok(update)).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    changed = bell.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn commit(
        &self,
        request: Request<CommitRequest>,
    ) -> Result<Response<CommitResponse>, Status> {
        let outcome = self.decide(request.into_inner());
        if take(&self.faults.lose_answers) {
            return Err(Status::unavailable("the answer is lost"));
        }
        Ok(Response::new(CommitResponse { outcome: Some(outcome) }))
    }

    async fn revision(
        &self,
        _: Request<RevisionRequest>,
    ) -> Result<Response<RevisionResponse>, Status> {
        self.faults.revisions_asked.fetch_add(1, Ordering::SeqCst);
        let outcome = match self.not_leader(CONTROL) {
            Some(hint) => revision_response::Outcome::NotLeader(hint),
            None => revision_response::Outcome::Revision(self.shared.state().revision),
        };
        Ok(Response::new(RevisionResponse { outcome: Some(outcome) }))
    }
}

impl FakeNode {
    fn decide(&self, request: CommitRequest) -> commit_response::Outcome {
        if let Some(hint) = self.not_leader(CONTROL) {
            return commit_response::Outcome::NotLeader(hint);
        }
        self.shared.change(|state| {
            let stale = request.changes.iter().find(|change| {
                let known = state.rows.get(&change.key).map_or(0, |(revision, _)| *revision);
                known != change.expected_revision
            });
            let scripted = take(&self.faults.conflicts);
            if let Some(change) = stale.or_else(|| request.changes.first().filter(|_| scripted)) {
                return commit_response::Outcome::Conflict(Conflict {
                    key: change.key.clone(),
                    revision: state.revision,
                });
            }
            for change in request.changes {
                if change.deleted {
                    state.delete_row(change.key);
                } else {
                    state.put_row(change.key, change.value);
                }
            }
            commit_response::Outcome::Committed(Committed { revision: state.revision })
        })
    }
}
