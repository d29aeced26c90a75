//! JSON that is passed on as it is.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

/// A JSON object as somebody sent it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RawJson(Arc<RawValue>);

impl RawJson {
    /// Takes bytes that were valid JSON when they were stored; nothing at all stands for `{}`.
    pub(crate) fn new(json: &[u8]) -> Self {
        let json = if json.is_empty() { b"{}".as_slice() } else { json };
        match serde_json::from_slice::<Box<RawValue>>(json) {
            Ok(value) => Self(value.into()),
            Err(error) => {
                // Shown as what it is, rather than failing the whole intent.
                tracing::error!(%error, "stored JSON cannot be read");
                Self::new(br#"{"unreadable":true}"#)
            }
        }
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl PartialSchema for RawJson {
    fn schema() -> RefOr<Schema> {
        let mut object = Object::with_type(Type::Object);
        object.description = Some("a JSON object as it was sent".to_owned());
        RefOr::T(Schema::Object(object))
    }
}

impl ToSchema for RawJson {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("JsonObject")
    }
}

#[cfg(test)]
mod tests {
    use super::RawJson;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let json = r#"{"b": 1, "a" : [ 1.0 ]}"#;
        assert_eq!(serde_json::to_string(&RawJson::new(json.as_bytes())).unwrap(), json);
        assert_eq!(serde_json::to_string(&RawJson::new(b"")).unwrap(), "{}");
        assert_eq!(serde_json::to_string(&RawJson::new(b"{")).unwrap(), r#"{"unreadable":true}"#);
    }
}
