//! Two namespaces, a server in one and a client in the other.

use std::process::{Child, Stdio};
use std::time::Instant;

use super::*;

/// Answers every byte with the same.
const SERVE: &str = "import socketserver\n\
    class H(socketserver.BaseRequestHandler):\n\
    \x20def handle(self):\n\
    \x20 while (b := self.request.recv(1)): self.request.sendall(b)\n\
    socketserver.ThreadingTCPServer.allow_reuse_address = True\n\
    s = socketserver.ThreadingTCPServer(('', 7000), H); print('ready', flush=True)\n\
    s.serve_forever()";

struct World {
    proxies: Proxies,
    network: Network,
    server: Child,
}

impl World {
    fn build() -> Option<Self> {
        if let Some(reason) = Network::unavailable() {
            eprintln!("\n!!! SKIPPED: {reason} !!!\n");
            return None;
        }
        let network = Network::build(2, 0).unwrap();
        let proxies = Proxies::build(&network).unwrap();
        let mut server = network.command(Place::Node(1), Path::new("python3"));
        let mut server = server.args(["-c", SERVE]).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0];
        std::io::Read::read_exact(server.stdout.as_mut().unwrap(), &mut ready).unwrap();
        Some(Self { proxies, network, server })
    }

    /// One connection that asks `questions` times; how long it took, if all were answered.
    fn ask(&self, questions: u32) -> Option<Duration> {
        let address = self.network.address(Place::Node(1)).unwrap();
        let ask = format!(
            "import socket\ns = socket.create_connection(('{address}', 7000), 2); s.settimeout(2)\n\
             for _ in range({questions}): s.sendall(b'x'); assert s.recv(1) == b'x'"
        );
        let mut client = self.network.command(Place::Node(0), Path::new("python3"));
        let begun = Instant::now();
        let status = client.args(["-c", &ask]).stderr(Stdio::null()).status().unwrap();
        status.success().then(|| begun.elapsed())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

#[test]
fn links_are_slow_lose_answers_and_heal() {
    let Some(world) = World::build() else { return };
    let (one, two) = (Place::Node(0), Place::Node(1));
    assert!(world.ask(3).is_some());
    assert_eq!(world.proxies.hurt(), Hurt::default());
    world.proxies.slow(one, two, Duration::from_millis(100), None);
    // There and back, three times.
    assert!(world.ask(3).unwrap() >= Duration::from_millis(600));
    assert_eq!(world.proxies.hurt().delayed_bytes, 6);
    world.proxies.heal();
    world.proxies.lose_answers(one, two);
    assert!(world.ask(1).is_none());
    assert!(world.proxies.hurt().swallowed_bytes > 0);
    world.proxies.heal();
    assert!(world.ask(1).is_some());
}

#[test]
fn a_connection_is_reset_and_cuts_of_the_bridge_are_felt() {
    let Some(world) = World::build() else { return };
    let (one, two) = (Place::Node(0), Place::Node(1));
    world.proxies.slow(one, two, Duration::from_millis(50), None);
    let asked = std::thread::scope(|scope| {
        let asking = scope.spawn(|| world.ask(1000));
        while world.proxies.reset(one, two) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        asking.join().unwrap()
    });
    assert!(asked.is_none());
    assert_eq!(world.proxies.hurt().resets, 1);
    // What the proxy sends has the address of whom it sends for.
    let cut = world.network.cut(one, two).unwrap();
    assert!(world.ask(1).is_none());
    assert!(world.network.mend(vec![cut]).unwrap() > 0);
    assert!(world.ask(1).is_some());
}
