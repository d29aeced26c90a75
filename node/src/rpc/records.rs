//! Records: commits and reads, held to what keys and messages can carry.

use axp_proto::error_code::ErrorCode;
use axp_proto::log::{RecordAppend, RecordHome};
use axp_proto::node::commit_records_response::Outcome as Committed;
use axp_proto::node::query_response::Outcome;
use axp_proto::node::{
    CommitRecordsRequest, CommitRecordsResponse, GetRecords, ListRecords, RecordList,
    RecordsCommitted, RecordsConflict,
};
use tonic::Status;

use super::query::limit;
use super::{Context, rejection};
use crate::intent::Rejection;
use crate::shard::handle::storage;
use crate::shard::{ExecuteError, Shard};

/// Records that one commit or one read may name.
const NAMES_MAX: usize = 64;
/// Bytes of one part of a key.
const PART_BYTES_MAX: usize = 1024;
/// Bytes of all values of one commit: what an entry carries beside others.
const VALUE_BYTES_MAX: usize = 512 * 1024;
/// Bytes of one page of a list, give or take one record.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

pub(super) async fn commit(
    context: &Context,
    request: CommitRecordsRequest,
) -> Result<CommitRecordsResponse, Status> {
    let shard = context.shard(request.group)?;
    let scope = request.scope.ok_or_else(|| Status::invalid_argument("no scope"))?;
    let append = request.append.ok_or_else(|| Status::invalid_argument("nothing to commit"))?;
    check(&append).map_err(Status::invalid_argument)?;
    let outcome = match shard.commit_records(&scope.org_id, append).await {
        Ok(Some(revision)) => Committed::Committed(RecordsCommitted { revision }),
        Ok(None) => Committed::Conflict(RecordsConflict {}),
        Err(ExecuteError::NotLeader) => Committed::NotLeader(context.not_leader(&shard.raft)),
        Err(ExecuteError::Overloaded) => Committed::Rejection(rejection(&Rejection::new(
            ErrorCode::Unavailable,
            "too many commands under way",
        ))),
        Err(error) => return Err(Status::unavailable(error.to_string())),
    };
    Ok(CommitRecordsResponse { outcome: Some(outcome) })
}

pub(super) fn get(shard: &Shard, get: GetRecords) -> Result<Outcome, ExecuteError> {
    let home = get.home.unwrap_or_default();
    let fits = is_name(&home.name) && get.names.len() <= NAMES_MAX;
    if !fits || get.names.iter().any(|name| !is_name(&name.table) || !is_name(&name.id)) {
        return Err(no_record());
    }
    Ok(Outcome::Records(RecordList { records: shard.records(&home, get.names)? }))
}

pub(super) fn list(shard: &Shard, list: &ListRecords) -> Result<Outcome, ExecuteError> {
    let home = list.home.clone().unwrap_or_default();
    if !is_name(&home.name) || !is_name(&list.table) {
        return Err(no_record());
    }
    let records = shard.reader().list_records(&home, list, limit(list.limit), PAGE_BYTES_MAX);
    Ok(Outcome::Records(RecordList { records: records.map_err(storage)? }))
}

fn no_record() -> ExecuteError {
    ExecuteError::Rejected(Rejection::new(ErrorCode::BadRequest, "no such record can exist"))
}

fn check(append: &RecordAppend) -> Result<(), &'static str> {
    let is_home = |home: &RecordHome| is_part(&home.workspace_id) && is_name(&home.name);
    if !append.home.as_ref().is_some_and(is_home) {
        return Err("records need a home");
    }
    let changes = &append.changes;
    if !(1..=NAMES_MAX).contains(&changes.len()) {
        return Err("a commit changes 1 to 64 records");
    }
    if changes.iter().any(|change| !is_name(&change.table) || !is_name(&change.id)) {
        return Err("a record has a table and an id");
    }
    let mut names: Vec<_> = changes.iter().map(|change| (&change.table, &change.id)).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a commit changes a record once");
    }
    // A time before 1970 would sort behind all others.
    if changes.iter().any(|change| change.expire_at_ms.is_some_and(|at| at < 0)) {
        return Err("a record expires after 1970");
    }
    if changes.iter().map(|change| change.value.len()).sum::<usize>() > VALUE_BYTES_MAX {
        return Err("the records are too large");
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && is_part(text)
}

/// Parts of a key are kept apart by NUL.
fn is_part(text: &str) -> bool {
    text.len() <= PART_BYTES_MAX && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use axp_proto::log::RecordChange;

    use super::*;

    fn append(home: &str, ids: &[&str]) -> RecordAppend {
        let change = |id: &&str| RecordChange {
            table: "t".to_owned(),
            id: (*id).to_owned(),
            ..RecordChange::default()
        };
        let home = RecordHome { workspace_id: String::new(), name: home.to_owned() };
        RecordAppend { home: Some(home), changes: ids.iter().map(change).collect() }
    }

    #[test]
    fn commits_are_held_to_what_keys_can_carry() {
        assert_eq!(check(&append("h", &["a", "b"])), Ok(()));
        assert!(check(&append("", &["a"])).is_err());
        assert!(check(&append("h\0i", &["a"])).is_err());
        assert!(check(&append("h", &[])).is_err());
        assert!(check(&append("h", &["a", ""])).is_err());
        assert!(check(&append("h", &["a", "b", "a"])).is_err());
        let mut early = append("h", &["a"]);
        early.changes[0].expire_at_ms = Some(-1);
        assert!(check(&early).is_err());
        let mut large = append("h", &["a", "b"]);
        large.changes[0].value = vec![0; VALUE_BYTES_MAX + 1].into();
        assert!(check(&large).is_err());
    }
}
