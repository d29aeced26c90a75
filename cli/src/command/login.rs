//! `axp login`: checks a key and stores it with its server.

use std::io::{self, IsTerminal as _, Read as _};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::api::Api;
use crate::config::{self, Context, DEFAULT_URL, Folder};
use crate::exit::{Exit, Usage};
use crate::output::{self, Ui};

/// Store a server and its API key as a context, and use it from now on.
///
/// The key is tried first. It is kept in a file that only you can read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  axp login --url https://axp.example.org --api-key axme_sa_...
  axp login --url https://axp.example.org --context prod < key-file")]
pub(super) struct LoginArgs {
    /// Base URL of the gateway; left out, that of the context, else this machine's.
    #[arg(long, env = "AXME_BASE_URL", value_name = "URL")]
    url: Option<String>,
    /// The key; left out, it is read from stdin, where no process list shows it.
    #[arg(long, env = "AXME_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
    /// The name to store it under.
    #[arg(long, env = "AXP_CONTEXT", value_name = "NAME", default_value = "default")]
    context: String,
    /// Store it without trying it.
    #[arg(long)]
    no_check: bool,
}

pub(super) async fn run(args: LoginArgs, ui: Ui) -> anyhow::Result<Exit> {
    let folder = Folder::require()?;
    let known = config::Contexts::read(&folder)?;
    let known = known.get(&args.context).map(|context| context.url.clone());
    let url = args.url.or(known).unwrap_or_else(|| DEFAULT_URL.to_owned());
    let key = args.api_key.map_or_else(read_key, Ok)?;
    let api = Api::at(&url, &key)?;
    if !args.no_check {
        api.get("/v1/intents?limit=1").await.context("the key does not work, nothing is stored")?;
    }
    config::store(&folder, &args.context, Context { url: url.clone() }, Some(&key), true)?;
    if ui.json {
        output::json(&json!({"ok": true, "context": args.context, "url": url}))?;
    } else {
        output::line(&format!("Using {url} as context `{}`.", args.context))?;
    }
    Ok(Exit::Success)
}

fn read_key() -> anyhow::Result<String> {
    let mut text = String::new();
    if io::stdin().is_terminal() {
        output::note("API key (ends with Enter):");
        io::stdin().read_line(&mut text)?;
    } else {
        io::stdin().read_to_string(&mut text).context("reading the key from stdin")?;
    }
    let key = text.trim();
    if key.is_empty() {
        return Err(Usage("there is no key: --api-key KEY, or the key on stdin".into()).into());
    }
    Ok(key.to_owned())
}
