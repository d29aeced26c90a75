//! `axp cluster status`: asks every node, judges what they say, prints it.

use clap::Args;

use super::nodes::{NodesArgs, ask_all};
use super::report::{Health, Report};
use crate::exit::Exit;
use crate::output;

/// Show nodes, groups, leaders, terms and lag. The exit code is the health.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    /// A voter that is further behind its leader than this counts as lagging.
    #[arg(long, default_value_t = 10_000, value_name = "ENTRIES")]
    lag_max: u64,
}

pub(super) async fn run(args: StatusArgs, json: bool) -> anyhow::Result<Exit> {
    let answers = ask_all(&args.nodes.nodes, args.nodes.timeout()).await;
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
