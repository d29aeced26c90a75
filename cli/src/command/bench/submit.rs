//! `axp bench submit`.

use std::sync::Arc;

use clap::Args;
use tokio::task::JoinSet;

use super::{LoadArgs, Run, join_all, report};
use crate::clock;
use crate::load::{Report, pause_after};

#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// Send an Idempotency-Key with each intent, as careful clients do.
    #[arg(long)]
    idempotency_keys: bool,
    #[command(flatten)]
    load: LoadArgs,
}

pub(super) async fn run(args: SubmitArgs) -> anyhow::Result<Report> {
    let run = Run::new(args.load)?;
    let mut clients = JoinSet::new();
    for number in 0..usize::from(run.args.clients) {
        clients.spawn(submit(Arc::clone(&run), number, args.idempotency_keys));
    }
    join_all(clients).await?;
    report("submit", run)
}

async fn submit(run: Arc<Run>, number: usize, idempotency_keys: bool) {
    let mut client = run.client(number);
    for operation in 0_u64.. {
        if run.is_over() {
            return;
        }
        let key = idempotency_keys.then(|| format!("{}-{number}-{operation}", run.name));
        let began = clock::now();
        match run.submit(&mut client, number, key.as_deref()).await {
            Ok(_) => run.recorder.completed(began),
            Err(failure) => {
                run.recorder.failed(&failure);
                pause_after(&failure).await;
            }
        }
    }
}
