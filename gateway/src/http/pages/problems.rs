//! What is wrong with a form, in words for people and beside the field that it is about.

use serde_json::Value;

use crate::error::ApiError;

/// The words of a schema's check, for people.
fn plain(message: &str) -> String {
    match message {
        "value is not of type \"integer\"" => "must be a whole number".to_owned(),
        "value is not of type \"number\"" => "must be a number".to_owned(),
        message => message.trim_start_matches("value ").to_owned(),
    }
}

/// What is wrong, by the field that it is shown beside.
pub(super) struct Problems(Vec<(String, String)>);

impl Problems {
    pub(super) fn of(error: Option<&ApiError>) -> Self {
        let errors = error.and_then(|error| error.details.as_ref()?["errors"].as_array().cloned());
        let problem = |problem: &Value| {
            let path: Vec<&str> =
                problem["loc"].as_array()?.iter().skip(2).filter_map(Value::as_str).collect();
            let path = path.join(".");
            let field = path.strip_prefix("data.").unwrap_or(&path).to_owned();
            Some((field, plain(problem["msg"].as_str()?)))
        };
        Self(errors.unwrap_or_default().iter().filter_map(problem).collect())
    }

    /// The first problem of a field or of a part of it.
    pub(super) fn take(&mut self, field: &str) -> Option<String> {
        let part = format!("{field}.");
        let of = |path: &String| !field.is_empty() && (path == field || path.starts_with(&part));
        let found = self.0.iter().find(|(path, _)| of(path)).map(|(_, text)| text.clone())?;
        self.0.retain(|(path, _)| !of(path));
        Some(found)
    }

    /// What belongs to no field, or a word that something is wrong at all.
    pub(super) fn rest(self, error: Option<&ApiError>) -> Vec<String> {
        let Some(error) = error else { return Vec::new() };
        let rest: Vec<String> = self
            .0
            .into_iter()
            .map(|(path, text)| match &*path {
                "" | "outcome" => text,
                path => format!("{path}: {text}"),
            })
            .collect();
        if !rest.is_empty() {
            return rest;
        }
        match &error.details {
            Some(_) => vec!["Please look at the marked fields.".to_owned()],
            None => vec![error.message.to_string()],
        }
    }
}
