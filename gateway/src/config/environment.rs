//! The environment over the file: `AXP_GATEWAY__HTTP__LISTEN=0.0.0.0:8100` sets `http.listen`.
//!
//! Section and key are in upper case, `_` for `-`, and `__` between them. Text is taken as it is;
//! anything else is read as TOML: `AXP_GATEWAY__CLUSTER__NODES='["a:1", "b:1"]'`. A list is also
//! read from words with commas between them. `AXP_API_KEY` stands for `seed.api-key`.

use toml::{Table, Value};

use super::{Config, Error};

const PREFIX: &str = "AXP_GATEWAY__";
const API_KEY: &str = "AXP_API_KEY";

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
    for (name, text) in environment {
        if name == API_KEY {
            put(&mut table, "seed", "api-key".to_owned(), Value::String(text), &name)?;
        } else if let Some(key) = name.strip_prefix(PREFIX) {
            set(&mut table, &defaults, &name, key, text)?;
        }
    }
    table.try_into().map_err(parse)
}

fn set(
    table: &mut Table,
    defaults: &Table,
    name: &str,
    key: &str,
    text: String,
) -> Result<(), Error> {
    let problem = |problem: String| Error::Environment { name: name.to_owned(), problem };
    let lower = key.to_lowercase();
    let (section, key) = lower
        .split_once("__")
        .ok_or_else(|| problem("it has no section, as in AXP_GATEWAY__HTTP__LISTEN".to_owned()))?;
    let (section, key) = (section.replace('_', "-"), key.replace('_', "-"));
    let default = defaults
        .get(&section)
        .and_then(|section| section.get(&key))
        .ok_or_else(|| problem(format!("there is no {section}.{key}")))?;
    let value = match default {
        Value::String(_) => Value::String(text),
        Value::Array(_) => literal(&text).filter(Value::is_array).unwrap_or_else(|| words(&text)),
        _ => literal(&text).unwrap_or(Value::String(text)),
    };
    put(table, &section, key, value, name)
}

fn put(
    table: &mut Table,
    section: &str,
    key: String,
    value: Value,
    name: &str,
) -> Result<(), Error> {
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    let section = section.as_table_mut().ok_or_else(|| Error::Environment {
        name: name.to_owned(),
        problem: "its section is not a table".to_owned(),
    })?;
    section.insert(key, value);
    Ok(())
}

/// A value as TOML reads it.
fn literal(text: &str) -> Option<Value> {
    toml::from_str::<Table>(&format!("value = {text}")).ok()?.remove("value")
}

fn words(text: &str) -> Value {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    Value::Array(words.map(|word| Value::String(word.to_owned())).collect())
}
