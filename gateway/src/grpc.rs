//! The gRPC API `axp.v1`: the same service layer as HTTP, with health and reflection.

mod agents;
mod bodies;
mod convert;
mod enter;
mod error;
mod intents;
mod structs;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axp_proto::FILE_DESCRIPTOR_SET;
use axp_proto::v1::agents_server::AgentsServer;
use axp_proto::v1::intents_server::IntentsServer;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use self::agents::Agents;
use self::intents::Intents;
use crate::service::Service;

/// Clients are kept awake and dead ones found out.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Room for the frames of a message around the largest body.
const MESSAGE_ROOM: usize = 64 << 10;
const ANSWER_BYTES_MAX: usize = 32 << 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Builds the server; the future serves until the service stops and open calls have ended.
pub(crate) fn serve(
    listener: TcpListener,
    service: Arc<Service>,
) -> Result<impl Future<Output = Result<(), tonic::transport::Error>> + Send + 'static, BoxError> {
    let config = &service.config;
    let bytes_max = config.http.body_bytes_max + MESSAGE_ROOM;
    let intents = IntentsServer::new(Intents(Arc::clone(&service)))
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(ANSWER_BYTES_MAX);
    let agents = AgentsServer::new(Agents(Arc::clone(&service)))
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(ANSWER_BYTES_MAX);
    // Only what is public: nodes are none of a client's business.
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .with_service_name("axp.v1.Intents")
            .with_service_name("axp.v1.Agents")
            .with_service_name("grpc.health.v1.Health")
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    // Windows as towards the nodes: explicit and not adaptive.
    let router = Server::builder()
        .initial_stream_window_size(2 << 20)
        .initial_connection_window_size(8 << 20)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(config.grpc.calls_per_connection_max)
        .add_service(intents)
        .add_service(agents)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(async move {
        health.set_serving::<IntentsServer<Intents>>().await;
        health.set_serving::<AgentsServer<Agents>>().await;
        let stop = service.stop.clone().cancelled_owned();
        let leave = async {
            stop.await;
            // Balancers turn away before the connections close.
            health.set_not_serving::<IntentsServer<Intents>>().await;
            health.set_not_serving::<AgentsServer<Agents>>().await;
        };
        router.serve_with_incoming_shutdown(incoming, leave).await
    })
}
