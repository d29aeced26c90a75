//! Asks nodes over `axp.node.v1`.

use std::time::Duration;

use axp_proto::node::admin_client::AdminClient;
use axp_proto::node::{StatusRequest, StatusResponse};
use clap::Args;
use futures_util::future::join_all;
use tonic::transport::{Channel, Endpoint};

/// Which nodes to ask.
#[derive(Debug, Args)]
pub(super) struct NodesArgs {
    /// Addresses of all nodes' APIs.
    #[arg(long, env = "AXP_NODES", value_delimiter = ',', required = true)]
    #[arg(value_name = "HOST:PORT,...")]
    pub(super) nodes: Vec<String>,
    /// How long to wait for each node.
    #[arg(long, default_value_t = 2_000, value_name = "MS")]
    pub(super) timeout_ms: u64,
}

impl NodesArgs {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// What one node said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) address: String,
    pub(super) status: Result<StatusResponse, String>,
}

pub(super) async fn ask_all(addresses: &[String], timeout: Duration) -> Vec<Answer> {
    join_all(addresses.iter().map(|address| ask(address, timeout))).await
}

async fn ask(address: &str, timeout: Duration) -> Answer {
    let status = async {
        let mut admin = connect(address, timeout).await?;
        let answer = admin.status(StatusRequest {}).await;
        answer.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
    };
    let status = match tokio::time::timeout(timeout, status).await {
        Ok(status) => status,
        Err(_) => Err(format!("no answer within {} ms", timeout.as_millis())),
    };
    Answer { address: address.to_owned(), status }
}

pub(super) async fn connect(
    address: &str,
    timeout: Duration,
) -> Result<AdminClient<Channel>, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| format!("no address: {error}"))?
        .connect_timeout(timeout);
    let channel = endpoint.connect().await.map_err(|error| causes(&error))?;
    Ok(AdminClient::new(channel))
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
