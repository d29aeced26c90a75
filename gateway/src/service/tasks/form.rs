//! The form of a task: a JSON Schema that the fields of an answer have to follow (contract,
//! tasks.md 3.6).
//!
//! Command lines send nothing but strings and no `approved`, so both are put right before the check;
//! what was put right is what is stored.

use serde_json::{Map, Value};

use crate::error::{ApiError, Problems};
use crate::schema::Problem;

type Object = Map<String, Value>;

/// Members that are the answer's own and no fields, unless the form asks for them.
const OWN: [&str; 4] = ["outcome", "comment", "evidence", "delegate_to"];
/// References that are followed to a field's type.
const HOPS_MAX: usize = 16;

/// Puts an answer's fields right: strings become what the form declares, and a required `approved`
/// follows from the outcome.
pub(super) fn complete(answer: &mut Object, schema: &Value, is_negative: bool) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, property) in properties {
        let nested = answer.get("data").is_some_and(|data| data.get(name).is_some());
        let field = match answer.get_mut("data") {
            Some(data) if nested => data.get_mut(name),
            _ => answer.get_mut(name),
        };
        if let Some(field) = field {
            coerce(field, &types(schema, property));
        }
    }
    let required = schema.get("required").and_then(Value::as_array);
    let asks = required.is_some_and(|names| names.iter().any(|name| name == "approved"))
        && properties.get("approved").is_some_and(|it| types(schema, it).contains(&"boolean"));
    if asks && fields(answer, schema).get("approved").is_none() {
        let holder = match answer.get_mut("data") {
            Some(Value::Object(data)) => data,
            _ => answer,
        };
        holder.insert("approved".to_owned(), Value::Bool(!is_negative));
    }
}

/// The fields that the form is about: what is in `data` goes over what is beside it.
pub(super) fn fields(answer: &Object, schema: &Value) -> Object {
    let asked = |name: &str| schema.get("properties").is_some_and(|it| it.get(name).is_some());
    let mut fields = answer.clone();
    let data = fields.remove("data");
    if let Some(Value::Object(data)) = data {
        fields.extend(data);
    } else if let Some(data) = data.filter(|_| asked("data")) {
        fields.insert("data".to_owned(), data);
    }
    for name in OWN.into_iter().filter(|name| !asked(name)) {
        fields.remove(name);
    }
    fields
}

/// The types that a property declares; none when it leaves that open.
fn types<'a>(schema: &'a Value, property: &'a Value) -> Vec<&'a str> {
    let mut property = property;
    for _ in 0..HOPS_MAX {
        let target = property.get("$ref").and_then(Value::as_str);
        let Some(pointer) = target.and_then(|target| target.strip_prefix('#')) else { break };
        let Some(found) = schema.pointer(pointer) else { break };
        property = found;
    }
    match property.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A string that stands for what is declared becomes it; any other stays and fails the check.
fn coerce(field: &mut Value, types: &[&str]) {
    let Value::String(text) = &field else { return };
    if types.contains(&"string") {
        return;
    }
    let text = text.trim();
    let value = types.iter().find_map(|&name| match name {
        "boolean" => text.parse::<bool>().ok().map(Value::Bool),
        "integer" => text.parse::<i64>().ok().map(Value::from),
        "number" => number(text),
        "null" if text.is_empty() => Some(Value::Null),
        _ => None,
    });
    if let Some(value) = value {
        *field = value;
    }
}

fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    // NaN and infinity are no JSON.
    text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
}

/// All that is wrong with the fields, named one by one.
pub(super) fn refusal(found: &[Problem]) -> ApiError {
    let mut problems = Problems::default();
    let mut words = Vec::new();
    for problem in found {
        let mut add = |field: &[&str], message: &str| {
            let location: Vec<&str> =
                ["body", "task_result"].iter().chain(field).copied().collect();
            problems.add(&location, message, &problem.keyword);
            let name = if field.is_empty() { "data".to_owned() } else { field.join(".") };
            words.push(format!("{name}: {message}"));
        };
        let path: Vec<&str> = problem.path.iter().map(String::as_str).collect();
        if problem.members.is_empty() {
            add(&path, &problem.message);
        }
        for member in &problem.members {
            let field: Vec<&str> = path.iter().copied().chain([member.as_str()]).collect();
            let missing = problem.keyword == "required";
            add(&field, if missing { "is required" } else { "is not a field of the form" });
        }
    }
    problems.into_error_saying(words.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{compile, problems};

    fn completed(answer: Value, schema: &Value, negative: bool) -> (Value, Value) {
        let Value::Object(mut answer) = answer else { panic!("an object") };
        complete(&mut answer, schema, negative);
        let fields = fields(&answer, schema);
        (answer.into(), fields.into())
    }

    #[test]
    fn strings_become_what_is_declared() {
        let schema = json!({
            "properties": {
                "ok": { "type": "boolean" }, "count": { "type": ["integer", "null"] },
                "amount": { "$ref": "#/$defs/money" }, "note": { "type": "string" },
                "either": { "type": ["string", "integer"] }, "bad": { "type": "integer" },
                "open": {},
            },
            "$defs": { "money": { "type": "number" } },
        });
        let answer = json!({
            "outcome": "submitted", "comment": "c", "ok": "true", "count": "42", "amount": "1.5",
            "note": "7", "either": "8", "bad": "x", "open": "9", "data": { "amount": "2" },
        });
        let (answer, fields) = completed(answer, &schema, false);
        let expected = json!({
            "ok": true, "count": 42, "amount": 2, "note": "7", "either": "8", "bad": "x", "open": "9",
        });
        assert_eq!(fields, expected);
        assert_eq!(answer["data"], json!({ "amount": 2 }));
        assert_eq!(answer["outcome"], "submitted");
    }

    #[test]
    fn a_required_approved_follows_from_the_outcome() {
        let schema = json!({
            "required": ["approved"], "properties": { "approved": { "type": "boolean" } },
        });
        let (answer, _) = completed(json!({ "outcome": "approved" }), &schema, false);
        assert_eq!(answer["approved"], true);
        let (answer, _) = completed(json!({ "outcome": "x", "data": {} }), &schema, true);
        assert_eq!(answer["data"]["approved"], false);
        let given = json!({ "outcome": "approved", "data": { "approved": "false" } });
        assert_eq!(completed(given, &schema, false).1, json!({ "approved": false }));
        let optional = json!({ "properties": { "approved": { "type": "boolean" } } });
        assert_eq!(completed(json!({ "outcome": "approved" }), &optional, false).1, json!({}));
    }

    #[test]
    fn what_is_the_answers_own_is_no_field_unless_asked_for() {
        let answer = json!({ "outcome": "o", "comment": "c", "evidence": ["e"], "x": 1 });
        let closed = json!({ "properties": { "x": {} }, "additionalProperties": false });
        assert_eq!(completed(answer.clone(), &closed, false).1, json!({ "x": 1 }));
        let asks = json!({ "properties": { "x": {}, "comment": {} } });
        assert_eq!(completed(answer, &asks, false).1, json!({ "x": 1, "comment": "c" }));
    }

    #[test]
    fn a_refusal_names_every_field() {
        let schema = json!({
            "required": ["reason", "who"], "additionalProperties": false,
            "properties": { "reason": {}, "who": {}, "tags": { "items": { "type": "string" } } },
        });
        let instance = json!({ "tags": ["a", 1], "odd": 1 });
        let found = problems(&compile(&schema).unwrap(), &instance);
        let error = refusal(&found);
        for words in ["reason: is required", "who: is required", "odd: is not a field", "tags.1: "]
        {
            assert!(error.message.contains(words), "{}", error.message);
        }
        let errors = error.details.unwrap()["errors"].clone();
        assert_eq!(errors.as_array().unwrap().len(), 4);
        assert!(errors.to_string().contains(r#"["body","task_result","tags","1"]"#), "{errors}");
    }
}
