//! What the gateway asks of the leader of a group.
//!
//! All end with an error when no leader answered in time. A rejection is an answer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_proto::node::{
    Accepted, CommitRecordsRequest, CommitRequest, ExecuteRequest, InboxDone, InboxRequest,
    ParcelList, PublishRequest, Published, QueryRequest, RedeliverRequest, Rejection,
    RevisionRequest, commit_records_response, commit_response, query_response,
};
use tonic::{Request, Response, Status};

use super::answer::{LeaderResponse, answer};
use super::error::Error;
use super::link::Link;
use super::router::{Outcome, Router};
use crate::clock::Deadline;

impl Router {
    /// Runs a command.
    pub(crate) async fn execute(
        &self,
        request: &ExecuteRequest,
        deadline: Deadline,
    ) -> Result<Outcome<Result<Accepted, Rejection>>, Error> {
        let group = group_of(request.group);
        // Commands of many callers share a stream.
        self.call(group, deadline, |link: Arc<Link>, patience| async move {
            let commands = link.commands().await?;
            answer(commands.execute(request.clone(), patience).await?)
        })
        .await
    }

    /// Asks a linearizable question.
    pub(crate) async fn query(
        &self,
        request: &QueryRequest,
        deadline: Deadline,
    ) -> Result<query_response::Outcome, Error> {
        let send = |link: Arc<Link>, request| async move { link.shard().query(request).await };
        self.ask(group_of(request.group), request, deadline, send).await
    }

    /// Stores an event for subscribers.
    pub(crate) async fn publish(
        &self,
        request: &PublishRequest,
        deadline: Deadline,
    ) -> Result<Result<Published, Rejection>, Error> {
        let send = |link: Arc<Link>, request| async move { link.shard().publish(request).await };
        self.ask(group_of(request.group), request, deadline, send).await
    }

    /// Queues a push again.
    pub(crate) async fn redeliver(
        &self,
        request: &RedeliverRequest,
        deadline: Deadline,
    ) -> Result<Result<ParcelList, Rejection>, Error> {
        let send = |link: Arc<Link>, request| async move { link.shard().redeliver(request).await };
        self.ask(group_of(request.group), request, deadline, send).await
    }

    /// Runs an action on an inbox.
    pub(crate) async fn inbox(
        &self,
        request: &InboxRequest,
        deadline: Deadline,
    ) -> Result<Result<InboxDone, Rejection>, Error> {
        let send = |link: Arc<Link>, request| async move { link.shard().inbox(request).await };
        self.ask(group_of(request.group), request, deadline, send).await
    }

    /// Commits a compare-and-set over records.
    pub(super) async fn commit_records(
        &self,
        request: &CommitRecordsRequest,
        deadline: Deadline,
    ) -> Result<commit_records_response::Outcome, Error> {
        let send =
            |link: Arc<Link>, request| async move { link.shard().commit_records(request).await };
        self.ask(group_of(request.group), request, deadline, send).await
    }

    /// Commits a compare-and-set over control rows.
    pub(super) async fn commit(
        &self,
        request: &CommitRequest,
        deadline: Deadline,
    ) -> Result<commit_response::Outcome, Error> {
        let send = |link: Arc<Link>, request| async move { link.control().commit(request).await };
        self.ask(GroupId::CONTROL, request, deadline, send).await
    }

    /// The revision that everything committed so far has.
    pub(super) async fn revision(&self, deadline: Deadline) -> Result<u64, Error> {
        let send = |link: Arc<Link>, request| async move { link.control().revision(request).await };
        self.ask(GroupId::CONTROL, &RevisionRequest {}, deadline, send).await
    }

    async fn ask<Q, R, F, S>(
        &self,
        group: GroupId,
        request: &Q,
        deadline: Deadline,
        send: F,
    ) -> Result<R::Value, Error>
    where
        Q: Clone,
        R: LeaderResponse,
        F: Fn(Arc<Link>, Request<Q>) -> S,
        S: Future<Output = Result<Response<R>, Status>>,
    {
        let outcome = self.call(group, deadline, |link, patience| {
            let response = send(link, timed(request.clone(), patience));
            async move { answer(response.await?.into_inner()) }
        });
        Ok(outcome.await?.value)
    }
}

/// A request that tells the node how long its answer is of use, and which trace it belongs to.
fn timed<T>(message: T, patience: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(patience);
    crate::trace::inject(&mut request);
    request
}

fn group_of(group: u32) -> GroupId {
    GroupId::try_from(group).unwrap_or(GroupId::CONTROL)
}
