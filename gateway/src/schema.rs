//! JSON Schema 2020-12, as far as a server can let strangers choose it.
//!
//! Nothing is fetched, patterns run in linear time, and what a schema costs is bounded before it is
//! compiled (`bounds.rs`). Compiled validators are kept, some of them.

mod additive;
mod bounds;
mod cache;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

pub(crate) use self::additive::check as check_additive;
pub(crate) use self::cache::ValidatorCache;

/// Problems that one answer names.
const PROBLEMS_MAX: usize = 20;
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Why a schema is none that we take; the text is for the client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotASchema(pub(crate) String);

/// One place at which an instance does not follow its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Names and indexes from the instance's root on.
    pub(crate) path: Vec<String>,
    pub(crate) message: String,
    /// The keyword that is not followed.
    pub(crate) keyword: String,
    /// Members at `path` that are missing, or should not be there.
    pub(crate) members: Vec<String>,
}

/// Compiles a schema.
///
/// # Errors
/// When it is none, refers to other documents, or could cost too much.
pub(crate) fn compile(schema: &Value) -> Result<Validator, NotASchema> {
    bounds::check(schema)?;
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
        .build(schema)
        .map_err(|error| NotASchema(format!("is no valid JSON Schema: {error}")))
}

/// What is wrong with an instance.
pub(crate) fn problems(validator: &Validator, instance: &Value) -> Vec<Problem> {
    let found = validator.iter_errors(instance).take(PROBLEMS_MAX);
    let problem = |error: jsonschema::ValidationError<'_>| Problem {
        path: path(&error.instance_path().to_string()),
        // Values stay out of it: they may be long, and nobody's business in a log.
        message: error.masked().to_string(),
        keyword: error.kind().keyword().to_owned(),
        members: members(error.kind()),
    };
    found.map(problem).collect()
}

fn members(kind: &ValidationErrorKind) -> Vec<String> {
    match kind {
        ValidationErrorKind::Required { property } => {
            property.as_str().map(str::to_owned).into_iter().collect()
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected.clone(),
        _ => Vec::new(),
    }
}

/// The segments of a JSON pointer.
fn path(pointer: &str) -> Vec<String> {
    let segments = pointer.split('/').skip(1);
    segments.map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problems_name_field_and_keyword() {
        let schema = json!({
            "type": "object", "required": ["amount"],
            "properties": { "amount": { "type": "number", "minimum": 1 }, "tags": { "items": { "type": "string" } } },
        });
        let validator = compile(&schema).unwrap();
        assert_eq!(problems(&validator, &json!({ "amount": 2, "more": true })), []);
        let found = problems(&validator, &json!({ "amount": 0, "tags": ["a", 5] }));
        let places: Vec<_> =
            found.iter().map(|it| (it.path.join("."), it.keyword.as_str())).collect();
        assert_eq!(places.len(), 2);
        assert!(places.contains(&("amount".to_owned(), "minimum")), "{places:?}");
        assert!(places.contains(&("tags.1".to_owned(), "type")), "{places:?}");
        let missing = problems(&validator, &json!({}));
        assert_eq!((missing[0].path.len(), missing[0].keyword.as_str()), (0, "required"));
        assert_eq!(missing[0].members, ["amount"]);
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for schema in [
            json!({ "type": "strange" }),
            json!({ "properties": [] }),
            json!({ "minimum": "1" }),
            json!({ "pattern": "(" }),
            json!({ "pattern": "(a)\\1" }),
            json!({ "$ref": "https://example.com/schema.json" }),
            json!({ "$ref": "#/$defs/none" }),
            json!({ "$ref": "file:///etc/passwd" }),
            json!({ "$schema": "http://json-schema.org/draft-07/schema#" }),
        ] {
            assert!(compile(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn pointers_are_paths() {
        assert_eq!(path("/a~1b/0/~0"), ["a/b", "0", "~"]);
        assert_eq!(path(""), [] as [&str; 0]);
    }
}
