//! Records on real nodes: one of many writers wins, and what was acknowledged survives its leader.

use std::time::{Duration, Instant};

use axp_proto::log::{RecordAppend, RecordChange, RecordHome};
use axp_proto::node::commit_records_response::Outcome;
use axp_proto::node::query_request::Query;
use axp_proto::node::shard_client::ShardClient;
use axp_proto::node::{
    CommitRecordsRequest, CommitRecordsResponse, GetRecords, RecordName, RecordRow, query_response,
};
use axp_proto::shard_map::{group_of, record_slot};
use bytes::Bytes;

use crate::cluster::{Cluster, PATIENCE, SHARD_GROUPS};
use crate::{now_ms, scope};

fn home() -> RecordHome {
    RecordHome { workspace_id: "w".into(), name: "counter".into() }
}

fn group() -> u16 {
    group_of(record_slot(&home()), SHARD_GROUPS).0
}

fn put(expected_revision: u64, value: u64) -> RecordChange {
    RecordChange {
        table: "t".into(),
        id: "1".into(),
        expected_revision,
        value: Bytes::from(value.to_string()),
        ..RecordChange::default()
    }
}

/// Commits as a gateway would; `None` on a conflict.
async fn commit(cluster: &Cluster, change: RecordChange) -> Option<u64> {
    let append = RecordAppend { home: Some(home()), changes: vec![change] };
    let group = group().into();
    let request = CommitRecordsRequest { group, scope: Some(scope()), append: Some(append) };
    let deadline = Instant::now() + PATIENCE;
    loop {
        for channel in cluster.channels() {
            let mut shard = ShardClient::new(channel);
            if let Ok(answer) = shard.commit_records(request.clone()).await
                && let CommitRecordsResponse { outcome: Some(outcome) } = answer.into_inner()
            {
                match outcome {
                    Outcome::Committed(committed) => return Some(committed.revision),
                    Outcome::Conflict(_) => return None,
                    Outcome::NotLeader(_) | Outcome::Rejection(_) => {}
                }
            }
        }
        assert!(Instant::now() < deadline, "nobody commits records");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn read(cluster: &Cluster) -> Option<(u64, u64)> {
    let names = vec![RecordName { table: "t".into(), id: "1".into() }];
    let get = GetRecords { home: Some(home()), names };
    let query_response::Outcome::Records(list) =
        cluster.query(group().into(), Query::GetRecords(get)).await
    else {
        panic!("no records")
    };
    let [RecordRow { record, .. }] = &list.records[..] else { panic!("one name, one record") };
    let value = |bytes: &Bytes| std::str::from_utf8(bytes).unwrap().parse().unwrap();
    record.as_ref().map(|record| (record.revision, value(&record.value)))
}

/// Adds to the counter so often that each of these was told to be done.
async fn count(cluster: &Cluster, times: u64) {
    for _ in 0..times {
        loop {
            let (revision, value) = read(cluster).await.unwrap();
            if commit(cluster, put(revision, value + 1)).await.is_some() {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_increment_is_lost_although_the_leader_dies() {
    let mut cluster = Cluster::start(3).await;
    commit(&cluster, put(0, 0)).await.expect("nobody else writes yet");
    futures_util::future::join_all((0..4).map(|_| count(&cluster, 5))).await;
    assert_eq!(read(&cluster).await.unwrap().1, 20);
    let leader = cluster.leader(group()).await;
    cluster.crash(leader).await;
    futures_util::future::join_all((0..4).map(|_| count(&cluster, 5))).await;
    // A commit whose answer is lost in the election conflicts with itself and is done again, so
    // there may be more than were told, and never fewer.
    let counted = read(&cluster).await.unwrap().1;
    assert!((40..=44).contains(&counted), "{counted}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_expire_on_every_replica() {
    let cluster = Cluster::start(3).await;
    let expires = RecordChange { expire_at_ms: Some(now_ms() + 300), ..put(0, 7) };
    commit(&cluster, expires).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while read(&cluster).await.is_some() {
        assert!(Instant::now() < deadline, "the record stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    commit(&cluster, put(0, 8)).await.expect("its place is free");
    cluster.stop().await;
}
