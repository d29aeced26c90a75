//! `axp-node --config FILE` runs a node; `axp-node prestop` drains the one on this machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use axp_node::config::Config;
use axp_node::telemetry::{self, Telemetry};
use axp_node::{Node, NodeHandle};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the pre-stop hook waits: longer than a drain, shorter than any grace period.
const PRESTOP_DEADLINE: Duration = Duration::from_secs(20);

/// One node of an AXP cluster.
#[derive(Debug, Parser)]
#[command(name = "axp-node", version, about)]
struct Arguments {
    /// Configuration file; without one the defaults and the environment count
    #[arg(long, env = "AXP_NODE_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Hand leadership over before this node stops; always succeeds
    Prestop,
    /// Check the configuration and print it, with everything that was left out
    CheckConfig,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => run(&arguments).await,
        Some(Command::Prestop) => {
            prestop(&arguments).await;
            Ok(())
        }
        Some(Command::CheckConfig) => check_config(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axp-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn load(arguments: &Arguments) -> anyhow::Result<Config> {
    Ok(Config::load(arguments.config.as_deref(), std::env::vars())?)
}

fn check_config(arguments: &Arguments) -> anyhow::Result<()> {
    println!("{}", toml::to_string(&load(arguments)?)?);
    Ok(())
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = load(arguments)?;
    let telemetry = Telemetry::install(&config.telemetry, config.node.id)?;
    telemetry::metrics_handle();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    tokio::pin!(stop);
    let node = tokio::select! {
        node = Node::start(config) => node.context("the node does not start")?,
        // It waits for its peers and has nothing to hand over.
        signal = &mut stop => {
            tracing::info!(signal, "stopped before it started");
            return Ok(());
        }
    };
    tracing::info!(addresses = ?node.addresses(), "the node serves");
    let result = tokio::select! {
        reason = node.wait_failed() => die(&reason),
        signal = stop => {
            tracing::info!(signal, "stopping");
            stop_node(node).await
        }
    };
    telemetry.shutdown().await;
    result
}

/// A failure while stopping is still a failure: nothing more may be acknowledged.
async fn stop_node(node: NodeHandle) -> anyhow::Result<()> {
    let fatal = node.context().tasks.fatal().clone();
    tokio::select! {
        reason = fatal.wait() => die(&reason),
        () = node.shutdown() => Ok(()),
    }
}

/// Ends the process at once: threads that still run might acknowledge what is not durable.
fn die(reason: &str) -> ! {
    eprintln!("axp-node: {reason}");
    std::process::exit(70);
}

/// Exits with success whatever happens: a hook that fails only adds noise to a stop.
async fn prestop(arguments: &Arguments) {
    let drained = async {
        let config = load(arguments)?;
        drain::post(&config.node.admin_listen).await
    };
    match tokio::time::timeout(PRESTOP_DEADLINE, drained).await {
        Ok(Ok(answer)) => println!("drained: {answer}"),
        Ok(Err(error)) => println!("not drained: {error:#}"),
        Err(_) => println!("not drained in time"),
    }
}

/// One HTTP request without an HTTP client.
mod drain {
    use anyhow::Context as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    const ANSWER_BYTES_MAX: u64 = 64 * 1024;

    pub(super) async fn post(listen: &str) -> anyhow::Result<String> {
        let port = listen.rsplit_once(':').map(|(_, port)| port).context("no admin port")?;
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
        let request = "POST /drain HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
        let status = head.lines().next().unwrap_or_default();
        anyhow::ensure!(status.contains(" 200 "), "the admin port answered {status:?}");
        Ok(body.trim().to_owned())
    }
}
