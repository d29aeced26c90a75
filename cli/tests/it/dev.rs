//! `axp dev` and the commands against it: a real cluster, a real gateway.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::server::Server;
use super::{json, stdout, within_a_minute};

/// Runs a command until it succeeds: on a machine that is busy with other tests, a cluster may be
/// electing just now.
async fn eventually<F: Future<Output = Output>>(mut run: impl FnMut() -> F) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let output = run().await;
        if output.status.success() {
            return json(&output);
        }
        assert!(Instant::now() < deadline, "{output:?}");
    }
}

#[tokio::test]
async fn a_second_start_continues_where_the_first_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let first = Server::start(folder.path(), &[]).await;
    let submit = ["intents", "submit", "--to", "checker", "--payload", r#"{"n":1}"#, "--json"];
    let id = json(&first.axp(&submit).await)["intent_id"].as_str().unwrap().to_owned();
    let key = first.key.clone();
    assert!(first.stop().await.success());

    let second = Server::start(folder.path(), &[]).await;
    assert_eq!(second.key, key);
    let shown = json(&second.axp(&["intents", "get", &id, "--json"]).await);
    assert_eq!(shown["intent"]["payload"], serde_json::json!({"n": 1}));
    let heard = second.axp(&["agents", "listen", "checker", "--max", "1"]).await;
    assert!(stdout(&heard).contains(&id), "{heard:?}");
    assert!(second.stop().await.success());
}

#[tokio::test]
async fn a_key_can_be_given_and_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let key = "axme_sa_given_0123456789";
    let server = Server::start(folder.path(), &["--api-key", key, "--org", "globex"]).await;
    assert_eq!(server.key, key);
    let listed = json(&server.axp(&["agents", "list", "--json"]).await);
    let addresses = listed["agents"].as_array().unwrap().iter();
    let addresses: Vec<_> = addresses.map(|agent| agent["address"].as_str().unwrap()).collect();
    assert!(addresses.iter().all(|address| address.starts_with("agent://globex/prod/")));
    assert!(!folder.path().join("api-key").exists());
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn another_number_of_nodes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Server::start(folder.path(), &[]).await.stop().await.success());
    let output =
        within_a_minute(Server::command(folder.path(), &["--nodes", "3"]).output()).await.unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("was made with --nodes 1"), "{stderr}");
}

#[tokio::test]
async fn three_nodes_are_healthy_and_do_the_whole_lifecycle() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--nodes", "3"]).await;
    let status = ["cluster", "status", "--json", "--nodes", &server.nodes];
    let report = eventually(|| server.axp_plain(&status)).await;
    assert_eq!(report["health"], "healthy", "{report}");
    assert_eq!(report["nodes"].as_array().unwrap().len(), 3);
    for group in report["groups"].as_array().unwrap() {
        assert!(group["leader_id"].is_u64(), "{group}");
        assert_eq!(group["voters"], serde_json::json!([1, 2, 3]), "{group}");
    }
    for workload in ["submit", "lifecycle", "watch"] {
        let load = ["bench", workload, "--json", "--clients", "8"];
        let load = [&load[..], &["--warm-up", "300ms", "--duration", "1s"]].concat();
        let report = eventually(|| server.axp(&load)).await;
        assert!(report["operations"].as_u64() > Some(0), "{report}");
    }
    let verify = ["cluster", "verify", "--json", "--nodes", &server.nodes];
    let groups = eventually(|| server.axp_plain(&verify)).await;
    for group in groups.as_array().unwrap() {
        assert_eq!(group["verdict"], "equal", "{group}");
        assert_eq!(group["nodes"].as_array().unwrap().len(), 3, "{group}");
        assert!(group["rows"].as_u64() > Some(0), "{group}");
    }
    let remove = ["cluster", "remove", "3", "--nodes", &server.nodes];
    let refused = server.axp_plain(&remove).await;
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("are fixed"), "{refused:?}");
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_watch_with_the_command_sees_each_event_and_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let submit = ["intents", "submit", "--to", "nobody", "--deadline-at"];
    let deadline = "2001-01-01T00:00:00Z";
    let refused = server.axp(&[&submit[..], &[deadline]].concat()).await;
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");

    let submitted = server.axp(&["intents", "submit", "--to", "nobody", "--json"]).await;
    let id = json(&submitted)["intent_id"].as_str().unwrap().to_owned();
    let arguments = ["intents", "watch", &id, "--json"];
    let (watched, ()) = tokio::join!(server.axp(&arguments), super::grpc::cancel(&server, &id));
    assert_eq!(watched.status.code(), Some(11), "{watched:?}");
    let events = stdout(&watched).lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let seqs: Vec<_> = events.map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert!(server.stop().await.success());
}
