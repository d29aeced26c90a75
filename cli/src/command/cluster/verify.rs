//! `axp cluster verify`: asks all replicas of each group what their state comes to at one log index,
//! and whether that is one number.
//!
//! Under load the replicas are asked for an index a little ahead, so that all answer for the same one
//! while they apply; at rest, for what they have. Each node reads a whole group for it.

use std::collections::BTreeSet;
use std::time::Duration;

use axp_proto::node::admin_client::AdminClient;
use axp_proto::node::{StateHashRequest, StateHashResponse, StatusRequest};
use clap::Args;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use crate::exit::Exit;
use crate::output::{self, Table};

/// How far ahead of the newest entry the replicas are asked, and how long that may take to come.
const AHEAD: u64 = 25;
const WAIT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Compare the states of all replicas. Reads the whole state on every node.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Addresses of all nodes' APIs.
    #[arg(long, env = "AXP_NODES", value_delimiter = ',', required = true)]
    #[arg(value_name = "HOST:PORT,...")]
    nodes: Vec<String>,
    /// How long to try for each group.
    #[arg(long, default_value_t = 30_000, value_name = "MS")]
    timeout_ms: u64,
}

/// What the replicas of one group said.
#[derive(Debug, PartialEq, Serialize)]
struct Compared {
    group: u32,
    verdict: Verdict,
    applied_index: u64,
    /// Nodes that answered for that index.
    nodes: Vec<u64>,
    rows: u64,
    bytes: u64,
    hashes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Equal,
    /// Not all replicas answered for one index.
    Incomplete,
    Different,
}

pub(super) async fn run(args: VerifyArgs, json: bool) -> anyhow::Result<Exit> {
    let timeout = Duration::from_millis(args.timeout_ms);
    let nodes = args.nodes.iter().map(|address| client(address, timeout));
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    let mut compared = Vec::new();
    for group in groups(&nodes).await {
        compared.push(compare(&nodes, group, timeout).await);
    }
    if json {
        output::json(&compared)?;
    } else {
        output::line(&render(&compared))?;
    }
    Ok(match compared.iter().map(|group| group.verdict).max() {
        Some(Verdict::Equal) => Exit::Success,
        Some(Verdict::Incomplete) => Exit::ClusterDegraded,
        Some(Verdict::Different) => Exit::ReplicasDiffer,
        None => Exit::ClusterUnavailable,
    })
}

fn client(address: &str, timeout: Duration) -> anyhow::Result<AdminClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let endpoint = endpoint.connect_timeout(CONNECT_WITHIN).timeout(timeout);
    Ok(AdminClient::new(endpoint.connect_lazy()))
}

async fn groups(nodes: &[AdminClient<Channel>]) -> BTreeSet<u32> {
    newest(nodes).await.into_iter().map(|(group, _)| group).collect()
}

/// The newest index of each group in the log of each node that answers.
async fn newest(nodes: &[AdminClient<Channel>]) -> Vec<(u32, u64)> {
    let asked = nodes.iter().cloned().map(|mut node| async move {
        let status = tokio::time::timeout(WAIT, node.status(StatusRequest {})).await.ok()?.ok()?;
        Some(status.into_inner().groups)
    });
    let groups = join_all(asked).await.into_iter().flatten().flatten();
    groups.map(|group| (group.group, group.last_log_index)).collect()
}

/// Asks until all nodes answer for one index, or the time is over.
async fn compare(nodes: &[AdminClient<Channel>], group: u32, timeout: Duration) -> Compared {
    let deadline = Instant::now() + timeout;
    loop {
        let indexes = newest(nodes).await.into_iter().filter(|(known, _)| *known == group);
        let ahead = indexes.map(|(_, index)| index + AHEAD).max();
        let mut compared = judge(group, nodes.len(), &ask(nodes, group, ahead).await);
        if compared.verdict == Verdict::Incomplete {
            compared = judge(group, nodes.len(), &ask(nodes, group, None).await);
        }
        if compared.verdict != Verdict::Incomplete || Instant::now() > deadline {
            return compared;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(
    nodes: &[AdminClient<Channel>],
    group: u32,
    at_index: Option<u64>,
) -> Vec<StateHashResponse> {
    let wait_ms = u32::try_from(WAIT.as_millis()).unwrap_or(u32::MAX);
    let request = StateHashRequest { group, at_index, wait_ms };
    let asked = nodes.iter().cloned().map(|mut node| async move { node.state_hash(request).await });
    let answers = join_all(asked).await.into_iter().flatten();
    answers.map(tonic::Response::into_inner).collect()
}

/// What the answers mean; different numbers for one index count even when replicas are missing.
fn judge(group: u32, nodes: usize, answers: &[StateHashResponse]) -> Compared {
    // The index for which most have answered, the newest of those.
    let count = |index: u64| answers.iter().filter(|it| it.applied_index == index).count();
    let index = answers.iter().map(|it| it.applied_index).max_by_key(|it| (count(*it), *it));
    let index = index.unwrap_or_default();
    let of_index: Vec<_> = answers.iter().filter(|it| it.applied_index == index).collect();
    let hashes: BTreeSet<_> =
        of_index.iter().map(|it| (it.hash_version, it.hash.clone())).collect();
    let versions: BTreeSet<_> = hashes.iter().map(|(version, _)| version).collect();
    let verdict = match (hashes.len(), versions.len()) {
        (2.., 1) => Verdict::Different,
        (1, 1) if of_index.len() == nodes => Verdict::Equal,
        _ => Verdict::Incomplete,
    };
    let hex = |hash: &[u8]| hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Compared {
        group,
        verdict,
        applied_index: index,
        nodes: of_index.iter().map(|it| it.node_id).collect(),
        rows: of_index.iter().map(|it| it.rows).max().unwrap_or_default(),
        bytes: of_index.iter().map(|it| it.bytes).max().unwrap_or_default(),
        hashes: hashes.iter().map(|(_, hash)| hex(hash)).collect(),
    }
}

fn render(compared: &[Compared]) -> String {
    let mut table = Table::new(&["GROUP", "REPLICAS", "INDEX", "NODES", "ROWS", "BYTES", "HASH"]);
    for group in compared {
        let verdict = match group.verdict {
            Verdict::Equal => "equal",
            Verdict::Incomplete => "not all answered",
            Verdict::Different => "DIFFERENT",
        };
        table.row(vec![
            group.group.to_string(),
            verdict.to_owned(),
            group.applied_index.to_string(),
            group.nodes.iter().map(u64::to_string).collect::<Vec<_>>().join(","),
            group.rows.to_string(),
            group.bytes.to_string(),
            group.hashes.join(" "),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(node_id: u64, applied_index: u64, hash: &'static [u8]) -> StateHashResponse {
        let hash = hash.into();
        StateHashResponse { node_id, applied_index, hash, hash_version: 1, ..Default::default() }
    }

    fn verdict(answers: &[StateHashResponse]) -> Verdict {
        judge(1, 3, answers).verdict
    }

    #[test]
    fn all_replicas_at_one_index_are_compared() {
        let equal = [answer(1, 7, b"a"), answer(2, 7, b"a"), answer(3, 7, b"a")];
        assert_eq!(judge(1, 3, &equal).nodes, [1, 2, 3]);
        assert_eq!(verdict(&equal), Verdict::Equal);
        let differs = [answer(1, 7, b"a"), answer(2, 7, b"b"), answer(3, 7, b"a")];
        assert_eq!(verdict(&differs), Verdict::Different);
    }

    #[test]
    fn what_was_not_compared_is_not_called_equal() {
        assert_eq!(verdict(&[]), Verdict::Incomplete);
        assert_eq!(verdict(&[answer(1, 7, b"a"), answer(2, 7, b"a")]), Verdict::Incomplete);
        let elsewhere = [answer(1, 7, b"a"), answer(2, 7, b"a"), answer(3, 8, b"b")];
        assert_eq!(verdict(&elsewhere), Verdict::Incomplete);
        assert_eq!(verdict(&[answer(1, 7, b"a"), answer(2, 7, b"b")]), Verdict::Different);
        let other_version = StateHashResponse { hash_version: 2, ..answer(3, 7, b"b") };
        let mixed = [answer(1, 7, b"a"), answer(2, 7, b"a"), other_version];
        assert_eq!(verdict(&mixed), Verdict::Incomplete);
    }
}
