//! `axp raw`: any request, with the server and the key of the context.

use bytes::Bytes;
use clap::Args;
use hyper::Method;
use serde_json::Value;

use crate::api::Api;
use crate::config::ServerArgs;
use crate::exit::{Exit, Usage};
use crate::input;
use crate::output::{self, Ui};

/// Send any request and print the body of the answer. The exit code follows its status.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  axp raw GET /v1/inbox
  axp raw POST /v1/intents/ID/controls --data '{\"controls_patch\": {\"timeout_seconds\": 60}}'
  axp raw POST /v1/intents --data @intent.json --header 'idempotency-key: 42'")]
pub(super) struct RawArgs {
    method: Method,
    /// Path and query, like `/v1/intents?limit=1`.
    path: String,
    /// The body; `@FILE` reads a file, `-` stdin.
    #[arg(long, short, value_name = "BODY")]
    data: Option<String>,
    /// A header; may be repeated.
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: RawArgs, _ui: Ui) -> anyhow::Result<Exit> {
    if !args.path.starts_with('/') {
        return Err(Usage(format!("`{}` is no path: it starts with /", args.path)).into());
    }
    let body = match args.data.as_deref() {
        Some("-") => input::read_file("-")?,
        Some(text) => match text.strip_prefix('@') {
            Some(path) => input::read_file(path)?,
            None => text.to_owned(),
        },
        None => String::new(),
    };
    let headers: Vec<_> =
        args.header.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let api = Api::new(&args.server)?;
    let answer = api.raw(args.method, &args.path, &headers, Bytes::from(body)).await?;
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(value) => output::json(&value)?,
        Err(_) => output::line(&String::from_utf8_lossy(&answer.body))?,
    }
    let exit = Exit::of_status(answer.status);
    if exit != Exit::Success {
        output::note(&format!("axp: the server answered {}", answer.status));
    }
    Ok(exit)
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it has the form `name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
