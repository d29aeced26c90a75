//! Starting a gateway and stopping it in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axp_proto::mutant;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{self, Admin};
use crate::clock::Deadline;
use crate::cluster::Cluster;
use crate::config::{self, Config, HttpConfig};
use crate::net::{Dial, Listener};
use crate::seed::{self, SeedRequest};
use crate::service::{Service, follow_bindings, sweep, sweep_subscriptions};
use crate::{grpc, http, media, metrics, server};

const SEED_PAUSE: Duration = Duration::from_secs(1);
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the configuration is not valid")]
    Config(#[from] config::Error),
    #[error("{key} {address} cannot be listened on")]
    Listen { key: &'static str, address: String, source: std::io::Error },
    #[error("there is no media storage")]
    Media(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the gRPC reflection service cannot be built")]
    Reflection(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where a gateway listens.
struct Sockets {
    http: Listener,
    grpc: Option<TcpListener>,
    admin: Option<TcpListener>,
}

/// One gateway.
#[derive(Debug)]
pub struct Gateway;

/// A running gateway. Dropping it stops it at once; [`GatewayHandle::shutdown`] does so in order.
#[derive(Debug)]
pub struct GatewayHandle {
    http: SocketAddr,
    grpc: SocketAddr,
    admin: Option<SocketAddr>,
    service: Arc<Service>,
    drain_timeout: Duration,
    servers: TaskTracker,
    background: TaskTracker,
    abort: CancellationToken,
    stop_background: CancellationToken,
}

impl Gateway {
    /// Binds all addresses and serves. The cluster need not be there yet: until it is, requests
    /// wait within their deadline and `/readyz` says so.
    ///
    /// # Errors
    /// When the configuration is not valid or an address cannot be listened on.
    pub async fn start(config: Config) -> Result<GatewayHandle, StartError> {
        config.validate()?;
        if metrics::recorder().is_none() {
            tracing::debug!("metrics are kept by another part of this process");
        }
        let http = listen("http.listen", &config.http.listen).await?;
        let grpc = listen("grpc.listen", &config.grpc.listen).await?;
        let admin = match config.admin.listen.as_str() {
            "" => None,
            address => Some(listen("admin.listen", address).await?),
        };
        let sockets = Sockets { http: Listener::Tcp(http), grpc: Some(grpc), admin };
        Self::start_on(sockets, config, Dial::default())
    }

    /// The HTTP API alone, within a network of the caller's choice, and without metrics.
    ///
    /// # Errors
    /// When the configuration is not valid.
    pub fn start_simulated(
        config: Config,
        http: Listener,
        dial: Dial,
    ) -> Result<GatewayHandle, StartError> {
        config.validate()?;
        Self::start_on(Sockets { http, grpc: None, admin: None }, config, dial)
    }

    fn start_on(sockets: Sockets, config: Config, dial: Dial) -> Result<GatewayHandle, StartError> {
        if let Some(warning) = mutant::warning() {
            tracing::error!("{warning}");
        }
        let storage = media::open(&config).map_err(|error| StartError::Media(error.into()))?;
        let (stop, stop_background) = (CancellationToken::new(), CancellationToken::new());
        let (servers, background) = (TaskTracker::new(), TaskTracker::new());
        let cluster = Cluster::start(&config.cluster, dial, &background, &stop_background);
        let http_address = address_of(sockets.http.local_addr(), "http.listen")?;
        let service = Arc::new(Service::new(config, http_address, cluster, storage, stop));
        let mut handle = GatewayHandle {
            http: http_address,
            grpc: http_address,
            admin: None,
            service: Arc::clone(&service),
            drain_timeout: service.config.server.drain_timeout(),
            servers,
            background,
            abort: CancellationToken::new(),
            stop_background,
        };
        let config = &service.config;
        handle.serve_http(sockets.http, http::router(Arc::clone(&service)), config.http.clone());
        if let Some(listener) = sockets.grpc {
            handle.grpc = address_of(listener.local_addr(), "grpc.listen")?;
            handle.serve_grpc(listener)?;
        }
        let seeded = handle.seed();
        if let Some(listener) = sockets.admin {
            handle.admin = Some(address_of(listener.local_addr(), "admin.listen")?);
            let router = admin::router(Admin { service: Arc::clone(&service), seeded });
            // Probes are answered to the end: also that the gateway is stopping.
            let (stop, abort) = (handle.stop_background.clone(), handle.abort.clone());
            let serving = server::serve(
                Listener::Tcp(listener),
                router,
                HttpConfig::default(),
                handle.background.clone(),
                stop,
                abort,
            );
            handle.background.spawn(serving);
        }
        handle.sweep();
        let following = follow_bindings(Arc::clone(&handle.service));
        let stop = handle.stop_background.clone();
        handle.background.spawn(stop.run_until_cancelled_owned(following));
        handle.sweep_media();
        Ok(handle)
    }
}

impl GatewayHandle {
    /// Where the HTTP API is served.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// Where the gRPC API is served; not at all in a simulation.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc
    }

    /// Where probes and metrics are served, if they are.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Waits until the cluster has been reached.
    pub async fn ready(&self, patience: Duration) -> bool {
        self.service.cluster.cache.ready(Deadline::after(patience)).await.is_ok()
    }

    /// Takes no new connections, ends streams with a hint to come back, lets open requests finish
    /// within `server.drain-timeout-ms`, then closes what is left.
    pub async fn shutdown(self) {
        self.service.stop.cancel();
        self.servers.close();
        if timeout(self.drain_timeout, self.servers.wait()).await.is_err() {
            tracing::warn!("open requests were cut off at shutdown");
        }
        self.stop_background.cancel();
        self.abort.cancel();
        self.servers.wait().await;
        self.background.close();
        self.background.wait().await;
    }

    fn serve_http(&self, listener: Listener, router: axum::Router, config: HttpConfig) {
        let (stop, abort) = (self.service.stop.clone(), self.abort.clone());
        let connections = self.servers.clone();
        self.servers.spawn(server::serve(listener, router, config, connections, stop, abort));
    }

    fn serve_grpc(&self, listener: TcpListener) -> Result<(), StartError> {
        let grpc =
            grpc::serve(listener, Arc::clone(&self.service)).map_err(StartError::Reflection)?;
        let abort = self.abort.clone();
        self.servers.spawn(async move {
            if let Some(Err(error)) = abort.run_until_cancelled_owned(grpc).await {
                tracing::error!(%error, "the gRPC server failed");
            }
        });
        Ok(())
    }

    /// Makes what `seed` names, however long the cluster takes to form.
    fn seed(&self) -> Arc<AtomicBool> {
        let config = &self.service.config.seed;
        let seeded = Arc::new(AtomicBool::new(!config.is_wanted()));
        if !config.is_wanted() {
            return seeded;
        }
        let request = SeedRequest {
            org: config.organization.clone(),
            workspace: config.workspace.clone(),
            api_key: Some(config.api_key.clone()),
        };
        let (service, done) = (Arc::clone(&self.service), Arc::clone(&seeded));
        let seeding = async move {
            loop {
                match seed::ensure_in(&service.cluster, &request, service.deadline()).await {
                    Ok(made) => {
                        tracing::info!(org_id = made.org_id, agent = made.agent_address, "seeded");
                        done.store(true, Ordering::Relaxed);
                        return;
                    }
                    Err(error) => tracing::warn!(%error, "the seed is tried again"),
                }
                sleep(SEED_PAUSE).await;
            }
        };
        self.background.spawn(self.stop_background.clone().run_until_cancelled_owned(seeding));
        seeded
    }

    /// Deletes media that nothing needs any more now and then.
    fn sweep_media(&self) {
        let service = Arc::clone(&self.service);
        let interval = service.config.media.sweep_interval();
        let sweeping = async move {
            loop {
                sleep(interval.mul_f64(0.5 + rand::random::<f64>())).await;
                match service.sweep_media().await {
                    Ok(count) => tracing::debug!(count, "media deleted"),
                    Err(error) => tracing::warn!(%error, "media is not looked through"),
                }
            }
        };
        self.background.spawn(self.stop_background.clone().run_until_cancelled_owned(sweeping));
    }

    /// Forgets old stored answers and revoked subscriptions now and then.
    fn sweep(&self) {
        let service = Arc::clone(&self.service);
        let sweeping = async move {
            loop {
                // Gateways that started together do not all come at once.
                sleep(SWEEP_INTERVAL.mul_f64(0.5 + rand::random::<f64>())).await;
                match sweep(&service.cluster, service.deadline()).await {
                    Ok(count) => tracing::debug!(count, "stored answers forgotten"),
                    Err(error) => tracing::debug!(%error, "stored answers are kept for now"),
                }
                let kept_ms = service.config.retention.revoked_subscriptions_ms();
                let deadline = service.deadline();
                match sweep_subscriptions(&service.cluster, kept_ms, deadline).await {
                    Ok(count) => tracing::debug!(count, "revoked subscriptions forgotten"),
                    Err(error) => tracing::debug!(%error, "subscriptions are kept for now"),
                }
            }
        };
        self.background.spawn(self.stop_background.clone().run_until_cancelled_owned(sweeping));
    }
}

impl Drop for GatewayHandle {
    fn drop(&mut self) {
        self.service.stop.cancel();
        self.stop_background.cancel();
        self.abort.cancel();
    }
}

async fn listen(key: &'static str, address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen {
        key,
        address: address.to_owned(),
        source,
    })
}

fn address_of(known: io::Result<SocketAddr>, key: &'static str) -> Result<SocketAddr, StartError> {
    known.map_err(|source| StartError::Listen {
        key,
        address: "the bound address".to_owned(),
        source,
    })
}
