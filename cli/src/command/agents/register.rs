//! `axp agents register`.

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::api::Api;
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Ui};

/// Register an agent: a service account with an address in the key's workspace.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  axp agents register checker --with-key
  axp agents register billing --delivery-mode http --callback-url https://billing.example.org/axp")]
pub(super) struct RegisterArgs {
    /// A name, or an address whose last part is the name.
    name: String,
    /// For people.
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// How it wants its intents.
    #[arg(long, value_enum)]
    delivery_mode: Option<DeliveryMode>,
    /// Where intents are pushed to, with `--delivery-mode http`.
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// Make an API key for it as well; it is shown once.
    #[arg(long)]
    with_key: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DeliveryMode {
    Stream,
    Poll,
    Http,
    Inbox,
    Internal,
}

impl DeliveryMode {
    fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Poll => "poll",
            Self::Http => "http",
            Self::Inbox => "inbox",
            Self::Internal => "internal",
        }
    }
}

pub(super) async fn run(args: RegisterArgs, ui: Ui) -> anyhow::Result<Exit> {
    let api = Api::new(&args.server)?;
    let mut body = json!({"name": args.name});
    let optional = [
        ("display_name", args.display_name),
        ("description", args.description),
        ("delivery_mode", args.delivery_mode.map(|mode| mode.name().to_owned())),
        ("callback_url", args.callback_url),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            body[name] = value.into();
        }
    }
    let mut answer = api.post("/v1/service-accounts", &[], &body).await?;
    let text = |field: &str| answer["service_account"][field].as_str().map(str::to_owned);
    let (address, id) = (text("agent_address"), text("service_account_id").unwrap_or_default());
    let secret = text("signing_secret");
    if args.with_key {
        let path = format!("/v1/service-accounts/{id}/keys");
        answer["key"] = api.post(&path, &[], &json!({})).await?["key"].take();
    }
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    output::line(&format!("{}  {id}", address.unwrap_or_default()))?;
    if let Some(secret) = secret {
        output::line(&format!("signing secret, shown once: {secret}"))?;
    }
    if let Some(token) = answer["key"]["token"].as_str() {
        output::line(&format!("API key, shown once: {token}"))?;
    }
    Ok(Exit::Success)
}
