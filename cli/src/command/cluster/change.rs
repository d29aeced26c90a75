//! `axp cluster add|remove|replace|abort`: asks for other members, and shows how they change.
//!
//! The cluster drives a change by itself once it has taken it; this only watches. Asking for the
//! same again is harmless.

use std::time::Duration;

use axp_proto::node::change_members_response::Outcome;
use axp_proto::node::{ChangeMembersRequest, ClusterMembers};
use clap::Args;
use tokio::time::Instant;

use super::members::View;
use super::nodes::{NodesArgs, ask_all, connect};
use crate::exit::{Exit, Refused};
use crate::output;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long to look for the leader of the control group, and for anybody while a change is watched.
const PATIENCE: Duration = Duration::from_secs(10);

/// Add nodes that wait to be let in: start them first, see `axp cluster members`.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Their ids.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<u64>,
    #[command(flatten)]
    how: HowArgs,
}

/// Remove nodes for good: their ids never come back.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Their ids.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<u64>,
    #[command(flatten)]
    how: HowArgs,
}

/// Replace a node, lost or not, by one with a new id that waits to be let in.
#[derive(Debug, Args)]
pub(super) struct ReplaceArgs {
    /// The node that goes.
    #[arg(value_name = "OLD")]
    old: u64,
    /// The node that comes.
    #[arg(long, value_name = "NEW")]
    with: u64,
    #[command(flatten)]
    how: HowArgs,
}

/// Go back to the members before the change that is under way.
#[derive(Debug, Args)]
pub(super) struct AbortArgs {
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, Args)]
struct HowArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Go on although a node that stays does not answer. Never without a majority.
    #[arg(long)]
    force: bool,
    /// Return when the change is wanted, not when it is done.
    #[arg(long)]
    no_wait: bool,
    /// How long to watch the change; it goes on by itself afterwards.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    wait_seconds: u64,
}

pub(super) async fn add(args: AddArgs, json: bool) -> anyhow::Result<Exit> {
    let request = ChangeMembersRequest { add: args.ids, ..ChangeMembersRequest::default() };
    run(request, &args.how, json).await
}

pub(super) async fn remove(args: RemoveArgs, json: bool) -> anyhow::Result<Exit> {
    let request = ChangeMembersRequest { remove: args.ids, ..ChangeMembersRequest::default() };
    run(request, &args.how, json).await
}

pub(super) async fn replace(args: ReplaceArgs, json: bool) -> anyhow::Result<Exit> {
    let (add, remove) = (vec![args.with], vec![args.old]);
    let request = ChangeMembersRequest { add, remove, ..ChangeMembersRequest::default() };
    run(request, &args.how, json).await
}

pub(super) async fn abort(args: AbortArgs, json: bool) -> anyhow::Result<Exit> {
    let request = ChangeMembersRequest { abort: true, ..ChangeMembersRequest::default() };
    run(request, &args.how, json).await
}

async fn run(mut request: ChangeMembersRequest, how: &HowArgs, json: bool) -> anyhow::Result<Exit> {
    request.force = how.force;
    let row = ask(&request, &how.nodes).await?;
    if !row.settled && row.wanted.len().is_multiple_of(2) {
        eprintln!(
            "note: {} nodes survive no more failures than {}",
            row.wanted.len(),
            row.wanted.len() - 1
        );
    }
    let view = if how.no_wait { look(&row, &how.nodes).await } else { watch(&row, how).await? };
    if let Some(view) = view {
        if json {
            output::json(&view)?;
        } else {
            output::line(&view.render())?;
        }
    }
    Ok(Exit::Success)
}

/// Finds the leader of the control group and asks it.
async fn ask(request: &ChangeMembersRequest, nodes: &NodesArgs) -> anyhow::Result<ClusterMembers> {
    let until = Instant::now() + PATIENCE;
    let mut hint: Option<String> = None;
    let mut problem = String::from("no node was asked");
    let mut turn = 0;
    while Instant::now() < until {
        let address = hint.take().unwrap_or_else(|| nodes.nodes[turn % nodes.nodes.len()].clone());
        turn += 1;
        match ask_one(&address, request, nodes.timeout()).await {
            Ok(Some(Outcome::Accepted(row))) => return Ok(row),
            Ok(Some(Outcome::Rejection(rejection))) => {
                return Err(Refused(rejection.message).into());
            }
            Ok(Some(Outcome::NotLeader(not_leader))) => {
                problem = "no node leads the control group".to_owned();
                hint = Some(not_leader.leader_address).filter(|address| !address.is_empty());
            }
            Ok(None) => problem = format!("{address} answers nothing that this version knows"),
            Err(reason) => problem = format!("{address}: {reason}"),
        }
        if hint.is_none() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    anyhow::bail!("{problem}")
}

async fn ask_one(
    address: &str,
    request: &ChangeMembersRequest,
    timeout: Duration,
) -> Result<Option<Outcome>, String> {
    let exchange = async {
        let mut admin = connect(address, timeout).await?;
        let answer = admin.change_members(request.clone()).await;
        answer.map_err(|status| status.message().to_owned())
    };
    match tokio::time::timeout(timeout * 2, exchange).await {
        Ok(answer) => Ok(answer?.into_inner().outcome),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// What the nodes say now: those that were named, and the members.
async fn look(row: &ClusterMembers, nodes: &NodesArgs) -> Option<View> {
    let mut addresses = nodes.nodes.clone();
    addresses.extend(row.members.iter().map(|member| member.api_address.clone()));
    addresses.sort_unstable();
    addresses.dedup();
    View::new(&ask_all(&addresses, nodes.timeout()).await)
}

/// Until the change is done, with every step on stderr.
async fn watch(row: &ClusterMembers, how: &HowArgs) -> anyhow::Result<Option<View>> {
    let until = Instant::now() + Duration::from_secs(how.wait_seconds);
    let mut told = String::new();
    let mut heard = Instant::now();
    loop {
        let view = look(row, &how.nodes).await;
        anyhow::ensure!(
            view.is_some() || heard.elapsed() < PATIENCE,
            "no node answers any more: axp cluster status says why; a change goes on by itself once \
             a majority is back"
        );
        if let Some(view) = view {
            heard = Instant::now();
            if view.epoch > row.epoch {
                anyhow::bail!("somebody wants other members now: see axp cluster members");
            }
            if view.epoch == row.epoch && view.settled {
                return Ok(Some(view));
            }
            if !view.progress.is_empty() && view.progress != told {
                eprintln!("{}", view.progress);
                told = view.progress;
            }
        }
        anyhow::ensure!(
            Instant::now() < until,
            "the change is still under way and goes on by itself: see axp cluster members"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
