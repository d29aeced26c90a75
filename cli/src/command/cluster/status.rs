//! `axp cluster status`: asks every node, judges what they say, prints it.

use std::time::Duration;

use axp_proto::node::StatusRequest;
use axp_proto::node::admin_client::AdminClient;
use clap::Args;
use futures_util::future::join_all;
use tonic::transport::Endpoint;

use super::report::{Answer, Health, Report};
use crate::exit::Exit;
use crate::output;

/// Show nodes, groups, leaders, terms and lag. The exit code is the health.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Addresses of all nodes' APIs.
    #[arg(long, env = "AXP_NODES", value_delimiter = ',', required = true)]
    #[arg(value_name = "HOST:PORT,...")]
    nodes: Vec<String>,
    /// A voter that is further behind its leader than this counts as lagging.
    #[arg(long, default_value_t = 10_000, value_name = "ENTRIES")]
    lag_max: u64,
    /// How long to wait for each node.
    #[arg(long, default_value_t = 2_000, value_name = "MS")]
    timeout_ms: u64,
}

pub(super) async fn run(args: StatusArgs, json: bool) -> anyhow::Result<Exit> {
    let timeout = Duration::from_millis(args.timeout_ms);
    let answers = join_all(args.nodes.iter().map(|address| ask(address, timeout))).await;
    let report = Report::new(&answers, args.lag_max);
    if json {
        output::json(&report)?;
    } else {
        output::line(&report.render())?;
    }
    Ok(match report.health {
        Health::Healthy => Exit::Success,
        Health::Degraded => Exit::ClusterDegraded,
        Health::Unavailable => Exit::ClusterUnavailable,
    })
}

async fn ask(address: &str, timeout: Duration) -> Answer {
    let status = async {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| format!("no address: {error}"))?
            .connect_timeout(timeout);
        let channel = endpoint.connect().await.map_err(|error| causes(&error))?;
        let answer = AdminClient::new(channel).status(StatusRequest {}).await;
        answer.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
    };
    let status = match tokio::time::timeout(timeout, status).await {
        Ok(status) => status,
        Err(_) => Err(format!("no answer within {} ms", timeout.as_millis())),
    };
    Answer { address: address.to_owned(), status }
}

/// tonic's own text is only "transport error"; what happened is in its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}
