//! Reading request bodies without building a tree: the members of the object, each as it was sent.
//!
//! The contract wants malformed JSON told apart from wrong fields, unknown members ignored, an
//! empty body read as `{}` and an empty optional string as absent (README, sections 5 and 13).

mod canonical;
mod reader;

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use self::canonical::{canonical_json, fingerprint};
pub(crate) use self::reader::Reader;
use crate::error::ApiError;

/// Objects and arrays inside each other. Official clients read with parsers that stop at 64 levels
/// or more; what we accept must come out again.
const DEPTH_MAX: usize = 60;

/// The members of a JSON object, in the order in which they were sent.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// # Errors
    /// 400 for what is no JSON, 422 for JSON that is no object or nested too deep.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, ApiError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let fields = serde_json::from_slice::<Self>(body).map_err(|error| {
            if error.is_data() {
                ApiError::invalid(&["body"], "must be a JSON object", "type_error")
            } else {
                ApiError::bad_request(format!("malformed JSON: {error}"))
            }
        })?;
        if depth(body) > DEPTH_MAX {
            return Err(ApiError::invalid(&["body"], "is nested too deep", "value_error"));
        }
        Ok(fields)
    }

    /// The last member of that name, as JSON parsers do.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The object without some of its members.
    pub(crate) fn without(&self, body: &Bytes, names: &[&str]) -> Bytes {
        if self.0.is_empty() {
            return Bytes::from_static(b"{}");
        }
        if !self.names().any(|name| names.contains(&name)) {
            return body.clone();
        }
        let mut rest = axp_proto::json::ObjectWriter::default();
        for (name, value) in &self.0 {
            if !names.contains(&name.as_str()) {
                rest = rest.raw(name, value.get().as_bytes());
            }
        }
        rest.finish()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Self)
    }
}

/// Whether valid JSON is an object.
pub(crate) fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// How deep valid JSON is nested.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use axp_proto::error_code::ErrorCode;

    use super::*;

    #[test]
    fn members_are_kept_as_sent() {
        let body = br#" {"a": {"x" : [1,  2]}, "b": "", "a": 1.0} "#;
        let fields = Fields::parse(body).unwrap();
        assert_eq!(fields.names().collect::<Vec<_>>(), ["a", "b", "a"]);
        assert_eq!(fields.get("a").unwrap().get(), "1.0");
        assert!(fields.get("c").is_none());
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        assert_eq!(Fields::parse(b"").unwrap().names().count(), 0);
        assert_eq!(Fields::parse(b" \n").unwrap().names().count(), 0);
    }

    #[test]
    fn malformed_is_400_and_not_an_object_is_422() {
        for body in ["{", "{]", "{\"a\":}", "nope", "{\"a\":1} x", "\"\u{fffd}"] {
            assert_eq!(Fields::parse(body.as_bytes()).unwrap_err().code, ErrorCode::BadRequest);
        }
        assert_eq!(Fields::parse(b"{\"a\":\"\xff\"}").unwrap_err().code, ErrorCode::BadRequest);
        for body in ["[]", "1", "null", "\"a\""] {
            let error = Fields::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.code, ErrorCode::ValidationError, "{body}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(Fields::parse(nested(DEPTH_MAX - 1).as_bytes()).is_ok());
        let error = Fields::parse(nested(DEPTH_MAX).as_bytes()).unwrap_err();
        assert_eq!(error.code, ErrorCode::ValidationError);
        assert_eq!(depth(br#"{"[[[[\"{": "{"}"#), 1);
    }

    #[test]
    fn members_can_be_taken_out() {
        let body = Bytes::from_static(br#"{"action":"complete","passed": true,"n":1}"#);
        let fields = Fields::parse(&body).unwrap();
        assert_eq!(fields.without(&body, &["action"]), r#"{"passed":true,"n":1}"#);
        assert_eq!(fields.without(&body, &["other"]), body);
    }
}
