//! `axp` in a terminal of 80 columns: a pseudo terminal, driven as a person would.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};

use super::canned::{Answers, Canned, answers, stream};
use super::{command, fake};

struct Seen {
    text: String,
    status: ExitStatus,
}

/// Runs it with this typed in advance, which is what a terminal's buffer allows.
async fn run(url: &str, arguments: &[&str], typed: &str) -> Seen {
    // Nobody else's process, started by another test meanwhile, may keep either end open.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(name, flags, Mode::empty()).unwrap();
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&slave, size).unwrap();
    let slave = File::from(slave);
    let mut process = command(url, arguments);
    process.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("COLUMNS");
    process.stdin(Stdio::from(slave.try_clone().unwrap()));
    process.stdout(Stdio::from(slave.try_clone().unwrap()));
    process.stderr(Stdio::from(slave));
    let mut child = process.spawn().unwrap();
    // Else this process keeps the terminal open, and reading from it never ends.
    drop(process);
    let mut master = File::from(master);
    master.write_all(typed.as_bytes()).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        // With its last user gone a terminal answers with an error, not with an end.
        master.read_to_end(&mut bytes).ok();
        String::from_utf8(bytes).unwrap()
    });
    let ended = tokio::time::timeout(Duration::from_secs(60), child.wait()).await;
    let status = ended.expect("axp ends within a minute").unwrap();
    Seen { text: reading.await.unwrap().replace("\r\n", "\n"), status }
}

fn list() -> Answers {
    answers([(
        "GET /v1/intents",
        json!({"ok": true, "intents": [{"intent_id": "01976f00-0000-7000-8000-000000000001",
            "status": "WAITING", "updated_at": "2020-01-01T00:00:00Z",
            "to_agent": "agent://acme-with-a-long-name/production/compliance-checker"}]}),
    )])
}

#[tokio::test]
async fn a_table_fits_and_its_times_are_relative() {
    let server = Canned::start(list()).await;
    let seen = run(&server.url, &["intents", "list", "--no-color"], "").await;
    assert!(seen.status.success());
    let lines: Vec<_> = seen.text.lines().collect();
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
    assert!(lines[1].starts_with("01976f00-0000-7000-8000-000000000001  WAITING  "), "{lines:#?}");
    assert!(lines[1].contains(" ago  agent://") && lines[1].ends_with('…'), "{lines:#?}");
    assert!(!seen.text.contains('\x1b'));
    let painted = run(&server.url, &["intents", "list"], "").await;
    assert!(painted.text.contains("\x1b[33mWAITING\x1b[0m"), "{:?}", painted.text);
}

fn form() -> Answers {
    answers([
        (
            "GET /v1/intents/7",
            json!({"ok": true, "intent": {"intent_id": "7", "status": "WAITING",
                "human_task": {"title": "Size it", "task_type": "form", "required_comment": true,
                "allowed_outcomes": ["submitted", "rejected"],
                "form_schema": {"required": ["count"],
                "properties": {"count": {"type": "integer", "title": "How many"}}}}}}),
        ),
        ("POST /v1/intents/7/resume", json!({"ok": true, "status": "COMPLETED"})),
    ])
}

#[tokio::test]
async fn what_is_missing_is_asked_for() {
    let server = Canned::start(form()).await;
    // An empty line is no answer, so it is asked again.
    let seen = run(&server.url, &["tasks", "submit", "7"], "1\n\nlooks fine\n3\n").await;
    assert!(seen.status.success(), "{}", seen.text);
    assert!(seen.text.contains("Outcome? [1) submitted  2) rejected]"), "{}", seen.text);
    assert!(seen.text.contains("How many:"), "{}", seen.text);
    assert_eq!(
        server.writes()[0].body["task_result"],
        json!({"outcome": "submitted", "comment": "looks fine", "data": {"count": 3}})
    );
}

fn event(seq: u32, second: u32, name: &str, status: &str, more: &Value) -> Value {
    let mut event = json!({"seq": seq, "event_type": format!("intent.{name}"), "status": status,
        "at": format!("2026-01-01T00:00:{second:02}Z"), "details": {}});
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

#[tokio::test]
async fn a_watch_keeps_its_board_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.json");
    let bundle = json!({"scenario_id": "demo.v1", "workflow": {"steps": [
        {"step_id": "check", "assigned_to": "checker"}, {"step_id": "sign", "assigned_to": "ops"}]}});
    std::fs::write(&file, bundle.to_string()).unwrap();
    let agent = json!({"pending_with": {"type": "agent", "name": "checker", "ref": "checker"}});
    let human = json!({"pending_with": {"type": "human", "name": "ops", "ref": "ops"},
        "human_task": {"title": "Deploy?"}});
    let server = Canned::start(answers([
        ("POST /v1/scenarios/apply", json!({"ok": true, "intent_id": "7", "status": "DELIVERED"})),
        (
            "GET /v1/intents/7/events/stream",
            stream(&[
                event(1, 0, "created", "CREATED", &json!({})),
                event(2, 1, "delivered", "DELIVERED", &agent),
                event(3, 5, "waiting", "WAITING", &human),
                event(4, 9, "completed", "COMPLETED", &json!({"details": {"result": {"ok": 1}}})),
            ]),
        ),
    ]))
    .await;
    let arguments = ["scenarios", "apply", file.to_str().unwrap(), "--watch", "--no-color"];
    let seen = run(&server.url, &arguments, "").await;
    assert_eq!(seen.status.code(), Some(0), "{}", seen.text);
    assert!(seen.text.contains("waiting for ops: Deploy?"), "{:?}", seen.text);
    assert!(seen.text.contains("  axp tasks approve 7"), "{:?}", seen.text);
    // The last picture stays.
    let last = seen.text.rsplit("\x1b[6A").next().unwrap().replace("\x1b[K", "");
    let last = last.replace('\r', "").replace("\x1b[J", "");
    assert_eq!(
        last,
        "demo.v1  COMPLETED  9s\n  ✓ check  checker                       4s\n  \
         ✓ sign   ops                           4s\n{\"ok\":1}\n"
    );
}

#[tokio::test]
async fn an_interrupted_watch_says_how_to_come_back() {
    let fake = fake::Fake::start(fake::Manners::default()).await;
    let submitted = super::axp(&fake.url, &["intents", "submit", "--to", "c", "--json"]).await;
    let id = super::json(&submitted)["intent_id"].as_str().unwrap().to_owned();
    let mut watch = command(&fake.url, &["intents", "watch", &id]);
    let mut process = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdout = process.stdout.take().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(stdout));
    assert!(super::within_a_minute(lines.next_line()).await.unwrap().is_some());
    let pid = process.id().unwrap().to_string();
    let kill = tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
    assert!(kill.success());
    let output = super::within_a_minute(process.wait_with_output()).await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&format!("axp intents watch {id}")), "{stderr}");
    let shown = super::json(&super::axp(&fake.url, &["intents", "get", &id, "--json"]).await);
    assert_eq!(shown["intent"]["status"], "DELIVERED");
}
