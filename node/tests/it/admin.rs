//! The admin port, asked over HTTP as probes and hooks do.

use std::process::Command;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Cluster, Running, eventually};

async fn ask(node: &Running, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(node.handle.addresses().admin).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_the_pre_stop_hook() {
    let mut cluster = Cluster::started(3, |_| {}).await;
    let node = &cluster.nodes[&1];
    for path in ["/startupz", "/livez", "/readyz", "/healthz", "/version"] {
        assert_eq!(ask(node, "GET", path).await.0, 200, "{path}");
    }
    assert_eq!(ask(node, "GET", "/drain").await.0, 405, "a drain is not for the curious");

    // As the pod's hook runs it.
    let admin = node.handle.addresses().admin.to_string();
    let hook = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_axp-node"))
            .arg("prestop")
            .env("AXP_NODE__NODE__ADMIN_LISTEN", admin)
            .output()
            .unwrap()
    });
    let output = hook.await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("\"groups_led\":0"), "{text}");
    assert_eq!(ask(node, "GET", "/readyz").await, (503, "draining\n".to_owned()));
    assert_eq!(ask(node, "GET", "/livez").await.0, 200);
    for group in node.groups() {
        assert!(!node.leads(group), "group {group}");
        let other = cluster.leader(group).await;
        assert_ne!(other, 1);
    }
    // The others know, so that they give it no leadership.
    let peers = cluster.nodes[&2].handle.context().groups.peers();
    eventually("the draining is told", || {
        peers.get(1).is_some_and(|peer| peer.breaker().is_draining()).then_some(())
    })
    .await;
    cluster.shutdown().await;
}

#[test]
fn the_pre_stop_hook_succeeds_without_a_node() {
    let output = Command::new(env!("CARGO_BIN_EXE_axp-node"))
        .arg("prestop")
        .env("AXP_NODE__NODE__ADMIN_LISTEN", "127.0.0.1:1")
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("not drained"));
}
