//! The Raft port refuses what is not meant for it.

use axp_node::net::Dial;
use axp_node::raft::peer::connect;
use axp_proto::raft::raft_client::RaftClient;
use axp_proto::raft::{AppendRequest, LeaderVote, PingRequest, Target, VoteRequest};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::support::{Cluster, PATIENCE};

fn vote(target: Option<Target>) -> VoteRequest {
    let vote = Some(LeaderVote { term: 0, node_id: 2, committed: false });
    VoteRequest { target, vote, last_log_id: None, leadership_transfer: false }
}

/// How a stream of appends ends that the node does not accept.
async fn refusal(client: &mut RaftClient<Channel>, requests: Vec<AppendRequest>) -> Status {
    let requests = futures_util::stream::iter(requests);
    let mut answers = client.append_stream(requests).await.unwrap().into_inner();
    let refused = async {
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended well"),
                Err(status) => return status,
            }
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_for_others_are_refused() {
    let mut cluster = Cluster::started(1, |_| {}).await;
    let cluster_id = cluster.nodes[&1].handle.context().members.cluster_id().to_owned();
    let mut client = connect(&cluster.peers[0].raft_address, &Dial::default()).unwrap();
    let target = |cluster_id: &str, group, to_node_id| {
        Some(Target { cluster_id: cluster_id.to_owned(), group, to_node_id })
    };
    let cases = [
        (None, Code::InvalidArgument),
        (target("another", 1, 1), Code::FailedPrecondition),
        (target(&cluster_id, 1, 2), Code::FailedPrecondition),
        (target(&cluster_id, 77, 1), Code::NotFound),
        (target(&cluster_id, 1 << 20, 1), Code::InvalidArgument),
    ];
    for (target, code) in cases {
        let status = client.vote(vote(target.clone())).await.unwrap_err();
        assert_eq!(status.code(), code, "vote to {target:?}: {status}");
        let append = AppendRequest { target: target.clone(), ..AppendRequest::default() };
        let status = refusal(&mut client, vec![append]).await;
        assert_eq!(status.code(), code, "append to {target:?}: {status}");
    }
    let granted = client.vote(vote(target(&cluster_id, 1, 1))).await.unwrap().into_inner();
    assert!(!granted.granted, "a vote of term 0 is behind");
    let empty = AppendRequest { target: target(&cluster_id, 1, 1), ..AppendRequest::default() };
    assert_eq!(refusal(&mut client, vec![empty]).await.code(), Code::InvalidArgument);

    let ping =
        |cluster_id: &str| PingRequest { from_node_id: 2, cluster_id: cluster_id.to_owned() };
    assert_eq!(client.ping(ping(&cluster_id)).await.unwrap().into_inner().node_id, 1);
    let status = client.ping(ping("another")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    cluster.shutdown().await;
}
