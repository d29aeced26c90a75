//! What a node does once its groups run: a shard for each group it replicates, the control group,
//! and the node API in front of them. The last layer below `lib.rs`, which wires it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axp_proto::FILE_DESCRIPTOR_SET;
use axp_proto::ids::{GroupId, SLOTS};
use axp_proto::node::admin_server::AdminServer;
use axp_proto::node::control_server::ControlServer;
use axp_proto::node::shard_server::ShardServer;
use axp_proto::node::{Group, NodeAddress, ShardMap};
use axp_proto::shard_map::slots_of;
use axp_raft_store::Applier;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::actor::leadership;
use crate::clock::Clock;
use crate::cluster::{Members, Membership, Waiting, follow, placement};
use crate::config::Config;
use crate::control::{Control, ControlApplier};
use crate::net::Listener;
use crate::node::Surroundings;
use crate::push::Push;
use crate::raft::Groups;
use crate::raft::groups::Appliers;
use crate::raft::state_hash::StateHasher;
use crate::rpc::Context;
use crate::rpc::admin::{AdminRpc, Readiness};
use crate::rpc::control::ControlRpc;
use crate::rpc::courier::NodeCourier;
use crate::rpc::shard::ShardRpc;
use crate::shard::admission::Admission;
use crate::shard::{Shard, ShardApplier, ShardParts};
use crate::shutdown::Tasks;

/// One message, either way; entries and batches are split far below it.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const STREAMS_MAX: u32 = 10_000;
/// How long open calls may go on once the node stops (hyper#4170: waiting can take for ever).
const DRAIN: Duration = Duration::from_millis(500);

/// The state machines of a node's groups, made before the groups are opened.
#[derive(Debug)]
pub struct NodeAppliers {
    control: Arc<ControlApplier>,
    shards: BTreeMap<GroupId, Arc<ShardApplier>>,
}

impl NodeAppliers {
    #[must_use]
    pub fn new(shard_groups: u16) -> Self {
        let shards = (1..=shard_groups).map(|group| {
            let group = GroupId(group);
            (group, Arc::new(ShardApplier::new(group, shard_groups)))
        });
        Self { control: Arc::default(), shards: shards.collect() }
    }
}

impl Appliers for NodeAppliers {
    fn applier(&self, group: GroupId) -> Arc<dyn Applier> {
        match self.shards.get(&group) {
            Some(shard) => Arc::clone(shard) as Arc<dyn Applier>,
            None => Arc::clone(&self.control) as Arc<dyn Applier>,
        }
    }
}

/// What the services are made of.
#[derive(Debug)]
pub struct Parts<'a> {
    pub config: &'a Config,
    pub members: &'a Members,
    pub waiting: &'a Waiting,
    pub groups: &'a Groups,
    pub appliers: &'a NodeAppliers,
    pub ready: Arc<dyn Readiness>,
    pub tasks: &'a Tasks,
    pub surroundings: &'a Surroundings,
}

/// Starts to follow each shard's role, publishes the shard map and serves the node API.
///
/// # Panics
/// When `groups` lacks a group of the cluster: they were started from the same members.
pub fn start(parts: &Parts<'_>, listener: Listener) {
    let (tasks, stopping) = (parts.tasks, parts.tasks.stopping());
    let courier = Arc::new(NodeCourier::new(parts.surroundings.dial.clone()));
    let control = parts.groups.get(GroupId::CONTROL).expect("the control group was started");
    let control = Control::new(
        control.raft.clone(),
        control.reader.clone(),
        Arc::clone(&parts.appliers.control),
    );
    let config = &parts.config;
    let mailer = match crate::mail::mailer(&config.mail, &config.node.data_dir) {
        Ok(mailer) => mailer,
        Err(problem) => return tasks.fatal().report(format!("mail.smtp-url {problem}")),
    };
    let push = match Push::new(&config.push, (&config.mail, mailer), Arc::clone(&control)) {
        Ok(push) => push,
        Err(error) => return tasks.fatal().report(error.to_string()),
    };
    let subscribers = Arc::clone(&push.subscribers);
    tasks.spawn("subscribers", subscribers.follow(Arc::clone(&control)));
    let shards = shards(parts);
    for shard in shards.values() {
        let follow = leadership::follow(
            Arc::clone(shard),
            Arc::clone(&courier) as Arc<dyn crate::outbox::Courier>,
            Arc::clone(&push),
            stopping.clone(),
        );
        tasks.spawn("shard role", follow);
    }
    let context = Arc::new(Context {
        members: parts.members.clone(),
        shards,
        control: Arc::clone(&control),
        push_keep_ms: parts.config.push.keep_ms(),
        window_max: parts.config.limits.subscription_window,
        subscriptions: Arc::new(Semaphore::new(parts.config.limits.subscriptions as usize)),
    });
    courier.attach(Arc::downgrade(&context));
    let membership = follow_members(parts, &control);
    let admin = AdminRpc {
        context: Arc::clone(&context),
        membership,
        groups: parts.groups.clone(),
        storage_engine: format!("{:?}", parts.config.storage.engine).to_lowercase(),
        started: Instant::now(),
        ready: Arc::clone(&parts.ready),
        hasher: StateHasher::default(),
    };
    let fatal = tasks.fatal().clone();
    let api = serve(context, admin, listener, stopping);
    tasks.spawn("node api", async move {
        if let Err(error) = api.await {
            fatal.report(format!("the node API failed: {error}"));
        }
    });
}

fn shards(parts: &Parts<'_>) -> BTreeMap<GroupId, Arc<Shard>> {
    let limits = &parts.config.limits;
    let shard_groups = parts.members.shard_groups();
    let admission = Arc::new(Admission::new(limits.commands_per_organization));
    let actors_max = (limits.active_intents as usize / usize::from(shard_groups)).max(1);
    let shard = |(group, applier): (&GroupId, &Arc<ShardApplier>)| {
        let handle = parts.groups.get(*group).expect("every shard's group was started");
        let shard = Shard::new(ShardParts {
            raft: handle.raft.clone(),
            reader: handle.reader.clone(),
            applier: Arc::clone(applier),
            clock: parts.surroundings.clock.clone(),
            admission: Arc::clone(&admission),
            commands_max: limits.commands_per_shard,
            actors_max,
            shard_groups,
        });
        (*group, shard)
    };
    parts.appliers.shards.iter().map(shard).collect()
}

/// Keeps this node's view of the members up to date, changes them where the control group is led,
/// and tells gateways.
fn follow_members(parts: &Parts<'_>, control: &Arc<Control>) -> Arc<Membership> {
    let (tasks, members) = (parts.tasks, parts.members);
    let peers = parts.groups.peers().clone();
    let follow = follow::run(Arc::clone(control), members.clone(), peers, tasks.fatal().clone());
    tasks.spawn("members", follow);
    let maps = publish_shard_maps(Arc::clone(control), members.clone());
    tasks.spawn("publish shard map", maps);
    let membership = Membership::new(
        Arc::clone(control),
        parts.groups.clone(),
        members.clone(),
        parts.waiting.clone(),
        Clock::system(),
        parts.config.cluster.fixed_members,
    );
    tasks.spawn("change members", Arc::clone(&membership).reconcile());
    membership
}

async fn publish_shard_maps(control: Arc<Control>, members: Members) {
    loop {
        let row = members.row();
        let map = shard_map(&members);
        let changed = members.changed(row.epoch, row.settled);
        tokio::pin!(changed);
        tokio::select! {
            () = control.publish_shard_map(map) => changed.await,
            () = &mut changed => {}
        }
    }
}

/// The map of the cluster as it is: slots in equal ranges, and for each group every node that may
/// have a replica, those of a change that is under way included.
fn shard_map(members: &Members) -> ShardMap {
    let shard_groups = members.shard_groups();
    let ids = members.ids();
    let group = |id: u16| {
        let (first, last) = slots_of(GroupId(id), shard_groups);
        Group {
            id: id.into(),
            first_slot: first.into(),
            last_slot: last.into(),
            node_ids: placement::replicas(GroupId(id), &ids).into_iter().collect(),
        }
    };
    let node = |member: crate::config::PeerConfig| NodeAddress {
        id: member.id,
        address: member.api_address,
    };
    ShardMap {
        epoch: 1,
        slots: SLOTS.into(),
        groups: (1..=shard_groups).map(group).collect(),
        nodes: members.iter().map(node).collect(),
    }
}

/// Serves the node API until the node stops.
async fn serve(
    context: Arc<Context>,
    admin: AdminRpc,
    listener: Listener,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let shard = ShardRpc { context: Arc::clone(&context), stop: stop.clone() };
    let control = ControlRpc { context, stop: stop.clone() };
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<ShardServer<ShardRpc>>().await;
    health.set_serving::<ControlServer<ControlRpc>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let server = Server::builder()
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_adaptive_window(Some(false))
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(4)))
        .max_concurrent_streams(STREAMS_MAX)
        .add_service(
            ShardServer::new(shard)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            ControlServer::new(control)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(AdminServer::new(admin))
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(listener.into_incoming(), stop.clone().cancelled_owned());
    let deadline = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = server => Ok(served?),
        () = deadline => Ok(()),
    }
}
