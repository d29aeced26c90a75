//! What is there before the first process starts: network, proxies, disks, clocks, configurations.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context as _, bail};

use super::{
    Binaries, Build, Cluster, ClusterShape, Gateway, Node, Process, clock, config, data_folder,
    process,
};
use crate::network::{Network, Place, Proxies};
use crate::powerloss::{Mounted, PowerLossDisk};
use crate::workload::Silence;

impl Cluster {
    pub(super) fn prepare(
        binaries: &Binaries,
        folder: &Path,
        shape: ClusterShape,
    ) -> anyhow::Result<Self> {
        let network = match shape.own_network {
            true => Some(Arc::new(Network::build(shape.places(), shape.gateways)?)),
            false => None,
        };
        let proxies = match (&network, shape.proxies) {
            (Some(network), true) => Some(Proxies::build(network)?),
            (None, true) => bail!("proxies need a network of their own"),
            (_, false) => None,
        };
        let addresses = config::Addresses::choose(&shape, network.as_deref())?;
        let clock = |name: &str| -> anyhow::Result<Option<PathBuf>> {
            let file = clock::file(folder, name);
            clock::set(&file, 0, 1.0)?;
            Ok(shape.own_clocks.then_some(file))
        };
        let others = binaries.other.as_deref();
        let (mut nodes, mut mounts) = (Vec::new(), Vec::new());
        for (index, at) in addresses.nodes.iter().enumerate() {
            let name = format!("node-{}", at.id);
            let mut data = data_folder(folder, index);
            std::fs::create_dir_all(&data)?;
            if let Some(rule) = shape.power_loss_disks {
                mounts.push(Mounted::mount(&PowerLossDisk::new(rule), &data)?);
                // As an installation has it: the folder was there long before.
                data = data.join("data");
                std::fs::create_dir(&data)?;
                std::fs::File::open(data.parent().context("below the mount")?)?.sync_all()?;
            }
            let file = folder.join(format!("{name}.toml"));
            let founders = &addresses.nodes[..shape.nodes];
            std::fs::write(&file, config::node_toml(&shape, founders, at, &data))?;
            let programs = Programs::new(&binaries.node, others.map(|it| &*it.node));
            let launch = launch(programs, network.as_ref(), Place::Node(index), clock(&name)?);
            let process = Process::new(launch, &file, folder, &name);
            nodes.push(Node::new(index, at.clone(), process, data, index < shape.nodes)?);
        }
        let (mut gateways, apis) = (Vec::new(), addresses.node_apis());
        for (index, at) in addresses.gateways.iter().enumerate() {
            let name = format!("gateway-{index}");
            let file = folder.join(format!("{name}.toml"));
            std::fs::write(&file, config::gateway_toml(&apis, at, &config::FIRST, None))?;
            let programs = Programs::new(&binaries.gateway, others.map(|it| &*it.gateway));
            let launch = launch(programs, network.as_ref(), Place::Gateway(index), clock(&name)?);
            let process = Process::new(launch, &file, folder, &name);
            let url = format!("http://{}", at.http);
            gateways.push(Gateway { process, url, admin: at.admin.clone() });
        }
        let has_other_build = others.is_some();
        let (folder, gateway_program) = (folder.to_owned(), binaries.gateway.clone());
        let last_id = AtomicU64::new(shape.nodes as u64);
        let limited = None;
        Ok(Self {
            nodes,
            last_id,
            gateways,
            limited,
            gateway_program,
            silence: Silence::default(),
            has_other_build,
            mounts,
            proxies,
            network,
            shape,
            folder,
        })
    }
}

/// Two builds of one program.
struct Programs {
    usual: PathBuf,
    other: Option<PathBuf>,
}

impl Programs {
    fn new(usual: &Path, other: Option<&Path>) -> Self {
        Self { usual: usual.to_owned(), other: other.map(Path::to_owned) }
    }

    fn of(&self, build: Build) -> anyhow::Result<&Path> {
        match build {
            Build::Usual => Ok(&self.usual),
            Build::Other => self.other.as_deref().context("there is no other build"),
        }
    }
}

/// Starts a program on this machine, or at a place of a network; with a clock of its own, or not.
fn launch(
    programs: Programs,
    network: Option<&Arc<Network>>,
    place: Place,
    clock: Option<PathBuf>,
) -> process::Launch {
    let network = network.cloned();
    Box::new(move |build| {
        let program = programs.of(build)?;
        let mut command = match &network {
            Some(network) => network.command(place, program),
            None => Command::new(program),
        };
        if let Some(clock) = &clock {
            clock::equip(&mut command, clock)?;
        }
        Ok(command)
    })
}
