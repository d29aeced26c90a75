//! Connections to nodes: made when first used, kept, and shared by all requests.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use axp_proto::ids::GroupId;
use axp_proto::node::StatusRequest;
use axp_proto::node::admin_client::AdminClient;
use axp_proto::node::control_client::ControlClient;
use axp_proto::node::shard_client::ShardClient;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::commands::Commands;
use super::hub::Hub;
use crate::clock;
use crate::config::ClusterConfig;
use crate::net::Dial;

/// More nodes than any cluster has: bounds what hints can make us connect to.
const LINKS_MAX: usize = 256;
const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// How long a node may take to say what it leads.
const STATUS_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a node that let an attempt time out is not believed to lead anything.
const SUSPICION_MS: i64 = 1_000;

/// The connections to one node.
pub(crate) struct Link {
    address: Arc<str>,
    commands: Box<[Channel]>,
    next: AtomicUsize,
    /// Long-lived streams have a connection of their own, so that they never hold up a command.
    streams: Channel,
    /// And so do commands, which share a stream.
    batches: Channel,
    executing: tokio::sync::Mutex<Option<Arc<Commands>>>,
    hub: tokio::sync::Mutex<Option<Arc<Hub>>>,
    suspect_until_ms: AtomicI64,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.address).finish()
    }
}

impl Link {
    fn new(address: &str, config: &ClusterConfig, dial: &Dial) -> Option<Self> {
        // Explicit windows and no adaptive one: see libraries.md on small frames and windows.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .ok()?
            .connect_timeout(config.connect_timeout())
            .tcp_nodelay(true)
            .initial_stream_window_size(2 << 20)
            .initial_connection_window_size(8 << 20)
            .http2_keep_alive_interval(Duration::from_secs(3))
            .keep_alive_timeout(Duration::from_secs(3))
            .keep_alive_while_idle(true);
        let commands = (0..config.channels_per_node).map(|_| dial.channel(&endpoint));
        Some(Self {
            address: Arc::from(address),
            commands: commands.collect(),
            next: AtomicUsize::new(0),
            streams: dial.channel(&endpoint),
            batches: dial.channel(&endpoint),
            executing: tokio::sync::Mutex::new(None),
            hub: tokio::sync::Mutex::new(None),
            suspect_until_ms: AtomicI64::new(0),
        })
    }

    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    fn command_channel(&self) -> Channel {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.commands.len();
        self.commands[turn].clone()
    }

    pub(crate) fn shard(&self) -> ShardClient<Channel> {
        ShardClient::new(self.command_channel())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn control(&self) -> ControlClient<Channel> {
        ControlClient::new(self.command_channel())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Whether the node says that it leads a group. No answer in time is no.
    pub(super) async fn leads(&self, group: GroupId) -> bool {
        let mut admin = AdminClient::new(self.command_channel());
        let asked = tokio::time::timeout(STATUS_TIMEOUT, admin.status(StatusRequest {}));
        let Ok(Ok(status)) = asked.await else { return false };
        let groups = status.into_inner().groups;
        groups.iter().any(|known| known.group == u32::from(group.0) && known.role == "leader")
    }

    pub(super) fn control_stream(&self) -> ControlClient<Channel> {
        ControlClient::new(self.streams.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The one stream of commands to this node, opened when needed.
    pub(super) async fn commands(&self) -> Result<Arc<Commands>, Status> {
        let mut slot = self.executing.lock().await;
        if let Some(commands) = slot.as_ref()
            && commands.is_open()
        {
            return Ok(Arc::clone(commands));
        }
        let client = ShardClient::new(self.batches.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let commands = Commands::connect(client).await?;
        *slot = Some(Arc::clone(&commands));
        Ok(commands)
    }

    /// The one subscription stream to this node, opened when needed.
    pub(super) async fn hub(&self, stop: &CancellationToken) -> Result<Arc<Hub>, Status> {
        let mut slot = self.hub.lock().await;
        if let Some(hub) = slot.as_ref()
            && hub.is_open()
        {
            return Ok(Arc::clone(hub));
        }
        let client = ShardClient::new(self.streams.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let hub = Hub::connect(client, stop.clone()).await?;
        *slot = Some(Arc::clone(&hub));
        Ok(hub)
    }

    pub(super) fn suspect(&self) {
        let until = clock::now_ms() + SUSPICION_MS;
        self.suspect_until_ms.store(until, Ordering::Relaxed);
    }

    pub(super) fn trust(&self) {
        if self.suspect_until_ms.load(Ordering::Relaxed) != 0 {
            self.suspect_until_ms.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.suspect_until_ms.load(Ordering::Relaxed) > clock::now_ms()
    }
}

/// All nodes that were heard of.
#[derive(Debug)]
pub(crate) struct Nodes {
    config: ClusterConfig,
    dial: Dial,
    links: ArcSwap<HashMap<Arc<str>, Arc<Link>>>,
    adding: Mutex<()>,
    stop: CancellationToken,
}

impl Nodes {
    pub(super) fn new(config: ClusterConfig, dial: Dial, stop: CancellationToken) -> Self {
        Self { config, dial, links: ArcSwap::default(), adding: Mutex::new(()), stop }
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// The link to an address; absent when it is no address or there are too many already.
    pub(super) fn link(&self, address: &str) -> Option<Arc<Link>> {
        if let Some(link) = self.links.load().get(address) {
            return Some(Arc::clone(link));
        }
        let _guard = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let links = self.links.load_full();
        if let Some(link) = links.get(address) {
            return Some(Arc::clone(link));
        }
        if links.len() >= LINKS_MAX {
            tracing::warn!(address, "a node is ignored: there are too many already");
            return None;
        }
        let Some(link) = Link::new(address, &self.config, &self.dial) else {
            tracing::warn!(address, "a node is ignored: its address cannot be read");
            return None;
        };
        let link = Arc::new(link);
        let mut links = HashMap::clone(&links);
        links.insert(Arc::clone(link.address()), Arc::clone(&link));
        self.links.store(Arc::new(links));
        Some(link)
    }

    pub(super) fn seeds(&self) -> impl Iterator<Item = &str> {
        self.config.nodes.iter().map(String::as_str)
    }
}
