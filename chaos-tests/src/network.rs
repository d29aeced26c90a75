//! A network of its own for one cluster: every process in a network namespace with its own address,
//! all of them on one bridge, which drops what a fault tells it to.
//!
//! The bridge lies in a namespace, too, so nothing of this touches the machine's own network but for
//! one end of a cable, through which the clients of a run reach everybody. Rules are by pair and
//! direction of addresses: a partition of any shape. Made with `ip` and `nft`; gone with this value.

mod flow;
mod proxy;
mod tool;

use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, bail};
use rand::RngExt;

use tool::{ip, nft, nft_echo, run};

pub use proxy::{Hurt, Proxies};

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

/// Where packets are dropped; its strike heals it again, and no other one's.
#[derive(Debug)]
#[must_use]
pub struct Cut(u64);

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
        nft(&bridge, "add table bridge cut")?;
        nft(&bridge, "add chain bridge cut forward { type filter hook forward priority 0; }")?;
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
        ip(&["-n", &namespace, "link", "set", "eth0", "up"])
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

    fn rule(&self, from: Place, to: Place, action: &str) -> anyhow::Result<Cut> {
        let (from, to) = (self.address(from)?, self.address(to)?);
        let rule = format!("add rule bridge cut forward ip saddr {from} ip daddr {to} {action}");
        let echo = nft_echo(&self.bridge(), &rule)?;
        let handle = handle_of(&echo).with_context(|| format!("no handle in {echo:?}"))?;
        Ok(Cut(handle))
    }

    /// Takes these cuts away, and tells how many packets they dropped.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub fn mend(&self, cuts: Vec<Cut>) -> anyhow::Result<u64> {
        let rules = nft(&self.bridge(), "list chain bridge cut forward")?;
        let mut packets = 0;
        for Cut(handle) in cuts {
            let rule = rules.lines().find(|line| handle_of(line) == Some(handle));
            packets += rule.map_or(0, dropped);
            nft(&self.bridge(), &format!("delete rule bridge cut forward handle {handle}"))?;
        }
        Ok(packets)
    }

    /// Takes all cuts away, whoever made them.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub fn heal(&self) -> anyhow::Result<()> {
        nft(&self.bridge(), "flush chain bridge cut forward").map(drop)
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

/// By which a rule is deleted: `... # handle 12`.
fn handle_of(rule: &str) -> Option<u64> {
    rule.split_once("# handle ")?.1.split_whitespace().next()?.parse().ok()
}

/// The sum of all counters in a listing of `nft`: `... counter packets 12 bytes 720 drop`.
fn dropped(listing: &str) -> u64 {
    let words: Vec<&str> = listing.split_whitespace().collect();
    let counts = words.windows(2).filter(|pair| pair[0] == "packets");
    counts.filter_map(|pair| pair[1].parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn counters_are_summed() {
        let listing = "chain forward {\n type filter hook forward priority filter; policy accept;\n \
            ip saddr 10.0.0.1 ip daddr 10.0.0.2 counter packets 12 bytes 720 drop\n \
            ip saddr 10.0.0.2 ip daddr 10.0.0.1 counter packets 3 bytes 180 drop\n }";
        assert_eq!(dropped(listing), 15);
        assert_eq!(dropped(""), 0);
        assert_eq!(handle_of("ip saddr 10.0.0.1 counter packets 3 drop # handle 12\n"), Some(12));
        assert_eq!(handle_of("chain forward {"), None);
    }

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
            "import socket; s = socket.create_connection(('{address}', 7000), 0.5); s.settimeout(0.5); \
             raise SystemExit(0 if s.recv(1) == b'x' else 1)"
        );
        let asked = || {
            let mut client = network.command(one, Path::new("python3"));
            let client = client.args(["-c", &ask]).stderr(std::process::Stdio::null());
            client.status().unwrap().success()
        };
        assert!(asked());
        let cut = network.cut(two, one).unwrap();
        assert!(!asked());
        assert!(network.mend(vec![cut]).unwrap() > 0);
        assert!(asked());
        // The clients of a run are never cut off; whoever mends leaves the others' cuts alone.
        let (mine, _others) = (network.cut(one, two).unwrap(), network.cut(two, one).unwrap());
        network.mend(vec![mine]).unwrap();
        assert!(!asked());
        let at = std::net::SocketAddr::from((address, 7000));
        std::net::TcpStream::connect_timeout(&at, Duration::from_secs(1)).unwrap();
        network.heal().unwrap();
        assert!(asked());
        server.kill().unwrap();
        server.wait().unwrap();
    }
}
