//! `axp bench lifecycle`: the whole way of an intent, with agents of its own.
//!
//! ```text
//! initiator --submit--> server --delivery stream--> listener --queue--> finisher --resume--> server
//! initiator <------------------------------ event stream --------------------------------- server
//! ```
//! At most as many intents as initiators are under way, so the queue is bounded by that number,
//! and one finisher for each lets every delivery be answered at once.

use std::sync::Arc;

use clap::Args;
use serde::Deserialize;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{LoadArgs, Run, StreamMode, join_all, report};
use crate::clock;
use crate::load::{Client, Failure, Patience, Report, pause_after};

/// What the product page's agent answers: a result without `action` completes the intent.
const RESULT: &[u8] = br#"{"passed":true,"reason":"within limits"}"#;

#[derive(Debug, Args)]
pub(super) struct LifecycleArgs {
    #[command(flatten)]
    load: LoadArgs,
}

/// Of an event of an intent or of a delivery: only what is acted on.
#[derive(Deserialize)]
struct Position {
    intent_id: String,
    seq: u64,
}

type Queue = Arc<Mutex<mpsc::Receiver<String>>>;

pub(super) async fn run(args: LifecycleArgs) -> anyhow::Result<Report> {
    let run = Run::new(args.load)?;
    let clients = usize::from(run.args.clients);
    let (deliveries, queue) = mpsc::channel(clients);
    let queue = Arc::new(Mutex::new(queue));
    let mut agents = JoinSet::new();
    for number in 0..usize::from(run.args.agents) {
        agents.spawn(listen(Arc::clone(&run), number, deliveries.clone()));
    }
    for number in 0..clients {
        agents.spawn(finish(Arc::clone(&run), number, Arc::clone(&queue)));
    }
    let mut initiators = JoinSet::new();
    for number in 0..clients {
        initiators.spawn(initiate(Arc::clone(&run), number));
    }
    join_all(initiators).await?;
    agents.shutdown().await;
    report("lifecycle", run)
}

async fn initiate(run: Arc<Run>, number: usize) {
    let mut client = run.client(number);
    let mut mode = StreamMode::Live;
    while !run.is_over() {
        let began = clock::now();
        let deadline = client.deadline();
        let result = match run.submit(&mut client, number, None).await {
            Ok(id) => await_outcome(&run, &mut client, &id, &mut mode, began, deadline).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = result {
            run.recorder.failed(&failure);
            pause_after(&failure).await;
        }
    }
}

/// Follows the intent until its terminal event has arrived, over as many responses as that takes.
async fn await_outcome(
    run: &Run,
    client: &mut Client,
    intent_id: &str,
    mode: &mut StreamMode,
    began: Instant,
    deadline: Instant,
) -> Result<(), Failure> {
    let mut seq = 0;
    loop {
        let failure = match follow(run, client, intent_id, *mode, &mut seq, began, deadline).await {
            Ok(true) => return Ok(()),
            Ok(false) => {
                *mode = StreamMode::Waiting;
                continue;
            }
            Err(failure) => failure,
        };
        if clock::now() >= deadline || matches!(failure, Failure::Malformed(_)) {
            return Err(failure);
        }
        run.recorder.failed(&failure);
        pause_after(&failure).await;
    }
}

/// Reads one response. True: the intent has ended.
async fn follow(
    run: &Run,
    client: &mut Client,
    intent_id: &str,
    mode: StreamMode,
    seq: &mut u64,
    began: Instant,
    deadline: Instant,
) -> Result<bool, Failure> {
    let path = format!("/v1/intents/{intent_id}/events/stream?since={seq}{}", mode.query());
    let patience = Patience::Until(deadline);
    let mut stream = client.stream(&path).await?;
    while let Some(event) = stream.next(patience).await? {
        let position = position(&event.data)?;
        if position.seq != *seq + 1 {
            return Err(Failure::Malformed("the events of an intent have a gap"));
        }
        *seq = position.seq;
        if event.is_terminal() {
            run.recorder.completed(began);
            stream.finish(patience).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// An agent's stream: what is delivered goes to the finishers.
async fn listen(run: Arc<Run>, number: usize, deliveries: mpsc::Sender<String>) {
    let mut client = run.client(number);
    let mut mode = StreamMode::Live;
    let mut cursor = 0;
    loop {
        match receive(&run, &mut client, number, mode, &mut cursor, &deliveries).await {
            Ok(()) => mode = StreamMode::Waiting,
            Err(failure) => {
                run.recorder.failed(&failure);
                pause_after(&failure).await;
            }
        }
    }
}

async fn receive(
    run: &Run,
    client: &mut Client,
    number: usize,
    mode: StreamMode,
    cursor: &mut u64,
    deliveries: &mpsc::Sender<String>,
) -> Result<(), Failure> {
    let agent = run.agent(number);
    let path = format!("/v1/agents/{agent}/intents/stream?since={cursor}{}", mode.query());
    let patience = Patience::Silence(run.args.timeout);
    let mut stream = client.stream(&path).await?;
    while let Some(event) = stream.next(patience).await? {
        let position = position(&event.data)?;
        *cursor = position.seq.max(*cursor);
        if deliveries.send(position.intent_id).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers deliveries one after another.
async fn finish(run: Arc<Run>, number: usize, queue: Queue) {
    let mut client = run.client(number);
    loop {
        let delivery = queue.lock().await.recv().await;
        let Some(intent_id) = delivery else { return };
        let deadline = client.deadline();
        while let Err(failure) = resume(&run, &mut client, &intent_id).await {
            run.recorder.failed(&failure);
            if clock::now() >= deadline {
                break;
            }
            pause_after(&failure).await;
        }
    }
}

async fn resume(run: &Run, client: &mut Client, intent_id: &str) -> Result<(), Failure> {
    match client.post(&format!("/v1/intents/{intent_id}/resume"), None, RESULT).await {
        Ok(_) => Ok(()),
        // Delivered again, or answered before the connection broke: it has ended, which is fine.
        Err(Failure::Refused { status: 409, .. }) => {
            run.recorder.count("repeated_deliveries");
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}

fn position(data: &[u8]) -> Result<Position, Failure> {
    serde_json::from_slice(data).map_err(|_| Failure::Malformed("an event without position"))
}
