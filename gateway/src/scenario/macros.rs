//! Macros: workflows that are written already, with parameters (contract, scenarios.md 6).
//!
//! They are data (`macros/*.json`). `{{name}}` stands for a parameter: alone in a string for its value
//! whatever it is, and without a value the member goes; within a string for its text. Steps that a
//! bundle gives are laid over the macro's steps of the same name, others are appended.

use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::read::Object;
use super::report::Report;

const FILES: [&str; 3] = [
    include_str!("macros/approval.json"),
    include_str!("macros/review_with_changes.json"),
    include_str!("macros/escalation_chain.json"),
];

#[derive(Debug, Deserialize)]
pub(crate) struct Macro {
    pub(crate) macro_id: String,
    pub(crate) description: String,
    pub(crate) parameters: Vec<Parameter>,
    steps: Vec<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) default: Value,
    #[serde(default)]
    pub(crate) required: bool,
}

/// All macros, by name.
pub(crate) fn list() -> &'static [Macro] {
    static MACROS: OnceLock<Vec<Macro>> = OnceLock::new();
    MACROS.get_or_init(|| {
        let parse = |text: &&str| serde_json::from_str(text).expect("tested: the files are macros");
        FILES.iter().map(parse).collect()
    })
}

pub(crate) fn find(macro_id: &str) -> Option<&'static Macro> {
    list().iter().find(|known| known.macro_id == macro_id)
}

/// The steps of a macro, each with where it comes from.
pub(super) fn expand(
    macro_id: &str,
    parameters: &Map<String, Value>,
    given: &[Object<'_>],
    report: &mut Report,
) -> Vec<(String, Map<String, Value>)> {
    let Some(found) = find(macro_id) else {
        let known: Vec<&str> = list().iter().map(|known| known.macro_id.as_str()).collect();
        let message = format!("there is no macro {macro_id}: known are {}", known.join(", "));
        report.error("workflow.macro_id", message);
        return Vec::new();
    };
    let values = found.values(parameters, report);
    let steps = found.steps.iter().enumerate().map(|(at, step)| {
        let path = format!("workflow.macro_id({macro_id}).steps[{at}]");
        (path, fill_members(step, &values))
    });
    let mut steps: Vec<_> = steps.collect();
    for own in given {
        let step_id = own.members.get("step_id");
        match steps.iter_mut().find(|(_, step)| step_id.is_some() && step.get("step_id") == step_id)
        {
            Some((path, step)) => {
                path.clone_from(&own.path);
                step.extend(own.members.clone());
            }
            None => steps.push((own.path.clone(), own.members.clone())),
        }
    }
    steps
}

impl Macro {
    /// The value of each parameter; null for none.
    fn values(&self, given: &Map<String, Value>, report: &mut Report) -> Map<String, Value> {
        for name in given.keys().filter(|name| !self.parameters.iter().any(|it| it.name == **name))
        {
            let path = format!("workflow.parameters.{name}");
            report.warn(&path, format!("is no parameter of {}; it is ignored", self.macro_id));
        }
        let mut values = Map::new();
        for parameter in &self.parameters {
            let given = given.get(&parameter.name).filter(|value| !value.is_null() && *value != "");
            let value = given.unwrap_or(&parameter.default).clone();
            if parameter.required && value.is_null() {
                let path = format!("workflow.parameters.{}", parameter.name);
                report.error(&path, format!("is required: {}", parameter.description));
            }
            values.insert(parameter.name.clone(), value);
        }
        values
    }
}

fn fill_members(members: &Map<String, Value>, values: &Map<String, Value>) -> Map<String, Value> {
    let filled = members.iter().map(|(name, value)| (name.clone(), fill(value, values)));
    filled.filter(|(_, value)| !value.is_null()).collect()
}

fn fill(value: &Value, values: &Map<String, Value>) -> Value {
    match value {
        Value::Object(members) => Value::Object(fill_members(members, values)),
        Value::Array(items) => {
            let filled = items.iter().map(|item| fill(item, values));
            Value::Array(filled.filter(|value| !value.is_null()).collect())
        }
        Value::String(text) => fill_text(text, values),
        other => other.clone(),
    }
}

fn fill_text(text: &str, values: &Map<String, Value>) -> Value {
    let name = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    if let Some(value) = name.and_then(|name| values.get(name)) {
        return value.clone();
    }
    let mut filled = text.to_owned();
    for (name, value) in values {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        filled = filled.replace(&format!("{{{{{name}}}}}"), &text);
    }
    filled.into()
}
