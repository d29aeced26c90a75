//! A network of its own for one cluster: every process in a network namespace with its own address,
//! all of them on one bridge, which drops what a fault tells it to.
//!
//! The bridge lies in a namespace, too, so nothing of this touches the machine's own network but for
//! one end of a cable, through which the clients of a run reach everybody. Rules are by pair and
//! direction of addresses: a partition of any shape. Made with `ip` and `nft`; gone with this value.

mod flow;
mod proxy;
mod rules;
mod tool;

use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, bail};
use rand::RngExt;

use rules::Rules;
use tool::{ip, run};

pub use proxy::{Hurt, Proxies};
pub use rules::Cut;

/// Networks with this prefix are chosen from at random, until one is free.
const PREFIX: [u8; 2] = [10, 201];
const TRIES: usize = 20;
/// The host part of the clients' address.
const CLIENTS: u8 = 254;
/// Of the first gateway; nodes begin at 1.
const FIRST_GATEWAY: u8 = 101;

/// Counts the networks of this process: names must be unique on the machine.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A process's place in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// By its index.
    Node(usize),
    /// By its index.
    Gateway(usize),
}

impl Place {
    fn host(self) -> anyhow::Result<u8> {
        let (first, index) = match self {
            Self::Node(index) => (1, index),
            Self::Gateway(index) => (FIRST_GATEWAY, index),
        };
        let host = u8::try_from(index).ok().and_then(|index| index.checked_add(first));
        host.filter(|host| *host < CLIENTS).context("more processes than addresses")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // As nodes count themselves.
            Self::Node(index) => write!(f, "node {}", index + 1),
            Self::Gateway(index) => write!(f, "gateway {index}"),
        }
    }
}

/// The network of one cluster.
#[derive(Debug)]
pub struct Network {
    /// Namespaces, and the clients' end of the cable, begin with it. At most eight bytes.
    name: String,
    /// The third byte of all addresses.
    subnet: u8,
    namespaces: Vec<String>,
    places: Vec<Place>,
}

impl Network {
    /// Why clusters with a network of their own cannot run here, if they cannot.
    #[must_use]
    pub fn unavailable() -> Option<&'static str> {
        if !nix::unistd::geteuid().is_root() {
            return Some("network namespaces need root");
        }
        let found = |tool: &str| {
            ["/usr/sbin", "/usr/bin", "/sbin"].iter().any(|at| Path::new(at).join(tool).exists())
        };
        if !found("ip") {
            return Some("there is no ip: install iproute2");
        }
        if !found("nft") {
            return Some("there is no nft: install nftables");
        }
        None
    }

    /// Makes the bridge and a namespace for each process.
    ///
    /// # Errors
    /// When the tools are missing or refuse, or no address range is free.
    pub fn build(nodes: usize, gateways: usize) -> anyhow::Result<Self> {
        if let Some(reason) = Self::unavailable() {
            bail!("{reason}");
        }
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        // Process ids have at most seven digits, which are six in base 16.
        let name = format!("ax{:x}{:x}", std::process::id(), made % 16);
        let mut network = Self { name, subnet: 0, namespaces: Vec::new(), places: Vec::new() };
        network.build_bridge()?;
        for index in 0..nodes {
            network.connect(Place::Node(index))?;
        }
        for index in 0..gateways {
            network.connect(Place::Gateway(index))?;
        }
        Ok(network)
    }

    fn bridge(&self) -> String {
        format!("{}-br", self.name)
    }

    fn build_bridge(&mut self) -> anyhow::Result<()> {
        let bridge = self.bridge();
        self.add_namespace(&bridge)?;
        ip(&["-n", &bridge, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", &bridge, "link", "set", "br0", "up"])?;
        self.between().build()?;
        let ours = self.name.clone();
        ip(&["link", "add", &ours, "type", "veth", "peer", "name", "clients", "netns", &bridge])?;
        ip(&["-n", &bridge, "link", "set", "clients", "master", "br0", "up"])?;
        ip(&["link", "set", &ours, "up"])?;
        self.subnet = choose_subnet(&ours)?;
        Ok(())
    }

    fn add_namespace(&mut self, namespace: &str) -> anyhow::Result<()> {
        ip(&["netns", "add", namespace])?;
        self.namespaces.push(namespace.to_owned());
        Ok(())
    }

    /// Gives a process its namespace, with a cable from there to the bridge.
    fn connect(&mut self, place: Place) -> anyhow::Result<()> {
        let (bridge, namespace) = (self.bridge(), self.namespace(place));
        self.add_namespace(&namespace)?;
        self.places.push(place);
        let port = format!("port{}", place.host()?);
        let cable =
            ["link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", &bridge];
        ip(&[&["-n", &namespace], &cable[..]].concat())?;
        ip(&["-n", &bridge, "link", "set", &port, "master", "br0", "up"])?;
        let address = format!("{}/24", self.address(place)?);
        ip(&["-n", &namespace, "addr", "add", &address, "dev", "eth0"])?;
        ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        ip(&["-n", &namespace, "link", "set", "eth0", "up"])?;
        self.before(place).build()
    }

    fn namespace(&self, place: Place) -> String {
        match place {
            Place::Node(index) => format!("{}-n{index}", self.name),
            Place::Gateway(index) => format!("{}-g{index}", self.name),
        }
    }

    /// Everybody who has a place here.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The address of a process.
    ///
    /// # Errors
    /// When there are more processes than addresses.
    pub fn address(&self, place: Place) -> anyhow::Result<Ipv4Addr> {
        Ok(Ipv4Addr::new(PREFIX[0], PREFIX[1], self.subnet, place.host()?))
    }

    /// The address of everybody who has no place: this machine.
    #[must_use]
    pub fn outside(&self) -> Ipv4Addr {
        Ipv4Addr::new(PREFIX[0], PREFIX[1], self.subnet, CLIENTS)
    }

    /// What starts `program` at a place. The child is the program itself: `ip` becomes it.
    #[must_use]
    pub fn command(&self, place: Place, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(place)]).arg(program);
        command
    }

    /// Drops everything that goes from one place to another, in this direction only.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub fn cut(&self, from: Place, to: Place) -> anyhow::Result<Cut> {
        self.rule(from, to, "counter drop")
    }

    /// Drops `percent` of the packets from one place to another.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub fn lose(&self, from: Place, to: Place, percent: u32) -> anyhow::Result<Cut> {
        self.rule(from, to, &format!("numgen random mod 100 < {percent} counter drop"))
    }

    /// Refuses every connection from one place to another, and resets those that are open, as if no
    /// process listened there.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub fn refuse(&self, from: Place, to: Place) -> anyhow::Result<Cut> {
        let from = self.address(from)?;
        self.before(to)
            .add(&format!("ip saddr {from} meta l4proto tcp counter reject with tcp reset"))
    }

    fn rule(&self, from: Place, to: Place, action: &str) -> anyhow::Result<Cut> {
        let (from, to) = (self.address(from)?, self.address(to)?);
        self.between().add(&format!("ip saddr {from} ip daddr {to} {action}"))
    }

    fn between(&self) -> Rules {
        Rules::between(self.bridge())
    }

    fn before(&self, place: Place) -> Rules {
        Rules::before(self.namespace(place))
    }

    /// Takes these cuts away, and tells how many packets they dropped or refused.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub fn mend(&self, cuts: Vec<Cut>) -> anyhow::Result<u64> {
        rules::mend(cuts)
    }

    /// Takes all cuts away, whoever made them.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub fn heal(&self) -> anyhow::Result<()> {
        self.places.iter().try_for_each(|place| self.before(*place).flush())?;
        self.between().flush()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Their devices, and the other ends of these, go with them.
        for namespace in &self.namespaces {
            if let Err(error) = ip(&["netns", "del", namespace]) {
                tracing::warn!(namespace, %error, "a network namespace stays behind");
            }
        }
    }
}

/// Gives the clients' end an address of a range that nobody here uses.
fn choose_subnet(device: &str) -> anyhow::Result<u8> {
    let routes = run(Command::new("ip").args(["-4", "route", "show", "table", "all"]))?;
    for _ in 0..TRIES {
        let subnet: u8 = rand::rng().random();
        let range = format!("{}.{}.{subnet}.", PREFIX[0], PREFIX[1]);
        if !routes.contains(&range) {
            ip(&["addr", "add", &format!("{range}{CLIENTS}/24"), "dev", device])?;
            return Ok(subnet);
        }
    }
    bail!("no free range of addresses")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_place_has_an_address_of_its_own() {
        assert_eq!(Place::Node(0).host().unwrap(), 1);
        assert_eq!(Place::Gateway(0).host().unwrap(), 101);
        assert!(Place::Gateway(200).host().is_err());
    }

    /// A connection through the bridge, cut in one direction, and healed.
    #[test]
    fn a_cut_is_felt_and_heals() {
        if let Some(reason) = Network::unavailable() {
            eprintln!("\n!!! SKIPPED: {reason} !!!\n");
            return;
        }
        let network = Network::build(2, 0).unwrap();
        let (one, two) = (Place::Node(0), Place::Node(1));
        let serve = "import socket; s = socket.create_server(('', 7000)); print(1, flush=True)\n\
                     while True: s.accept()[0].sendall(b'x')";
        let mut server = network.command(two, Path::new("python3"));
        let mut server =
            server.args(["-c", serve]).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut ready = [0];
        std::io::Read::read_exact(server.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let address = network.address(two).unwrap();
        let ask = format!(
            "import socket\ntry: s = socket.create_connection(('{address}', 7000), 0.5)\n\
             except ConnectionRefusedError: raise SystemExit(2)\n\
             s.settimeout(0.5); raise SystemExit(0 if s.recv(1) == b'x' else 1)"
        );
        let asked = || {
            let mut client = network.command(one, Path::new("python3"));
            let client = client.args(["-c", &ask]).stderr(std::process::Stdio::null());
            client.status().unwrap().code()
        };
        assert_eq!(asked(), Some(0));
        let cut = network.cut(two, one).unwrap();
        assert_eq!(asked(), Some(1));
        assert!(network.mend(vec![cut]).unwrap() > 0);
        assert_eq!(asked(), Some(0));
        // The clients of a run are never cut off; whoever mends leaves the others' cuts alone.
        let (mine, _others) = (network.cut(one, two).unwrap(), network.cut(two, one).unwrap());
        network.mend(vec![mine]).unwrap();
        assert_eq!(asked(), Some(1));
        let at = std::net::SocketAddr::from((address, 7000));
        std::net::TcpStream::connect_timeout(&at, Duration::from_secs(1)).unwrap();
        network.heal().unwrap();
        assert_eq!(asked(), Some(0));
        // Who is refused is told so at once, and nobody else is.
        let wall = network.refuse(one, two).unwrap();
        assert_eq!(asked(), Some(2));
        std::net::TcpStream::connect_timeout(&at, Duration::from_secs(1)).unwrap();
        assert!(network.mend(vec![wall]).unwrap() > 0);
        assert_eq!(asked(), Some(0));
        server.kill().unwrap();
        server.wait().unwrap();
    }
}
