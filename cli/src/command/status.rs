//! `axp status`: is the server there, which one is it, how fast does it answer.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::clock;
use crate::config::{Server, ServerArgs};
use crate::exit::Exit;
use crate::output::{self, Style, Ui};

/// Show the server's health and version, and how long it takes to answer.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: StatusArgs, ui: Ui) -> anyhow::Result<Exit> {
    let server = Server::resolve(&args.server)?;
    let key = server.key.as_ref().map(|key| key.value.as_str());
    let api = Api::at(&server.url.value, key.unwrap_or_default())?;
    // The connection is made by the first request, and is not what is measured.
    api.raw(Method::GET, "/health", &[], Bytes::new()).await?;
    let (health, health_took) = timed(api.get("/health")).await;
    let health = health?;
    let (read, read_took) = match key {
        Some(_) => {
            let (read, took) = timed(api.get("/v1/intents?limit=1")).await;
            (Some(read.map(drop)), Some(took))
        }
        None => (None, None),
    };
    let exit = match &read {
        Some(Err(error)) => Exit::of_api(error),
        _ => Exit::Success,
    };
    let error = read.and_then(Result::err).map(|error| error.to_string());
    if ui.json {
        output::json(&json!({
            "ok": exit == Exit::Success,
            "url": server.url.value,
            "url_source": server.url.source.to_string(),
            "context": server.context,
            "health": health,
            "health_ms": ms(health_took),
            "read_ms": read_took.map(ms),
            "key_works": key.map(|_| error.is_none()),
            "error": error,
        }))?;
    } else {
        let read = match (&error, read_took) {
            (Some(error), _) => ui.paint(Style::Bad, error),
            (None, Some(took)) => format!("works; a read takes {} ms", ms(took)),
            (None, None) => "none: `axp login --api-key KEY` stores one".into(),
        };
        output::line(&describe(&server, &health, health_took, &read))?;
    }
    Ok(exit)
}

fn describe(server: &Server, health: &Value, took: Duration, key: &str) -> String {
    let text = |field: &str| health[field].as_str().unwrap_or("?");
    format!(
        "server   {} ({})\nversion  {} {}\nprofile  {}, storage {}\nlatency  {} ms\nkey      {key}",
        server.url.value,
        server.url.source,
        text("service"),
        text("version"),
        text("deployment_profile"),
        text("storage"),
        ms(took),
    )
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = clock::now();
    let result = work.await;
    (result, began.elapsed())
}

/// To a tenth of a millisecond.
fn ms(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}
