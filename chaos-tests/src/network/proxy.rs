//! Stands between processes, where the bridge can only drop: delays, narrows, cuts off and swallows
//! what goes over their connections.
//!
//! In the namespace of every process a thread accepts whatever that process connects to (`nft`
//! redirects it there) and connects onward from the same address, so that the cuts of the bridge
//! still hit it. Nobody is configured for it. A connection that lost bytes is never mended, only
//! reset: a stream with a hole is nothing that TCP would deliver.

use std::collections::HashMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use super::flow::{Flow, relay};
use super::tool::nft;
use super::{Network, Place};

/// Of every proxy: each has a namespace to itself, and the processes' ports are higher.
const PORT: u16 = 7100;
/// What carries it is not redirected again.
const MARK: u32 = 7;
const CONNECTIONS_MAX: usize = 4096;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Where `ip netns` keeps its namespaces.
const NAMESPACES: &str = "/var/run/netns";

/// How the connections from one place to another are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) delay: Duration,
    pub(super) bytes_per_second: Option<u32>,
    pub(super) answers_lost: bool,
}

/// What the proxies did to anybody. A fault that leaves all of these as they were was none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hurt {
    pub delayed_bytes: u64,
    pub swallowed_bytes: u64,
    pub resets: u64,
}

impl std::ops::Sub for Hurt {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            delayed_bytes: self.delayed_bytes - before.delayed_bytes,
            swallowed_bytes: self.swallowed_bytes - before.swallowed_bytes,
            resets: self.resets - before.resets,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) delayed_bytes: AtomicU64,
    pub(super) swallowed_bytes: AtomicU64,
    pub(super) resets: AtomicU64,
}

/// What all proxies of a network share.
#[derive(Debug)]
pub(super) struct Shared {
    places: HashMap<Ipv4Addr, Place>,
    conditions: Mutex<HashMap<(Place, Place), Condition>>,
    flows: Mutex<Vec<Weak<Flow>>>,
    pub(super) counters: Counters,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one insert: nothing is left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn condition(&self, flow: &Flow) -> Condition {
        lock(&self.conditions).get(&(flow.from, flow.to)).copied().unwrap_or_default()
    }

    fn add(&self, flow: &Arc<Flow>) {
        let mut flows = lock(&self.flows);
        flows.retain(|flow| flow.strong_count() > 0);
        flows.push(Arc::downgrade(flow));
    }
}

/// The proxies of one network; gone with this value, before the network.
#[derive(Debug)]
pub struct Proxies {
    shared: Arc<Shared>,
    threads: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Proxies {
    /// Puts a proxy into the namespace of every process; before the processes start.
    ///
    /// # Errors
    /// When `nft` refuses or a namespace cannot be entered.
    pub fn build(network: &Network) -> anyhow::Result<Self> {
        let mut places = HashMap::new();
        for place in network.places() {
            places.insert(network.address(*place)?, *place);
        }
        let shared = Arc::new(Shared {
            places,
            conditions: Mutex::default(),
            flows: Mutex::default(),
            counters: Counters::default(),
        });
        let mut proxies = Self { shared, threads: Vec::new() };
        for place in network.places() {
            proxies.add(network, *place)?;
        }
        Ok(proxies)
    }

    fn add(&mut self, network: &Network, place: Place) -> anyhow::Result<()> {
        let namespace = network.namespace(place);
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let (shared, path) = (self.shared.clone(), Path::new(NAMESPACES).join(&namespace));
        let thread = std::thread::Builder::new().name(format!("proxy {place}"));
        let thread = thread.spawn(move || run(place, &path, &shared, stopped, &ready))?;
        is_ready.recv().context("the proxy ended")??;
        self.threads.push((stop, thread));
        let own = network.address(place)?;
        let everybody: Vec<String> =
            self.shared.places.keys().filter(|at| **at != own).map(ToString::to_string).collect();
        nft(&namespace, "add table ip divert")?;
        nft(&namespace, "add chain ip divert output { type nat hook output priority -100; }")?;
        let rule = format!(
            "add rule ip divert output meta mark != {MARK} ip daddr {{ {} }} meta l4proto tcp \
             redirect to :{PORT}",
            everybody.join(", ")
        );
        nft(&namespace, &rule).map(drop)
    }

    fn change(&self, from: Place, to: Place, change: impl FnOnce(&mut Condition)) {
        change(lock(&self.shared.conditions).entry((from, to)).or_default());
    }

    /// Everything between two places takes `delay` longer in each direction, and no connection
    /// carries more than `bytes_per_second`.
    pub fn slow(&self, one: Place, other: Place, delay: Duration, bytes_per_second: Option<u32>) {
        for (from, to) in [(one, other), (other, one)] {
            self.change(from, to, |condition| {
                condition.delay = delay;
                condition.bytes_per_second = bytes_per_second;
            });
        }
    }

    /// What `client` asks arrives at `server`; what that answers does not come back.
    pub fn lose_answers(&self, client: Place, server: Place) {
        self.change(client, server, |condition| condition.answers_lost = true);
    }

    /// Connections between two places stay open and carry nothing any more; new ones are well.
    /// Tells how many.
    pub fn freeze(&self, one: Place, other: Place) -> usize {
        self.for_each(one, other, Flow::freeze)
    }

    /// Resets all connections between two places, and tells how many.
    pub fn reset(&self, one: Place, other: Place) -> usize {
        self.for_each(one, other, Flow::reset)
    }

    fn for_each(&self, one: Place, other: Place, act: impl Fn(&Flow)) -> usize {
        let flows: Vec<_> = lock(&self.shared.flows).iter().filter_map(Weak::upgrade).collect();
        let between = flows
            .iter()
            .filter(|f| (f.from, f.to) == (one, other) || (f.to, f.from) == (one, other));
        between.map(|flow| act(flow)).count()
    }

    /// What was done so far.
    #[must_use]
    pub fn hurt(&self) -> Hurt {
        let Counters { delayed_bytes, swallowed_bytes, resets } = &self.shared.counters;
        Hurt {
            delayed_bytes: delayed_bytes.load(Ordering::Relaxed),
            swallowed_bytes: swallowed_bytes.load(Ordering::Relaxed),
            resets: resets.load(Ordering::Relaxed),
        }
    }

    /// All links are well again. Connections that lost bytes are reset.
    pub fn heal(&self) {
        lock(&self.shared.conditions).clear();
        let flows: Vec<_> = lock(&self.shared.flows).iter().filter_map(Weak::upgrade).collect();
        flows.iter().filter(|flow| flow.is_damaged()).for_each(|flow| flow.reset());
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        for (stop, thread) in self.threads.drain(..) {
            drop(stop);
            if thread.join().is_err() {
                tracing::warn!("a proxy panicked");
            }
        }
    }
}

/// The life of the proxy of one place, on a thread of its own: sockets belong to the namespace of the
/// thread that makes them.
fn run(
    place: Place,
    namespace: &Path,
    shared: &Arc<Shared>,
    stopped: oneshot::Receiver<()>,
    ready: &mpsc::Sender<anyhow::Result<()>>,
) {
    let begin = || -> anyhow::Result<_> {
        setns(File::open(namespace)?, CloneFlags::CLONE_NEWNET).context("cannot enter")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)))?;
        Ok((runtime, listener))
    };
    match begin().with_context(|| format!("no proxy in {}", namespace.display())) {
        Ok((runtime, listener)) => {
            drop(ready.send(Ok(())));
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = accept_all(place, &listener, shared) => {}
                }
            });
        }
        Err(error) => drop(ready.send(Err(error))),
    }
}

async fn accept_all(place: Place, listener: &TcpListener, shared: &Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(permit) = permits.clone().acquire_owned().await {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::warn!(%place, %error, "a proxy accepts nothing any more");
                return;
            }
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            // What went wrong is told to whoever connected: by a reset.
            if let Err(error) = serve(place, client, &shared).await {
                tracing::debug!(%place, error = %format!("{error:#}"), "a connection ended");
            }
            drop(permit);
        });
    }
}

async fn serve(place: Place, mut client: TcpStream, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let target = original_target(&client)?;
    let to = *shared.places.get(target.ip()).with_context(|| format!("nobody is {target}"))?;
    let mut server = match connect(target).await {
        Ok(server) => server,
        Err(error) => {
            client.set_zero_linger()?;
            return Err(error);
        }
    };
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let flow = Arc::new(Flow::new(place, to));
    shared.add(&flow);
    relay(&mut client, &mut server, &flow, shared).await?;
    Ok(())
}

/// Whom the client meant before it was redirected.
fn original_target(client: &TcpStream) -> anyhow::Result<SocketAddrV4> {
    let target = getsockopt(client, sockopt::OriginalDst)?;
    let address = Ipv4Addr::from(u32::from_be(target.sin_addr.s_addr));
    Ok(SocketAddrV4::new(address, u16::from_be(target.sin_port)))
}

async fn connect(target: SocketAddrV4) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    setsockopt(&socket, sockopt::Mark, &MARK)?;
    let connecting = socket.connect(SocketAddr::V4(target));
    Ok(tokio::time::timeout(CONNECT_WITHIN, connecting).await??)
}

#[cfg(test)]
mod tests;
