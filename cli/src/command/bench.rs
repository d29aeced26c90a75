//! `axp bench`: closed-loop load on any server that speaks the contract. One file per workload.
//!
//! Each client has one operation under way at a time, over connections that are kept. What a
//! server refuses or drops is counted by kind and followed by a pause, not hidden by a retry.

mod inbox;
mod lifecycle;
mod push;
mod submit;
mod timers;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Deserialize;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::exit::Exit;
use crate::load::{Client, Failure, Payloads, Recorder, Report, Server, Window};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    workload: Workload,
}

#[derive(Debug, Subcommand)]
enum Workload {
    /// Submit intents; an operation ends with the acknowledgement.
    Submit(submit::SubmitArgs),
    /// Submit, deliver to an agent, finish; an operation ends with the outcome at the initiator.
    Lifecycle(lifecycle::LifecycleArgs),
    /// Submit to agents with a callback; an operation ends when the push has arrived here.
    Push(push::PushArgs),
    /// Submit with `reply_to` and resolve, then reply and approve in the inbox; an operation ends with
    /// the decision acknowledged.
    Inbox(inbox::InboxArgs),
    /// Many watchers on each intent; an operation is one event at one watcher.
    Watch(watch::WatchArgs),
    /// Intents whose deadlines pass within some time; measured is how late they time out.
    Timers(timers::TimersArgs),
}

#[derive(Debug, Args)]
struct LoadArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// How long to measure, like `500ms`, `10s` or `2m`.
    #[arg(long, default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// How long to load the server before measuring.
    #[arg(long, default_value = "2s", value_parser = duration)]
    warm_up: Duration,
}

/// Whom to load, and with what.
#[derive(Debug, Args)]
struct ServerArgs {
    /// Base URLs; clients spread over them and move on when one fails.
    #[arg(long, env = "AXME_BASE_URL", value_delimiter = ',', value_name = "URL,...")]
    #[arg(default_value = "http://127.0.0.1:8100")]
    url: Vec<String>,
    /// API key.
    #[arg(long, env = "AXME_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: String,
    /// Clients that work at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Size of each intent's payload.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(..=120_000))]
    payload_bytes: u32,
    /// After this time an operation has failed.
    #[arg(long, default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Agents that the intents go to; their names are new in each run.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    agents: u16,
}

pub(crate) async fn run(args: BenchArgs, json: bool) -> anyhow::Result<Exit> {
    let report = match args.workload {
        Workload::Submit(args) => submit::run(args).await?,
        Workload::Lifecycle(args) => lifecycle::run(args).await?,
        Workload::Push(args) => push::run(args).await?,
        Workload::Inbox(args) => inbox::run(args).await?,
        Workload::Watch(args) => watch::run(args).await?,
        Workload::Timers(args) => return timers::run(args, json).await,
    };
    if json {
        output::json(&report)?;
    } else {
        output::line(&report.render())?;
    }
    Ok(if report.operations > 0 { Exit::Success } else { Exit::Other })
}

/// What all clients of a run share.
struct Run {
    args: ServerArgs,
    servers: Arc<[Server]>,
    payloads: Payloads,
    recorder: Recorder,
    /// Distinguishes this run's agents and keys from those of every other run.
    name: String,
}

impl Run {
    fn new(args: LoadArgs) -> anyhow::Result<Arc<Self>> {
        Self::within(args.server, Window::new(args.warm_up, args.duration))
    }

    fn within(args: ServerArgs, window: Window) -> anyhow::Result<Arc<Self>> {
        let servers = args.url.iter().map(|url| Server::new(url, &args.api_key));
        let servers = servers.collect::<Result<Vec<_>, _>>()?.into();
        Ok(Arc::new(Self {
            servers,
            payloads: Payloads::new(args.payload_bytes as usize),
            recorder: Recorder::new(window),
            name: Uuid::now_v7().simple().to_string(),
            args,
        }))
    }

    fn client(&self, number: usize) -> Client {
        Client::new(Arc::clone(&self.servers), number, self.args.timeout)
    }

    fn is_over(&self) -> bool {
        self.recorder.window().is_over()
    }

    /// A bare name, which means an agent in the workspace of the key.
    fn agent(&self, number: usize) -> String {
        format!("bench-{}-{}", self.name, number % usize::from(self.args.agents))
    }

    /// Submits an intent and answers with its id.
    async fn submit(
        &self,
        client: &mut Client,
        number: usize,
        idempotency_key: Option<&str>,
    ) -> Result<String, Failure> {
        self.submit_with(client, number, idempotency_key, None, "").await
    }

    /// As [`Self::submit`], with a deadline.
    async fn submit_until(
        &self,
        client: &mut Client,
        number: usize,
        idempotency_key: Option<&str>,
        deadline_at: Option<&str>,
    ) -> Result<String, Failure> {
        self.submit_with(client, number, idempotency_key, deadline_at, "").await
    }

    /// With a deadline, and with more members, each closed by a comma.
    async fn submit_with(
        &self,
        client: &mut Client,
        number: usize,
        idempotency_key: Option<&str>,
        deadline_at: Option<&str>,
        more: &str,
    ) -> Result<String, Failure> {
        let mut body = format!(
            "{{\"intent_type\":\"intent.bench.v1\",\"to_agent\":\"{}\",\"correlation_id\":\"{}\",{more}",
            self.agent(number),
            Uuid::new_v4(),
        )
        .into_bytes();
        if let Some(deadline_at) = deadline_at {
            body.extend_from_slice(format!("\"deadline_at\":\"{deadline_at}\",").as_bytes());
        }
        self.payloads.write(&mut body);
        body.push(b'}');
        let answer = client.post("/v1/intents", idempotency_key, &body).await?;
        let submitted: Submitted = serde_json::from_slice(&answer)
            .map_err(|_| Failure::Malformed("submit answers without intent_id"))?;
        Ok(submitted.intent_id)
    }
}

#[derive(Deserialize)]
struct Submitted {
    intent_id: String,
}

/// How the stream of a server is used: live, until one shows that it always ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamMode {
    Live,
    Waiting,
}

impl StreamMode {
    fn query(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Waiting => "&wait_seconds=15",
        }
    }
}

/// Waits until all clients have ended; a panic in one ends the run.
async fn join_all(mut clients: JoinSet<()>) -> anyhow::Result<()> {
    while let Some(ended) = clients.join_next().await {
        ended.context("a client of the load generator crashed")?;
    }
    Ok(())
}

/// The report of a run whose clients are gone.
fn report(workload: &'static str, run: Arc<Run>) -> anyhow::Result<Report> {
    let run = Arc::into_inner(run).context("a client outlived its run")?;
    let clients = usize::from(run.args.clients);
    Ok(Report::new(workload, clients, run.args.payload_bytes as usize, run.recorder))
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write it like 500ms, 10s or 2m");
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let number: u32 = digits.parse().map_err(|_| wrong())?;
    let unit = match &text[digits.len()..] {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        _ => return Err(wrong()),
    };
    Ok(unit * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["10", "s", "1h", "-1s", "1.5s", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
