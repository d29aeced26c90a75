//! `axp intents get`.

use clap::Args;

use super::connect;
use crate::api::{ServerArgs, percent_encoded};
use crate::exit::Exit;
use crate::output;

/// Show an intent as it is now.
#[derive(Debug, Args)]
pub(super) struct GetArgs {
    intent_id: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: GetArgs, json: bool) -> anyhow::Result<Exit> {
    let api = connect(&args.server)?;
    let answer = api.get(&format!("/v1/intents/{}", percent_encoded(&args.intent_id))).await?;
    if json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    // Whatever the server knows: a field that this command has never heard of is shown too.
    let fields = answer["intent"].as_object().into_iter().flatten();
    let mut table = output::Table::new(&["FIELD", "VALUE"]);
    for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        table.row(vec![name.clone(), value]);
    }
    output::line(&table.render())?;
    Ok(Exit::Success)
}
