//! The other nodes as this one calls them: connections, pings and the breaker, shared by all
//! groups.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axp_proto::raft::PingRequest;
use axp_proto::raft::raft_client::RaftClient;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tonic::transport::{Channel, Endpoint};

use super::breaker::Breaker;
use super::link::Links;
use super::{CONNECTION_WINDOW_BYTES, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES};
use crate::config::RaftConfig;
use crate::metrics as names;
use crate::shutdown::Tasks;

/// How long a connection attempt may take, and how soon a dead connection is noticed: a peer that
/// comes back after a cut must not wait for TCP's own, growing, retries.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// An address that is no address.
#[derive(Debug, thiserror::Error)]
#[error("{address:?} is not the address of a node")]
pub struct AddressError {
    address: String,
    source: tonic::transport::Error,
}

/// A connection to a node's Raft port, made when first used and made again when lost.
///
/// # Errors
/// When the address cannot be part of a URI.
pub fn connect(address: &str) -> Result<RaftClient<Channel>, AddressError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|source| AddressError { address: address.to_owned(), source })?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .http2_adaptive_window(false)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES);
    Ok(RaftClient::new(endpoint.connect_lazy())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX))
}

/// What came of a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Alive {
        draining: bool,
    },
    /// The machine is there, and no process listens.
    Refused,
    /// No answer, or one of somebody else.
    Nothing,
}

/// One other node.
#[derive(Debug)]
pub struct Peer {
    pub(super) id: u64,
    address: String,
    /// Heartbeats, votes and pings: small, and never behind something big.
    pub(super) control: RaftClient<Channel>,
    pub(super) appends: RaftClient<Channel>,
    pub(super) snapshots: RaftClient<Channel>,
    pub(super) links: Links,
    breaker: Breaker,
    /// Asks for a ping before its time.
    doubted: Notify,
    /// Counts how often the process was found gone.
    gone: watch::Sender<u64>,
}

impl Peer {
    fn new(
        id: u64,
        address: &str,
        links: Links,
        breaker_after: Duration,
    ) -> Result<Self, AddressError> {
        Ok(Self {
            id,
            address: address.to_owned(),
            control: connect(address)?,
            appends: connect(address)?,
            snapshots: connect(address)?,
            links,
            breaker: Breaker::new(breaker_after),
            doubted: Notify::new(),
            gone: watch::Sender::new(0),
        })
    }

    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Changes each time that the process behind the address is found gone, after it had answered.
    pub fn gone(&self) -> watch::Receiver<u64> {
        self.gone.subscribe()
    }

    /// Pings for ever, one ping at a time.
    async fn keep_pinging(self: Arc<Self>, request: PingRequest, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Long enough for a loaded machine, short enough that a lost ping leaves room for others
        // before the breaker opens.
        let deadline = interval * 2;
        let mut heard = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.doubted.notified() => {}
            }
            let sent = Instant::now();
            match tokio::time::timeout(deadline, self.ping(request.clone())).await {
                Ok(Heard::Alive { draining }) => {
                    heard = true;
                    self.breaker.answered(sent.elapsed(), draining);
                }
                Ok(Heard::Refused) if heard => {
                    heard = false;
                    self.gone.send_modify(|times| *times += 1);
                }
                Ok(Heard::Refused | Heard::Nothing) | Err(_) => {}
            }
            self.report();
        }
    }

    async fn ping(&self, request: PingRequest) -> Heard {
        let mut client = self.control.clone();
        self.links.request(self.id, "ping").await;
        let response = client.ping(request).await;
        self.links.answer(self.id, "ping").await;
        match response.map(tonic::Response::into_inner) {
            Ok(answer) if answer.node_id == self.id => Heard::Alive { draining: answer.draining },
            Ok(answer) => {
                tracing::warn!(peer = self.id, answered = answer.node_id, "a wrong node answers");
                Heard::Nothing
            }
            Err(status) => {
                tracing::debug!(peer = self.id, %status, "no answer to a ping");
                self.knock().await
            }
        }
    }

    /// Whether nobody listens at the address. A failed ping does not tell: it may have been the old
    /// connection that broke.
    async fn knock(&self) -> Heard {
        match TcpStream::connect(&self.address).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Heard::Refused,
            Ok(_) | Err(_) => Heard::Nothing,
        }
    }

    fn report(&self) {
        let peer = self.id.to_string();
        if let Some(rtt) = self.breaker.round_trip() {
            metrics::gauge!(names::RAFT_PEER_RTT, "peer" => peer.clone()).set(rtt.as_secs_f64());
        }
        match self.breaker.publish() {
            Some(true) => tracing::info!(peer = self.id, "peer is reachable again"),
            Some(false) => {
                tracing::warn!(peer = self.id, address = self.address, "peer is unreachable");
                metrics::counter!(names::RAFT_BREAKER_OPENED, "peer" => peer.clone()).increment(1);
            }
            None => {}
        }
        let reachable = if self.breaker.is_open() { 0.0 } else { 1.0 };
        metrics::gauge!(names::RAFT_PEER_REACHABLE, "peer" => peer).set(reachable);
    }
}

/// All other nodes, and who we are to them.
#[derive(Debug, Clone)]
pub struct Peers {
    cluster_id: Arc<str>,
    node_id: u64,
    peers: Arc<BTreeMap<u64, Arc<Peer>>>,
    /// Told to the peers, so that they do not hand leadership to a node that is about to stop.
    draining: Arc<AtomicBool>,
}

impl Peers {
    /// `addresses`: node id and Raft address of every node of the cluster, this one included.
    ///
    /// # Errors
    /// When an address cannot be used.
    pub fn new<'a>(
        cluster_id: &str,
        node_id: u64,
        addresses: impl Iterator<Item = (u64, &'a str)>,
        config: &RaftConfig,
        links: &Links,
    ) -> Result<Self, AddressError> {
        let mut peers = BTreeMap::new();
        for (id, address) in addresses.filter(|(id, _)| *id != node_id) {
            let peer = Peer::new(id, address, links.clone(), config.breaker_after())?;
            peers.insert(id, Arc::new(peer));
        }
        Ok(Self {
            cluster_id: cluster_id.into(),
            node_id,
            peers: Arc::new(peers),
            draining: Arc::default(),
        })
    }

    /// Starts to ping every peer, until the node stops.
    pub fn start_pinging(&self, interval: Duration, tasks: &Tasks) {
        for peer in self.peers.values() {
            let request =
                PingRequest { from_node_id: self.node_id, cluster_id: self.cluster_id.to_string() };
            tasks.spawn("ping", Arc::clone(peer).keep_pinging(request, interval));
        }
    }

    /// Pings every peer now: a connection broke, and one of them may be gone.
    pub(super) fn doubt(&self) {
        for peer in self.peers.values() {
            peer.doubted.notify_one();
        }
    }

    #[must_use]
    pub fn cluster_id(&self) -> &Arc<str> {
        &self.cluster_id
    }

    #[must_use]
    pub fn node_id(&self) -> u64 {
        self.node_id
    }

    #[must_use]
    pub fn get(&self, id: u64) -> Option<&Arc<Peer>> {
        self.peers.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.peers.values()
    }

    /// Says in answers to pings that this node is about to stop.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
