//! The follower's side of a stream of appends: requests go to the group in order, answers come back
//! in order, each as soon as its entries are durable.

use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axp_proto::ids::GroupId;
use axp_proto::raft::{AppendRequest, AppendResponse};
use axp_raft_store::{Raft, TypeConfig};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use openraft::raft::AppendEntriesRequest;
use tonic::{Status, Streaming};

use super::{Service, malformed, wire};

/// The answers to a stream of requests for one group, which its first request names.
pub(super) fn answers(
    service: Service,
    mut requests: Streaming<AppendRequest>,
) -> BoxStream<'static, Result<AppendResponse, Status>> {
    let stopping = service.stopping.clone().cancelled_owned();
    let answers = async move {
        match requests.message().await? {
            Some(first) => begin(service, first, requests),
            None => Ok(stream::empty().boxed()),
        }
    };
    // A peer keeps its stream open for as long as it leads: it would keep the store open, too.
    stream::once(answers).try_flatten().take_until(stopping).boxed()
}

fn begin(
    service: Service,
    first: AppendRequest,
    requests: Streaming<AppendRequest>,
) -> Result<BoxStream<'static, Result<AppendResponse, Status>>, Status> {
    let (group, raft) = service.group(first.target.as_ref())?;
    let raft: Raft = raft.clone();
    let peers = service.started()?.peers.clone();
    let stopping = service.stopping.clone().cancelled_owned();
    let requests = stream::once(ready(Ok(first))).chain(requests).take_until(stopping);
    let checked = {
        let service = service.clone();
        // A leader never ends its stream while it leads: if this one breaks, is the peer still there?
        requests
            .inspect_err(move |_| peers.doubt())
            .map(move |request| service.append_for(group, request?))
    };
    // openraft takes nothing but requests: what is wrong with one ends them and is told last.
    let refused = Arc::new(Mutex::new(None));
    let refusal = Arc::clone(&refused);
    let input = checked.scan((), move |(), request| {
        ready(request.map_err(|status| *lock(&refused) = Some(status)).ok())
    });
    let answers = raft.stream_append(input).map(move |result| match result {
        Ok(result) => Ok(wire::append_result(&result)),
        Err(fatal) => Err(service.failed(group, &fatal)),
    });
    let refusal = stream::once(async move { lock(&refusal).take() });
    Ok(answers.chain(refusal.filter_map(|status| ready(status.map(Err)))).boxed())
}

fn lock(refused: &Mutex<Option<Status>>) -> MutexGuard<'_, Option<Status>> {
    refused.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    /// A request of a stream that is for `group`.
    fn append_for(
        &self,
        group: GroupId,
        request: AppendRequest,
    ) -> Result<AppendEntriesRequest<TypeConfig>, Status> {
        let (target, _) = self.group(request.target.as_ref())?;
        if target != group {
            return Err(Status::invalid_argument("a stream of appends is for one group"));
        }
        wire::append_from(request).map_err(|error| malformed(&error))
    }
}
