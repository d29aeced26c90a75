//! The other nodes as this one calls them: connections, pings and the breaker, shared by all
//! groups. Who they are is told by `cluster`, and by the membership of a group that names a node
//! that `cluster` has not told of yet.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use axp_proto::raft::PingRequest;
use axp_proto::raft::raft_client::RaftClient;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::breaker::Breaker;
use super::link::Links;
use super::{CONNECTION_WINDOW_BYTES, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES};
use crate::config::RaftConfig;
use crate::metrics as names;
use crate::net::Dial;
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
pub fn connect(address: &str, dial: &Dial) -> Result<RaftClient<Channel>, AddressError> {
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
    Ok(RaftClient::new(dial.channel(&endpoint))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX))
}

/// What came of a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Alive {
        draining: bool,
        /// It says that this node was removed from the cluster.
        removed: bool,
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
    dial: Dial,
    breaker: Breaker,
    /// Asks for a ping before its time.
    doubted: Notify,
    /// Counts how often the process was found gone.
    gone: watch::Sender<u64>,
    /// Ends the pings when the node is no peer any more.
    left: CancellationToken,
}

impl Peer {
    fn new(
        id: u64,
        address: &str,
        links: Links,
        dial: &Dial,
        breaker_after: Duration,
    ) -> Result<Self, AddressError> {
        Ok(Self {
            id,
            address: address.to_owned(),
            control: connect(address, dial)?,
            appends: connect(address, dial)?,
            snapshots: connect(address, dial)?,
            links,
            dial: dial.clone(),
            breaker: Breaker::new(breaker_after),
            doubted: Notify::new(),
            gone: watch::Sender::new(0),
            left: CancellationToken::new(),
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
    async fn keep_pinging(self: Arc<Self>, from: Peers, interval: Duration) {
        let request =
            PingRequest { from_node_id: from.node_id(), cluster_id: from.cluster_id().to_string() };
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
                Ok(Heard::Alive { draining, removed }) => {
                    heard = true;
                    self.breaker.answered(sent.elapsed(), draining);
                    if removed {
                        from.0.removed_here.send_replace(true);
                    }
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
            Ok(answer) if answer.node_id == self.id => {
                Heard::Alive { draining: answer.draining, removed: answer.removed }
            }
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
        match self.dial.knock(&self.address).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Heard::Refused,
            Ok(()) | Err(_) => Heard::Nothing,
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

/// All other nodes, and who we are to them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Peers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cluster_id: Arc<str>,
    node_id: u64,
    breaker_after: Duration,
    links: Links,
    dial: Dial,
    peers: ArcSwap<BTreeMap<u64, Arc<Peer>>>,
    changing: Mutex<()>,
    /// Set once pings have begun; whoever becomes a peer later is pinged from then on.
    pinging: OnceLock<(Duration, Tasks)>,
    /// Counts peers that came.
    changes: watch::Sender<u64>,
    /// Told to the peers, so that they do not hand leadership to a node that is about to stop.
    draining: AtomicBool,
    /// Nodes that must never vote or lead again.
    removed: ArcSwap<BTreeSet<u64>>,
    /// Whether a peer said that this node is one of them.
    removed_here: watch::Sender<bool>,
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
        dial: &Dial,
    ) -> Result<Self, AddressError> {
        let peers = Self(Arc::new(Inner {
            cluster_id: cluster_id.into(),
            node_id,
            breaker_after: config.breaker_after(),
            links: links.clone(),
            dial: dial.clone(),
            peers: ArcSwap::default(),
            changing: Mutex::new(()),
            pinging: OnceLock::new(),
            changes: watch::Sender::new(0),
            draining: AtomicBool::new(false),
            removed: ArcSwap::default(),
            removed_here: watch::Sender::new(false),
        }));
        for (id, address) in addresses.filter(|(id, _)| *id != node_id) {
            peers.add(id, address)?;
        }
        Ok(peers)
    }

    /// Starts to ping every peer, until the node stops.
    pub fn start_pinging(&self, interval: Duration, tasks: &Tasks) {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.pinging.set((interval, tasks.clone())).is_ok() {
            self.iter().for_each(|peer| self.ping_from_now_on(peer));
        }
    }

    fn ping_from_now_on(&self, peer: Arc<Peer>) {
        let Some((interval, tasks)) = self.0.pinging.get() else { return };
        let left = peer.left.clone();
        let pings = peer.keep_pinging(self.clone(), *interval);
        tasks.spawn("ping", async move {
            left.run_until_cancelled(pings).await;
        });
    }

    /// The peer, made if it is not known yet. A known one keeps its address.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn add(&self, id: u64, address: &str) -> Result<Arc<Peer>, AddressError> {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.0.peers.load_full();
        if let Some(peer) = known.get(&id) {
            return Ok(Arc::clone(peer));
        }
        let inner = &*self.0;
        let peer = Peer::new(id, address, inner.links.clone(), &inner.dial, inner.breaker_after)?;
        let peer = Arc::new(peer);
        let mut peers = BTreeMap::clone(&known);
        peers.insert(id, Arc::clone(&peer));
        self.0.peers.store(Arc::new(peers));
        self.0.changes.send_modify(|count| *count += 1);
        self.ping_from_now_on(Arc::clone(&peer));
        Ok(peer)
    }

    /// Lets go of these nodes for ever: they are no peers, and their votes are refused.
    pub fn set_removed(&self, ids: BTreeSet<u64>) {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (gone, peers): (BTreeMap<_, _>, BTreeMap<_, _>) =
            BTreeMap::clone(&self.0.peers.load()).into_iter().partition(|(id, _)| ids.contains(id));
        gone.values().for_each(|peer| peer.left.cancel());
        self.0.peers.store(Arc::new(peers));
        self.0.removed.store(Arc::new(ids));
    }

    #[must_use]
    pub fn is_removed(&self, id: u64) -> bool {
        self.0.removed.load().contains(&id)
    }

    /// Becomes true when a peer says that this node was removed.
    #[must_use]
    pub fn removed_here(&self) -> watch::Receiver<bool> {
        self.0.removed_here.subscribe()
    }

    /// Changes when a peer has come.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Pings every peer now: a connection broke, and one of them may be gone.
    pub(super) fn doubt(&self) {
        self.iter().for_each(|peer| peer.doubted.notify_one());
    }

    #[must_use]
    pub fn cluster_id(&self) -> &Arc<str> {
        &self.0.cluster_id
    }

    #[must_use]
    pub fn node_id(&self) -> u64 {
        self.0.node_id
    }

    #[must_use]
    pub fn get(&self, id: u64) -> Option<Arc<Peer>> {
        self.0.peers.load().get(&id).cloned()
    }

    /// The peers as they are now.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Peer>> + use<> {
        self.0.peers.load().values().cloned().collect::<Vec<_>>().into_iter()
    }

    /// Whether the node answers; this one does.
    #[must_use]
    pub fn is_reachable(&self, id: u64) -> bool {
        id == self.node_id() || self.get(id).is_some_and(|peer| !peer.breaker().is_open())
    }

    /// Says in answers to pings that this node is about to stop.
    pub fn set_draining(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }
}
