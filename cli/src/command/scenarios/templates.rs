//! `axp scenarios list-templates` and `show-template`: the server's workflow macros.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::api::{Api, percent_encoded};
use crate::config::ServerArgs;
use crate::exit::Exit;
use crate::output::{self, Table, Ui};

/// List workflow macros that a bundle can use.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// Show a workflow macro: its parameters, and a bundle that uses it.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[arg(value_name = "ID")]
    macro_id: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn list(args: ListArgs, ui: Ui) -> anyhow::Result<Exit> {
    let answer = Api::new(&args.server)?.get("/v1/tool-registry/macros").await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let mut table = Table::new(&["TEMPLATE", "DESCRIPTION"]).elastic(&[1]);
    for template in answer["macros"].as_array().into_iter().flatten() {
        table.row(vec![text(template, "macro_id"), text(template, "description")]);
    }
    output::line(&ui.table(&table))?;
    Ok(Exit::Success)
}

pub(super) async fn show(args: ShowArgs, ui: Ui) -> anyhow::Result<Exit> {
    let path = format!("/v1/tool-registry/macros/{}", percent_encoded(&args.macro_id));
    let answer = Api::new(&args.server)?.get(&path).await?;
    if ui.json {
        output::json(&answer)?;
        return Ok(Exit::Success);
    }
    let template = &answer["macro"];
    output::line(&format!("{}\n{}\n", text(template, "macro_id"), text(template, "description")))?;
    let mut table = Table::new(&["PARAMETER", "DEFAULT", "DESCRIPTION"]).elastic(&[2, 1]);
    for parameter in template["parameters"].as_array().into_iter().flatten() {
        let default = match &parameter["default"] {
            Value::Null if parameter["required"] == true => "(required)".to_owned(),
            Value::Null => String::new(),
            default => plain(default),
        };
        table.row(vec![text(parameter, "name"), default, text(parameter, "description")]);
    }
    output::line(&ui.table(&table))?;
    output::line("\nA bundle that uses it:")?;
    output::json(&bundle(template))?;
    Ok(Exit::Success)
}

fn bundle(template: &Value) -> Value {
    let mut parameters = Map::new();
    for parameter in template["parameters"].as_array().into_iter().flatten() {
        let value = match &parameter["default"] {
            Value::Null if parameter["required"] == true => json!("..."),
            // What may be left out is left out.
            Value::Null => continue,
            default => default.clone(),
        };
        parameters.insert(text(parameter, "name"), value);
    }
    json!({
        "scenario_id": "my.scenario.v1",
        "workflow": {"macro_id": text(template, "macro_id"), "parameters": parameters},
        "intent": {"type": "intent.my_scenario.v1", "payload": {}},
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
