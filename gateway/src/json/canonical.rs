//! When two bodies are the same request: members in any order, any white space, numbers by value.

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;

/// SHA-256 of the canonical form of a body.
///
/// # Errors
/// 400 for what is no JSON.
pub(crate) fn fingerprint(body: &[u8]) -> Result<Bytes, ApiError> {
    let value: Value = if body.iter().all(u8::is_ascii_whitespace) {
        Value::Object(serde_json::Map::new())
    } else {
        serde_json::from_slice(body)
            .map_err(|error| ApiError::bad_request(format!("malformed JSON: {error}")))?
    };
    let mut canonical = Vec::with_capacity(body.len());
    write(&mut canonical, &value);
    Ok(Bytes::copy_from_slice(&Sha256::digest(&canonical)))
}

/// JSON with the members of each object by name and no white space: one text for one meaning.
pub(crate) fn canonical_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_json(&mut out, value);
    out
}

fn write_json(out: &mut Vec<u8>, value: &Value) {
    let scalar = |value: &Value| value.to_string().into_bytes();
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json(out, item);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| name.as_str());
            out.push(b'{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend(scalar(&Value::String(name.clone())));
                out.push(b':');
                write_json(out, value);
            }
            out.push(b'}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.extend(scalar(value));
        }
    }
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for item in items {
                write(out, item);
                out.push(b',');
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // Sorted here, whatever order the map of this build keeps.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| name.as_str());
            out.push(b'{');
            for (name, value) in members {
                write_string(out, name);
                write(out, value);
                out.push(b',');
            }
            out.push(b'}');
        }
    }
}

/// `1`, `1.0` and `1e0` are one number; integers beyond a double's precision stay apart.
fn write_number(out: &mut Vec<u8>, number: &serde_json::Number) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let text = match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < EXACT => {
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
            let whole = value as i64;
            whole.to_string()
        }
        _ => number.to_string(),
    };
    out.extend_from_slice(text.as_bytes());
}

/// Length first, so that no text can look like structure.
fn write_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.len().to_string().as_bytes());
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::{canonical_json, fingerprint};

    fn same(a: &str, b: &str) -> bool {
        fingerprint(a.as_bytes()).unwrap() == fingerprint(b.as_bytes()).unwrap()
    }

    #[test]
    fn order_space_and_spelling_do_not_matter() {
        assert!(same(r#"{"a":1,"b":[true,null]}"#, " {\"b\" : [ true, null ],\n\"a\":1.0 } "));
        assert!(same(r#"{"a":"\u0041"}"#, r#"{"a":"A"}"#));
        assert!(same("", "{}"));
        assert!(same(r#"{"a":1,"a":2}"#, r#"{"a":2}"#));
    }

    #[test]
    fn canonical_json_is_json() {
        let value: serde_json::Value =
            serde_json::from_str(r#" {"b": [1, {"d":null, "c":"x\ny"}], "a\"": true} "#).unwrap();
        let text = canonical_json(&value);
        assert_eq!(text, br#"{"a\"":true,"b":[1,{"c":"x\ny","d":null}]}"#);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn what_differs_differs() {
        assert!(!same(r#"{"a":1}"#, r#"{"a":2}"#));
        assert!(!same(r#"{"a":1}"#, r#"{"a":"1"}"#));
        assert!(!same(r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#));
        assert!(!same(r#"{"a":{"b":1}}"#, r#"{"a":{},"b":1}"#));
        assert!(!same(r#"{"a":null}"#, "{}"));
        assert!(!same(r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#));
    }
}
