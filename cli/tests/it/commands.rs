//! User commands: what they print and how they exit.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::fake::{Fake, Manners};
use super::{axp, command, json, stdout, within_a_minute};

async fn submit(url: &str) -> String {
    let answer = axp(url, &["intents", "submit", "--to", "checker", "--json"]).await;
    json(&answer)["intent_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_intent_is_submitted_and_shown() {
    let fake = Fake::start(Manners::default()).await;
    let id = submit(&fake.url).await;
    let shown = axp(&fake.url, &["intents", "get", &id]).await;
    assert!(shown.status.success());
    assert!(stdout(&shown).contains(&id) && stdout(&shown).contains("DELIVERED"), "{shown:?}");
}

#[tokio::test]
async fn a_watch_survives_cuts_and_prints_each_event_once() {
    for manners in [
        Manners::default(),
        Manners { streams_cut: 3, ..Manners::default() },
        Manners { never_live: true, streams_cut: 1, ..Manners::default() },
    ] {
        let fake = Fake::start(manners).await;
        let id = submit(&fake.url).await;
        let mut watch = command(&fake.url, &["intents", "watch", &id, "--json"]);
        let mut process = watch.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut seqs = Vec::new();
        while let Some(line) = within_a_minute(lines.next_line()).await.unwrap() {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            seqs.push(event["seq"].clone());
            if seqs.len() == 3 {
                resume(&fake.url, &id, "{}").await.unwrap();
            }
        }
        assert_eq!(within_a_minute(process.wait()).await.unwrap().code(), Some(0));
        assert_eq!(seqs, [1, 2, 3, 4], "{manners:?}");
    }
}

#[tokio::test]
async fn an_intent_that_failed_has_an_exit_code_of_its_own() {
    let fake = Fake::start(Manners::default()).await;
    let id = submit(&fake.url).await;
    resume(&fake.url, &id, r#"{"action":"fail"}"#).await.unwrap();
    let watched = axp(&fake.url, &["intents", "watch", &id]).await;
    assert_eq!(watched.status.code(), Some(8), "{watched:?}");
    assert!(stdout(&watched).lines().last().unwrap().contains("intent.failed"));
}

#[tokio::test]
async fn deliveries_are_printed_until_there_were_enough() {
    let fake = Fake::start(Manners { streams_cut: 1, ..Manners::default() }).await;
    let ids = [submit(&fake.url).await, submit(&fake.url).await];
    let heard = axp(&fake.url, &["agents", "listen", "checker", "--max", "2"]).await;
    assert!(heard.status.success(), "{heard:?}");
    let lines: Vec<_> = stdout(&heard).lines().collect();
    assert!(lines.len() == 2 && lines[0].contains(&ids[0]) && lines[1].contains(&ids[1]));
}

#[tokio::test]
async fn refusals_have_stable_exit_codes() {
    let fake = Fake::start(Manners::default()).await;
    let get = ["intents", "get", "00000000-0000-0000-0000-000000000000"];
    let code = |output: std::process::Output| output.status.code();
    assert_eq!(code(axp(&fake.url, &get).await), Some(5));
    let wrong_key = [&get[..], &["--api-key", "wrong"]].concat();
    assert_eq!(code(axp(&fake.url, &wrong_key).await), Some(4));
    assert_eq!(code(axp("http://127.0.0.1:1", &get).await), Some(3));
    assert_eq!(code(axp("ftp://127.0.0.1", &get).await), Some(2));
    assert_eq!(code(axp(&fake.url, &["intents", "get"]).await), Some(2));
    let busy = Fake::start(Manners { refusals: 1, ..Manners::default() }).await;
    assert_eq!(code(axp(&busy.url, &get).await), Some(7));
}

/// Answers a delivery, as an agent would.
async fn resume(url: &str, id: &str, body: &str) -> std::io::Result<()> {
    let address = url.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(address).await?;
    let request = format!(
        "POST /v1/intents/{id}/resume HTTP/1.1\r\nhost: {address}\r\nx-api-key: {}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        super::fake::KEY,
        body.len()
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}
