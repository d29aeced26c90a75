//! `axp bench inbox`: outcomes on their way to the inbox of `reply_to`, and what its owner does there.
//!
//! ```text
//! initiator --submit, reply_to--> server      resolve --> outcome in the inbox (awaited by resolve)
//! owner     --reply, approve----> server
//! ```

use std::sync::Arc;

use clap::Args;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::{LoadArgs, Run, join_all, report};
use crate::clock;
use crate::load::{Client, Failure, Report, pause_after};

const RESOLVE: &[u8] = br#"{"status":"COMPLETED","result":{"passed":true}}"#;
const REPLY: &[u8] = br#"{"message":"thank you"}"#;
const APPROVE: &[u8] = b"{}";

#[derive(Debug, Args)]
pub(super) struct InboxArgs {
    #[command(flatten)]
    load: LoadArgs,
}

/// Of the answer to a resolve: only what is acted on.
#[derive(Deserialize)]
struct Resolved {
    completion_delivery: Delivery,
}

#[derive(Deserialize)]
struct Delivery {
    delivered: bool,
}

pub(super) async fn run(args: InboxArgs) -> anyhow::Result<Report> {
    let run = Run::new(args.load)?;
    let mut owners = JoinSet::new();
    for number in 0..usize::from(run.args.clients) {
        owners.spawn(own(Arc::clone(&run), number));
    }
    join_all(owners).await?;
    report("inbox", run)
}

async fn own(run: Arc<Run>, number: usize) {
    let mut client = run.client(number);
    while !run.is_over() {
        let began = clock::now();
        match operate(&run, &mut client, number).await {
            Ok(()) => run.recorder.completed(began),
            Err(failure) => {
                run.recorder.failed(&failure);
                pause_after(&failure).await;
            }
        }
    }
}

async fn operate(run: &Run, client: &mut Client, number: usize) -> Result<(), Failure> {
    let owner = format!("{}-inbox", run.agent(number));
    let more = format!("\"reply_to\":\"{owner}\",");
    let id = run.submit_with(client, number, None, None, &more).await?;
    let answer = client.post(&format!("/v1/intents/{id}/resolve"), None, RESOLVE).await?;
    let resolved: Resolved = serde_json::from_slice(&answer)
        .map_err(|_| Failure::Malformed("resolve answers without completion_delivery"))?;
    if !resolved.completion_delivery.delivered {
        return Err(Failure::Malformed("an outcome was not delivered in time"));
    }
    for (verb, body) in [("reply", REPLY), ("approve", APPROVE)] {
        client.post(&format!("/v1/inbox/{id}/{verb}?owner_agent={owner}"), None, body).await?;
    }
    Ok(())
}
