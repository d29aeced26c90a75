//! Contexts and `axp login`, as a user meets them: files, permissions, precedence.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use serde_json::json;
use tokio::process::Command;

use super::canned::{Canned, answers};
use super::{stdout, within_a_minute};

const KEY: &str = "axme_sa_context_0123456789";

/// `axp` with a config folder of its own and nothing in its environment.
async fn axp(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axp"));
    command.args(arguments).env_clear().env("AXP_CONFIG_DIR", config).kill_on_drop(true);
    within_a_minute(command.output()).await.unwrap()
}

async fn server() -> Canned {
    Canned::start(answers([
        ("GET /v1/intents", json!({"ok": true, "intents": []})),
        ("GET /health", json!({"ok": true})),
    ]))
    .await
}

#[tokio::test]
async fn a_login_is_used_from_then_on_and_its_key_is_private() {
    let (home, server) = (tempfile::tempdir().unwrap(), server().await);
    let config = home.path().join("axp");
    let login = ["login", "--url", &server.url, "--api-key", KEY, "--context", "here"];
    let said = axp(&config, &login).await;
    assert_eq!(stdout(&said), format!("Using {} as context `here`.\n", server.url));
    let mode = fs::metadata(config.join("keys.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!fs::read_to_string(config.join("contexts.toml")).unwrap().contains(KEY));
    assert!(axp(&config, &["intents", "list"]).await.status.success());
    let shown = axp(&config, &["context", "show"]).await;
    assert!(stdout(&shown).contains("context here") && !stdout(&shown).contains(KEY), "{shown:?}");
    let listed = axp(&config, &["context", "list"]).await;
    assert!(stdout(&listed).contains("*  here"), "{listed:?}");
}

#[tokio::test]
async fn a_key_that_does_not_work_is_not_stored() {
    let home = tempfile::tempdir().unwrap();
    let refusing = Canned::start(answers([])).await;
    let login = ["login", "--url", &refusing.url, "--api-key", KEY];
    let said = axp(home.path(), &login).await;
    assert_eq!(said.status.code(), Some(5), "{said:?}");
    assert!(!home.path().join("keys.toml").exists());
}

#[tokio::test]
async fn keys_that_others_can_read_are_refused_with_the_repair() {
    let (home, server) = (tempfile::tempdir().unwrap(), server().await);
    axp(home.path(), &["login", "--url", &server.url, "--api-key", KEY]).await;
    let keys = home.path().join("keys.toml");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = axp(home.path(), &["intents", "list"]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(stderr.contains("chmod 600") && !stderr.contains(KEY), "{stderr}");
}

#[tokio::test]
async fn contexts_are_made_chosen_and_deleted() {
    let (home, server) = (tempfile::tempdir().unwrap(), server().await);
    let run = async |arguments: &[&str]| axp(home.path(), arguments).await;
    let code = |output: &Output| output.status.code();
    assert_eq!(code(&run(&["context", "set", "far"]).await), Some(2));
    assert_eq!(code(&run(&["context", "set", "far", "--url", "nonsense"]).await), Some(2));
    let far = ["context", "set", "far", "--url", "http://127.0.0.1:1", "--api-key", KEY];
    assert_eq!(code(&run(&far).await), Some(0));
    let near = ["context", "set", "near", "--url", &server.url, "--api-key", KEY];
    assert_eq!(code(&run(&near).await), Some(0));
    // The first one stays in use until another is chosen.
    assert_eq!(code(&run(&["intents", "list"]).await), Some(3));
    assert_eq!(code(&run(&["intents", "list", "--context", "near"]).await), Some(0));
    assert_eq!(code(&run(&["context", "use", "near"]).await), Some(0));
    assert_eq!(code(&run(&["intents", "list"]).await), Some(0));
    assert_eq!(code(&run(&["context", "use", "nowhere"]).await), Some(2));
    // A context's key does not follow it to another server.
    let elsewhere = ["intents", "list", "--url", "http://127.0.0.1:1"];
    assert_eq!(code(&run(&elsewhere).await), Some(4));
    let moved = ["context", "set", "near", "--url", "http://127.0.0.1:1"];
    assert_eq!(code(&run(&moved).await), Some(2));
    assert_eq!(code(&run(&["context", "delete", "near"]).await), Some(0));
    assert_eq!(code(&run(&["context", "delete", "near"]).await), Some(2));
    assert!(!fs::read_to_string(home.path().join("keys.toml")).unwrap().contains("near"));
}

#[tokio::test]
async fn without_a_key_the_way_to_one_is_told() {
    let home = tempfile::tempdir().unwrap();
    let refused = axp(home.path(), &["intents", "list"]).await;
    assert_eq!(refused.status.code(), Some(4));
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(stderr.contains("axp login --api-key KEY"), "{stderr}");
}
