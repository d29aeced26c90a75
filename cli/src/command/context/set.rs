//! `axp context set`.

use clap::Args;
use serde_json::json;

use crate::api::Target;
use crate::config::{self, Context, Contexts, Folder};
use crate::exit::{Exit, Usage};
use crate::output::{self, Ui};

/// Make or change a stored server, without trying it.
#[derive(Debug, Args)]
pub(super) struct SetArgs {
    name: String,
    /// Base URL of the gateway.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Its API key; `axp login` reads one from stdin.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
}

pub(super) fn run(args: SetArgs, ui: Ui) -> anyhow::Result<Exit> {
    let folder = Folder::require()?;
    let contexts = Contexts::read(&folder)?;
    let known = contexts.get(&args.name).map(|context| context.url.clone());
    let moved = args.url.is_some() && known.is_some() && args.url != known;
    let Some(url) = args.url.or(known) else {
        return Err(Usage(format!("`{}` is new: give it a --url", args.name)).into());
    };
    Target::parse(&url)?;
    if moved && args.api_key.is_none() && config::key_of(&folder, &args.name)?.is_some() {
        let why = "the stored key belongs to the URL before: give the new one's --api-key too";
        return Err(Usage(why.into()).into());
    }
    let context = Context { url: url.clone() };
    config::store(&folder, &args.name, context, args.api_key.as_deref(), false)?;
    if ui.json {
        output::json(&json!({"ok": true, "context": args.name, "url": url}))?;
    } else {
        output::line(&format!("Context `{}` is {url}.", args.name))?;
    }
    Ok(Exit::Success)
}
