//! Records: rows that are many and rarely read, so that no gateway keeps them (ADR 0007). They lie in
//! the shards, by their home; a write is decided over what was just read and committed by
//! compare-and-set, as control writes are.

use axp_proto::log::{Record, RecordAppend, RecordChange, RecordHome};
use axp_proto::node::query_request::Query;
use axp_proto::node::{
    CommitRecordsRequest, GetRecords, QueryRequest, RecordName, RecordRow, Scope,
    commit_records_response, query_response,
};
use axp_proto::shard_map::{group_of, record_slot};
use prost::Message;
use tokio::time::{Duration, sleep};

use super::Cluster;
use super::commit::{ATTEMPTS_MAX, Plan};
use super::error::Error;
use super::tables::Versioned;
use crate::clock::Deadline;
use crate::error::ApiError;
use crate::metrics::RECORD_CONFLICTS_TOTAL;

/// A record as it was read.
#[derive(Debug)]
pub(crate) struct Stored<T> {
    pub(crate) id: String,
    pub(crate) row: Versioned<T>,
    /// It is deleted some time after this, and may be read until then.
    pub(crate) expire_at_ms: Option<i64>,
}

impl<T> Stored<T> {
    /// Whether its time is over, deleted or not.
    pub(crate) fn is_over(&self, now_ms: i64) -> bool {
        self.expire_at_ms.is_some_and(|at| at <= now_ms)
    }
}

/// The records of one home, on behalf of one request.
#[derive(Debug, Clone)]
pub(crate) struct Records<'a> {
    cluster: &'a Cluster,
    scope: Scope,
    deadline: Deadline,
    home: RecordHome,
}

impl<'a> Records<'a> {
    /// `workspace_id` is empty for what belongs to the whole server. What is to change together
    /// needs one home.
    pub(crate) fn of(
        cluster: &'a Cluster,
        scope: Scope,
        deadline: Deadline,
        workspace_id: &str,
        home: impl Into<String>,
    ) -> Self {
        let home = RecordHome { workspace_id: workspace_id.to_owned(), name: home.into() };
        Self { cluster, scope, deadline, home }
    }

    /// One record; linearizable, as all reads here.
    ///
    /// # Errors
    /// When no leader answers in time.
    pub(crate) async fn get<T: Message + Default>(
        &self,
        table: &str,
        id: &str,
    ) -> Result<Option<Stored<T>>, ApiError> {
        let name = RecordName { table: table.to_owned(), id: id.to_owned() };
        let get = GetRecords { home: Some(self.home.clone()), names: vec![name] };
        let rows = self.query(Query::GetRecords(get)).await?;
        rows.into_iter().next().map_or(Ok(None), read)
    }

    /// One compare-and-set; its revision, or nothing when somebody was faster. After a lost answer
    /// that somebody may be this very call.
    ///
    /// # Errors
    /// When no leader answers in time.
    pub(crate) async fn commit(&self, changes: Vec<RecordChange>) -> Result<Option<u64>, ApiError> {
        let request = CommitRecordsRequest {
            group: self.group().await?,
            scope: Some(self.scope.clone()),
            append: Some(RecordAppend { home: Some(self.home.clone()), changes }),
        };
        match self.cluster.router.commit_records(&request, self.deadline).await? {
            commit_records_response::Outcome::Committed(committed) => Ok(Some(committed.revision)),
            commit_records_response::Outcome::Conflict(_) => {
                metrics::counter!(RECORD_CONFLICTS_TOTAL).increment(1);
                Ok(None)
            }
            commit_records_response::Outcome::Rejection(rejection) => Err(rejection.into()),
            commit_records_response::Outcome::NotLeader(_) => {
                unreachable!("the router follows hints and never returns one")
            }
        }
    }

    /// Decides over one record and commits until nobody interferes. As with control writes,
    /// `decide` may meet its own work.
    ///
    /// # Errors
    /// What `decide` refuses; when no leader answers in time; when others are always faster.
    pub(crate) async fn transact<R: Message + Default, T>(
        &self,
        table: &str,
        id: &str,
        mut decide: impl FnMut(Option<Stored<R>>) -> Result<Plan<T, RecordChange>, ApiError>,
    ) -> Result<T, ApiError> {
        for attempt in 0..ATTEMPTS_MAX {
            match decide(self.get(table, id).await?)? {
                Plan::Done(value) => return Ok(value),
                Plan::Commit { changes, then } => {
                    if self.commit(changes).await?.is_some() {
                        return Ok(then);
                    }
                }
            }
            // Writers of the same record come apart by chance.
            let pause = Duration::from_millis(u64::from(attempt) * 2);
            sleep(pause.mul_f64(rand::random())).await;
        }
        Err(Error::Contended.into())
    }

    async fn query(&self, query: Query) -> Result<Vec<RecordRow>, ApiError> {
        let scope = Some(self.scope.clone());
        let request = QueryRequest { group: self.group().await?, scope, query: Some(query) };
        match self.cluster.router.query(&request, self.deadline).await? {
            query_response::Outcome::Records(list) => Ok(list.records),
            query_response::Outcome::Rejection(rejection) => Err(rejection.into()),
            _ => Err(ApiError::internal()),
        }
    }

    async fn group(&self) -> Result<u32, ApiError> {
        let tables = self.cluster.cache.ready(self.deadline).await?;
        let shards = tables.topology.as_ref().map_or(1, |topology| topology.shard_groups);
        Ok(group_of(record_slot(&self.home), shards).into())
    }
}

/// A record as a compare-and-set writes it.
pub(crate) fn change(
    table: &str,
    id: &str,
    expected_revision: u64,
    value: &impl Message,
    expire_at_ms: Option<i64>,
) -> RecordChange {
    RecordChange {
        table: table.to_owned(),
        id: id.to_owned(),
        expected_revision,
        value: value.encode_to_vec().into(),
        deleted: false,
        expire_at_ms,
    }
}

/// A record's end.
pub(crate) fn removal(table: &str, id: &str, expected_revision: u64) -> RecordChange {
    RecordChange {
        table: table.to_owned(),
        id: id.to_owned(),
        expected_revision,
        deleted: true,
        ..RecordChange::default()
    }
}

fn read<T: Message + Default>(row: RecordRow) -> Result<Option<Stored<T>>, ApiError> {
    let Some(Record { revision, value, expire_at_ms }) = row.record else { return Ok(None) };
    let id = row.name.unwrap_or_default().id;
    let value = T::decode(value).map_err(|error| {
        tracing::error!(%error, "a record cannot be read");
        ApiError::internal()
    })?;
    Ok(Some(Stored { id, row: Versioned { revision, value }, expire_at_ms }))
}
