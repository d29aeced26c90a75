//! `axp dev`: a whole cluster and its gateway in this process.
//!
//! The same nodes and the same gateway as in production, over real sockets; only the limits of
//! request rates are off. stdout says how to reach it, and `axp: ready` when it serves.

mod folder;
mod nodes;

use std::path::PathBuf;
use std::process;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axp_gateway::config as gateway;
use axp_gateway::seed::{self, SeedRequest};
use axp_gateway::{Gateway, GatewayHandle};
use axp_node::config::{Engine, MailConfig, StorageConfig};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use self::folder::{Folder, Shape};
use self::nodes::Nodes;
use crate::api::Api;
use crate::config::{self, Context, Folder as ConfigFolder};
use crate::exit::Exit;
use crate::{clock, output};

const READY_MAX: Duration = Duration::from_secs(60);
const PROBE_PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Where the HTTP API listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8100", value_name = "HOST:PORT")]
    listen: String,
    /// Where the gRPC API listens.
    #[arg(long, default_value = "127.0.0.1:8101", value_name = "HOST:PORT")]
    grpc_listen: String,
    /// Where everything is kept. A second start on it continues.
    #[arg(long, default_value = "./axp-data", value_name = "FOLDER")]
    data_dir: PathBuf,
    /// How many nodes: 1, 3 or 5. Fixed for a data folder.
    #[arg(long, default_value_t = 1, value_parser = node_count)]
    nodes: u8,
    /// The organization to have; the first part of agent addresses.
    #[arg(long, default_value = "acme", value_name = "NAME")]
    org: String,
    /// Its workspace; the second part.
    #[arg(long, default_value = "prod", value_name = "NAME")]
    workspace: String,
    /// The API key to have; left out, one is made and kept in the data folder.
    #[arg(long, env = "AXP_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
    /// The context to be known as, so that other terminals need no exports.
    #[arg(long, default_value = "dev", value_name = "NAME")]
    context: String,
    /// Leave contexts as they are.
    #[arg(long)]
    no_context: bool,
    /// The server that mails human tasks, such as smtp://127.0.0.1:1025; left out, mails are kept in
    /// the folder `mail-outbox` of a node.
    #[arg(long, env = "AXP_SMTP_URL", hide_env_values = true, value_name = "URL")]
    smtp_url: Option<String>,
    /// The storage engine. Fixed for a data folder.
    #[arg(long, value_enum, default_value_t = EngineName::Fjall)]
    engine: EngineName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EngineName {
    Fjall,
    Sled,
}

impl EngineName {
    fn engine(self) -> Engine {
        match self {
            Self::Fjall => Engine::Fjall,
            Self::Sled => Engine::Sled,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Fjall => "fjall",
            Self::Sled => "sled",
        }
    }
}

/// With `--json` the log on stderr is JSON.
pub(crate) fn run(args: DevArgs, json: bool) -> anyhow::Result<Exit> {
    log(json)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(dev(args))
}

async fn dev(mut args: DevArgs) -> anyhow::Result<Exit> {
    args.listen = known_port(&args.listen)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(stop);
    let shape = Shape { nodes: args.nodes, engine: args.engine.name().to_owned() };
    let folder = Folder::open(&args.data_dir, &shape)?;
    let api_key = match &args.api_key {
        Some(key) => key.clone(),
        None => folder.api_key()?,
    };
    let storage = StorageConfig { engine: args.engine.engine(), ..StorageConfig::default() };
    let mail = mail(&args);
    let nodes = tokio::select! {
        nodes = Nodes::start(&folder, args.nodes, &storage, &mail) => nodes?,
        () = &mut stop => return Ok(Exit::Success),
    };
    // Once the nodes run, whatever ends us has to stop them in order.
    let result = tokio::select! {
        reason = nodes.wait_failed() => die(&reason),
        result = serve(&args, &api_key, &nodes, &mut stop) => result,
    };
    nodes.stop().await;
    result.map(|()| Exit::Success)
}

/// Puts the gateway in front of the nodes until it is told to stop.
async fn serve(
    args: &DevArgs,
    api_key: &str,
    nodes: &Nodes,
    stop: &mut (impl Future<Output = ()> + Unpin),
) -> anyhow::Result<()> {
    let addresses: Vec<_> = nodes.api_addresses().iter().map(ToString::to_string).collect();
    let starting = async {
        nodes.wait_ready().await;
        seed(args, api_key, &addresses).await?;
        let gateway = Gateway::start(gateway_config(args, &addresses)).await;
        gateway.context("the gateway does not start")
    };
    let gateway = tokio::select! {
        gateway = starting => gateway?,
        () = &mut *stop => return Ok(()),
    };
    let serving = async {
        // Before it is ready, so that whoever has waited for that finds it.
        let registered = if args.no_context { None } else { register(args, &gateway, api_key) };
        announce(&gateway, api_key, &addresses).await?;
        if let Some(registered) = registered {
            output::line(&registered)?;
        }
        std::future::pending().await
    };
    let result = tokio::select! {
        result = serving => result,
        () = stop => Ok(()),
    };
    tracing::info!("stopping");
    gateway.shutdown().await;
    result
}

/// Makes the organization, the workspace and the key before anybody can ask for them.
async fn seed(args: &DevArgs, api_key: &str, nodes: &[String]) -> anyhow::Result<()> {
    let request = SeedRequest {
        org: args.org.clone(),
        workspace: args.workspace.clone(),
        api_key: Some(api_key.to_owned()),
    };
    let seeded = seed::ensure(nodes, &request, READY_MAX).await;
    let seeded = seeded.with_context(|| format!("cannot make {}/{}", args.org, args.workspace))?;
    tracing::info!(agent = seeded.agent_address, "the key sends as this agent");
    Ok(())
}

async fn announce(gateway: &GatewayHandle, api_key: &str, nodes: &[String]) -> anyhow::Result<()> {
    let url = format!("http://{}", gateway.http_address());
    output::line(&format!("AXME_BASE_URL={url}"))?;
    output::line(&format!("AXME_API_KEY={api_key}"))?;
    output::line(&format!("AXP_GRPC_ADDR={}", gateway.grpc_address()))?;
    output::line(&format!("AXP_NODES={}", nodes.join(",")))?;
    wait_until_it_serves(&Api::at(&url, api_key)?).await?;
    output::line("axp: ready")?;
    Ok(())
}

/// Makes this server a context and says so. That it cannot be kept is no reason not to serve.
fn register(args: &DevArgs, gateway: &GatewayHandle, api_key: &str) -> Option<String> {
    let name = &args.context;
    let context = Context { url: format!("http://{}", gateway.http_address()) };
    let stored = ConfigFolder::require()
        .and_then(|folder| config::store(&folder, name, context, Some(api_key), false));
    match stored {
        Ok(contexts) if contexts.current() == Some(name) => Some(format!(
            "axp: in another terminal, `axp status` finds it: it is the context `{name}`"
        )),
        Ok(_) => Some(format!(
            "axp: in another terminal, `axp context use {name}` makes it the server in use"
        )),
        Err(error) => {
            tracing::warn!("cannot store context {name}: {error:#}");
            None
        }
    }
}

/// A list asks the leader of every group, which answers only when a quorum has confirmed that it
/// leads in its term, which takes a commit in each.
async fn wait_until_it_serves(api: &Api) -> anyhow::Result<()> {
    let deadline = clock::now() + READY_MAX;
    loop {
        let Err(error) = api.get("/v1/intents?limit=1").await else { return Ok(()) };
        if clock::now() >= deadline {
            return Err(error).context("it does not serve after a minute");
        }
        tokio::time::sleep(PROBE_PAUSE).await;
    }
}

fn gateway_config(args: &DevArgs, nodes: &[String]) -> gateway::Config {
    let mut config = gateway::Config::default();
    config.server.deployment_profile = "dev".to_owned();
    config.http.listen.clone_from(&args.listen);
    config.grpc.listen.clone_from(&args.grpc_listen);
    config.admin.listen = String::new();
    config.cluster.nodes = nodes.to_vec();
    config.rate_limit.enabled = false;
    config.media.directory = args.data_dir.join("media");
    config
}

/// Ends the process at once: threads that still run might acknowledge what is not durable.
fn die(reason: &str) -> ! {
    eprintln!("axp: {reason}");
    process::exit(Exit::StorageFailed as i32);
}

fn log(json: bool) -> anyhow::Result<()> {
    let filter = match EnvFilter::try_from_default_env() {
        Ok(filter) => filter,
        Err(_) => EnvFilter::try_new("info,openraft=error,fjall=warn,lsm_tree=warn")?,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if json { log.json().flatten_event(true).try_init() } else { log.try_init() };
    if let Err(error) = installed {
        bail!("logging cannot be set up: {error}");
    }
    Ok(())
}

/// Links in mails lead to the gateway, which starts after the nodes that send them.
fn known_port(listen: &str) -> anyhow::Result<String> {
    if !listen.ends_with(":0") {
        return Ok(listen.to_owned());
    }
    let free = std::net::TcpListener::bind(listen).with_context(|| format!("binding {listen}"))?;
    Ok(free.local_addr()?.to_string())
}

fn mail(args: &DevArgs) -> MailConfig {
    MailConfig {
        smtp_url: args.smtp_url.clone().unwrap_or_default(),
        public_url: format!("http://{}", args.listen),
        ..MailConfig::default()
    }
}

fn node_count(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("a cluster has 1, 3 or 5 nodes: 2 or 4 survive no more failures".to_owned()),
    }
}
