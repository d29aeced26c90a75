//! JSON objects and `google.protobuf.Struct`.

use bytes::Bytes;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::{Map, Number, Value as Json};

/// A struct as JSON. Numbers are doubles there; whole ones are written as integers.
pub(super) fn to_json(fields: &Struct) -> Json {
    let members = fields.fields.iter().map(|(name, value)| (name.clone(), value_to_json(value)));
    Json::Object(members.collect::<Map<_, _>>())
}

pub(super) fn to_bytes(fields: &Struct) -> Bytes {
    Bytes::from(to_json(fields).to_string())
}

fn value_to_json(value: &Value) -> Json {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::NumberValue(number)) => number_to_json(*number),
        Some(Kind::StringValue(text)) => Json::String(text.clone()),
        Some(Kind::BoolValue(truth)) => Json::Bool(*truth),
        Some(Kind::StructValue(fields)) => to_json(fields),
        Some(Kind::ListValue(list)) => Json::Array(list.values.iter().map(value_to_json).collect()),
    }
}

fn number_to_json(number: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        let whole = number as i64;
        return Json::from(whole);
    }
    // Infinity and NaN have no JSON; nothing stands for them.
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}

/// Stored JSON as a struct; what is no object, which nothing stored is, becomes an empty one.
pub(super) fn from_bytes(json: &[u8]) -> Struct {
    match serde_json::from_slice(json) {
        Ok(Json::Object(members)) => from_json(members),
        _ => Struct::default(),
    }
}

fn from_json(members: Map<String, Json>) -> Struct {
    Struct {
        fields: members.into_iter().map(|(name, value)| (name, value_from_json(value))).collect(),
    }
}

fn value_from_json(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(truth),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(value_from_json).collect() })
        }
        Json::Object(members) => Kind::StructValue(from_json(members)),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_round_trip() {
        let json = br#"{"a":[1,2.5,null,true,"x"],"b":{"c":{}}}"#;
        assert_eq!(to_bytes(&from_bytes(json)), &json[..]);
        assert_eq!(from_bytes(b"[1]"), Struct::default());
    }
}
