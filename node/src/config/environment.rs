//! The environment over the file: `AXP_NODE__CLUSTER__BOOTSTRAP_EXPECT=3` sets
//! `cluster.bootstrap-expect`.
//!
//! Section and key are in upper case, `_` for `-`, and `__` between them. Text is taken as it is;
//! anything else is read as TOML, so `AXP_NODE__CLUSTER__PEERS` takes an inline array of tables.

use toml::{Table, Value};

use super::{Config, Error};

const PREFIX: &str = "AXP_NODE__";

pub(super) fn merge(
    file: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, Error> {
    let parse = |error: toml::de::Error| Error::Parse(error.to_string());
    // Parsed as the type first: an error then names line and column of the file.
    toml::from_str::<Config>(file).map_err(parse)?;
    let mut table: Table = toml::from_str(file).map_err(parse)?;
    let defaults = Table::try_from(Config::default())
        .map_err(|error| Error::Parse(format!("the defaults do not serialize: {error}")))?;

    let mut host_name = None;
    for (name, text) in environment {
        if name == "HOSTNAME" {
            host_name = Some(text);
        } else if let Some(key) = name.strip_prefix(PREFIX) {
            set(&mut table, &defaults, &name, key, &text)?;
        }
    }
    let mut config: Config = table.try_into().map_err(parse)?;
    if config.node.id == 0 {
        config.node.id = host_name.as_deref().and_then(ordinal).map_or(0, |ordinal| ordinal + 1);
    }
    Ok(config)
}

fn set(
    table: &mut Table,
    defaults: &Table,
    name: &str,
    key: &str,
    text: &str,
) -> Result<(), Error> {
    let problem =
        |problem: &str| Error::Environment { name: name.to_owned(), problem: problem.to_owned() };
    let lower = key.to_lowercase();
    let (section, key) = lower
        .split_once("__")
        .ok_or_else(|| problem("it has no section, as in AXP_NODE__NODE__ID"))?;
    let (section, key) = (section.replace('_', "-"), key.replace('_', "-"));
    let default = defaults
        .get(&section)
        .and_then(|section| section.get(&key))
        .ok_or_else(|| problem(&format!("there is no {section}.{key}")))?;
    let value = if default.is_str() { Value::String(text.to_owned()) } else { literal(text) };
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    let section = section.as_table_mut().ok_or_else(|| problem("its section is not a table"))?;
    section.insert(key, value);
    Ok(())
}

/// A value as TOML reads it; text that is none stays text, and its type is then refused by name.
fn literal(text: &str) -> Value {
    toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The number at the end of a StatefulSet pod's name.
fn ordinal(host_name: &str) -> Option<u64> {
    let (_, number) = host_name.rsplit_once('-')?;
    number.parse().ok()
}
