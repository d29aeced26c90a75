//! `axp agents keys`: API keys of an agent's service account.

use clap::{Args, Subcommand};
use serde_json::json;

use super::account_of;
use crate::api::{Api, percent_encoded};
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::input;
use crate::output::{self, Table, Ui};

/// API keys of an agent.
#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArgs),
    Create(CreateArgs),
    Revoke(RevokeArgs),
}

/// List an agent's keys by their hints; the keys themselves are not kept.
#[derive(Debug, Args)]
struct ListArgs {
    /// An address, a bare name, or a service account's id.
    agent: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// Make a key; it is shown once.
#[derive(Debug, Args)]
struct CreateArgs {
    /// An address, a bare name, or a service account's id.
    agent: String,
    /// When it stops working, like `2030-01-31T12:00:00Z`.
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Revoke a key; what uses it is refused from then on.
#[derive(Debug, Args)]
struct RevokeArgs {
    /// An address, a bare name, or a service account's id.
    agent: String,
    key_id: String,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: KeysArgs, ui: Ui) -> anyhow::Result<Exit> {
    match args.command {
        Command::List(args) => list(args, ui).await,
        Command::Create(args) => create(args, ui).await,
        Command::Revoke(args) => revoke(args, ui).await,
    }
}

async fn list(args: ListArgs, ui: Ui) -> anyhow::Result<Exit> {
    let api = Api::new(&args.server)?;
    let id = account_of(&api, &args.agent).await?;
    let answer = api.get(&format!("/v1/service-accounts/{}", percent_encoded(&id))).await?;
    let keys = &answer["service_account"]["keys"];
    if ui.json {
        output::json(&json!({"ok": true, "service_account_id": id, "keys": keys}))?;
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["KEY", "HINT", "STATUS", "CREATED", "EXPIRES"]).status(2);
    for key in keys.as_array().into_iter().flatten() {
        let text = |field: &str| key[field].as_str().unwrap_or_default().to_owned();
        let (created, expires) = (ui.when(&text("created_at")), ui.when(&text("expires_at")));
        table.row(vec![text("key_id"), text("key_hint"), text("status"), created, expires]);
    }
    output::line(&ui.table(&table))?;
    Ok(Exit::Success)
}

async fn create(args: CreateArgs, ui: Ui) -> anyhow::Result<Exit> {
    let api = Api::new(&args.server)?;
    let id = account_of(&api, &args.agent).await?;
    let mut body = json!({});
    if let Some(expires_at) = args.expires_at {
        body["expires_at"] = expires_at.into();
    }
    let path = format!("/v1/service-accounts/{}/keys", percent_encoded(&id));
    let answer = api.post(&path, &[], &body).await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let text = |field: &str| answer["key"][field].as_str().unwrap_or_default();
    output::line(&format!("{}\nAPI key, shown once: {}", text("key_id"), text("token")))?;
    Ok(Exit::Success)
}

async fn revoke(args: RevokeArgs, ui: Ui) -> anyhow::Result<Exit> {
    let api = Api::new(&args.server)?;
    let id = account_of(&api, &args.agent).await?;
    if !args.yes && !input::agree(ui, &format!("Revoke {} of {}?", args.key_id, args.agent))? {
        return Ok(Exit::Other);
    }
    let (account, key) = (percent_encoded(&id), percent_encoded(&args.key_id));
    let path = format!("/v1/service-accounts/{account}/keys/{key}/revoke");
    let answer = api.post(&path, &[], &json!({})).await?;
    if ui.json {
        output::json(&answer)?;
    } else {
        output::line(&format!("{}  revoked", args.key_id))?;
    }
    Ok(Exit::Success)
}
