//! `axp bench watch`: how fast an event reaches all who watch.
//!
//! Clients form groups. A group submits an intent, opens a stream for each of its watchers, and
//! when all have seen the intent's first event, resolves it. An operation is the terminal event
//! at one watcher, timed from the moment the resolve was sent.

use std::sync::{Arc, OnceLock};

use clap::Args;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{LoadArgs, Run, StreamMode, join_all, report};
use crate::clock;
use crate::load::{Client, Failure, Patience, Report, pause_after};

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// Watchers on each intent.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    watchers: u16,
    #[command(flatten)]
    load: LoadArgs,
}

pub(super) async fn run(args: WatchArgs) -> anyhow::Result<Report> {
    let run = Run::new(args.load)?;
    let numbers: Vec<_> = (0..usize::from(run.args.clients)).collect();
    let mut groups = JoinSet::new();
    for group in numbers.chunks(usize::from(args.watchers)) {
        groups.spawn(drive(Arc::clone(&run), group.to_vec()));
    }
    join_all(groups).await?;
    report("watch", run)
}

async fn drive(run: Arc<Run>, group: Vec<usize>) {
    let number = group[0];
    let mut driver = run.client(number);
    let mut watchers: Vec<_> = group.iter().map(|number| run.client(*number)).collect();
    while !run.is_over() {
        match round(&run, &mut driver, number, watchers).await {
            (clients, Ok(())) => watchers = clients,
            (clients, Err(failure)) => {
                watchers = clients;
                run.recorder.failed(&failure);
                pause_after(&failure).await;
            }
        }
        // A watcher that was aborted took its client along.
        watchers.extend(group.iter().skip(watchers.len()).map(|number| run.client(*number)));
    }
}

/// One intent, watched by all and resolved once. Gives the watchers' clients back.
async fn round(
    run: &Arc<Run>,
    driver: &mut Client,
    number: usize,
    watchers: Vec<Client>,
) -> (Vec<Client>, Result<(), Failure>) {
    let intent_id = match run.submit(driver, number, None).await {
        Ok(intent_id) => Arc::<str>::from(intent_id),
        Err(failure) => return (watchers, Err(failure)),
    };
    let resolved = Arc::new(OnceLock::new());
    let (attached, mut attachments) = mpsc::channel(watchers.len());
    let mut tasks = JoinSet::new();
    for client in watchers {
        let watch = Watch {
            run: Arc::clone(run),
            intent_id: Arc::clone(&intent_id),
            resolved: Arc::clone(&resolved),
            attached: Some(attached.clone()),
        };
        tasks.spawn(watch.run(client));
    }
    drop(attached);
    // Each watcher says it once or gives up; then the channel has no sender left.
    while attachments.recv().await.is_some() {}
    resolved.get_or_init(clock::now);
    let path = format!("/v1/intents/{intent_id}/resolve");
    let result = driver.post(&path, None, br#"{"status":"COMPLETED","result":{}}"#).await;
    if result.is_err() {
        // Nothing will happen that the watchers could see.
        tasks.abort_all();
    }
    let mut clients = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(client) => clients.push(client),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {} // Aborted above.
        }
    }
    (clients, result.map(|_| ()))
}

struct Watch {
    run: Arc<Run>,
    intent_id: Arc<str>,
    resolved: Arc<OnceLock<Instant>>,
    attached: Option<mpsc::Sender<()>>,
}

impl Watch {
    async fn run(mut self, mut client: Client) -> Client {
        let deadline = client.deadline();
        let mut events = 0;
        let mut mode = StreamMode::Live;
        loop {
            match self.follow(&mut client, mode, &mut events, deadline).await {
                Ok(true) => return client,
                Ok(false) => mode = StreamMode::Waiting,
                Err(failure) => {
                    self.run.recorder.failed(&failure);
                    return client;
                }
            }
        }
    }

    /// Reads one response. True: the intent has ended.
    async fn follow(
        &mut self,
        client: &mut Client,
        mode: StreamMode,
        events: &mut u64,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let id = &self.intent_id;
        let path = format!("/v1/intents/{id}/events/stream?since={events}{}", mode.query());
        let patience = Patience::Until(deadline);
        let mut stream = client.stream(&path).await?;
        while let Some(event) = stream.next(patience).await? {
            // `seq` is dense, so counting gives the position.
            *events += 1;
            if event.is_terminal() {
                if let Some(resolved) = self.resolved.get() {
                    self.run.recorder.completed(*resolved);
                }
                stream.finish(patience).await?;
                return Ok(true);
            }
            // Dropping the sender is the message.
            self.attached = None;
        }
        Ok(false)
    }
}
