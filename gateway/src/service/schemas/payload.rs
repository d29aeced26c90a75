//! Payloads and the schemas that they should follow.
//!
//! The type of a payload is the request's `semantic_type`, else its intent type. Its schema is looked
//! for in the receiver's workspace: the receiver's own, else the sender's, else the oldest one. The
//! server's mode says what a payload that does not follow it means; a request may ask for more.

use std::sync::Arc;

use axp_proto::error_code::ErrorCode;
use axp_proto::node::SemanticSchema;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::cluster::Versioned;
use crate::config::SchemaMode;
use crate::error::ApiError;
use crate::json::Reader;
use crate::schema::{Problem, compile, problems};
use crate::service::target::Target;
use crate::service::{Call, Service};

/// What a taken intent is told about its payload: objects with `code`, `semantic_type` and `errors`.
pub(crate) type Warnings = Vec<Value>;

/// What a request says about its payload's schema.
#[derive(Debug, Default)]
pub(in crate::service) struct PayloadRules {
    semantic_type: Option<String>,
    mode: Option<SchemaMode>,
}

impl PayloadRules {
    pub(in crate::service) fn read(reader: &mut Reader<'_>) -> Self {
        let semantic_type = reader.string("semantic_type", 1, 255);
        if semantic_type.as_deref().is_some_and(|text| !is_semantic_type(text)) {
            reader.problem("semantic_type", "must look like org.area.name.v1", "value_error");
        }
        let mode = match reader.string("schema_mode", 1, 16).as_deref() {
            None => None,
            Some("none") => Some(SchemaMode::None),
            Some("warn") => Some(SchemaMode::Warn),
            Some("enforce") => Some(SchemaMode::Enforce),
            Some(_) => {
                reader.problem("schema_mode", "must be none, warn or enforce", "value_error");
                None
            }
        };
        Self { semantic_type, mode }
    }
}

impl Service {
    /// Holds a payload to its schema.
    ///
    /// # Errors
    /// 422 with the code `schema_invalid` when it does not follow it and has to.
    pub(in crate::service) async fn check_payload(
        &self,
        call: &Call,
        rules: &PayloadRules,
        intent_type: &str,
        target: &Target,
        payload: &Bytes,
    ) -> Result<Warnings, ApiError> {
        let mode = self.config.schemas.mode.max(rules.mode.unwrap_or(SchemaMode::None));
        if mode == SchemaMode::None {
            return Ok(Warnings::new());
        }
        let semantic_type = rules.semantic_type.as_deref().unwrap_or(intent_type);
        let Some(schema) = self.schema_of(call, semantic_type, target) else {
            return Ok(Warnings::new());
        };
        let found = self.find_problems(schema, payload.clone()).await?;
        if found.is_empty() {
            return Ok(Warnings::new());
        }
        if mode == SchemaMode::Enforce {
            return Err(refusal(&found));
        }
        let errors: Vec<Value> = found.iter().map(problem_body).collect();
        Ok(vec![
            json!({ "code": "schema_invalid", "semantic_type": semantic_type, "errors": errors }),
        ])
    }

    /// The schema that a payload should follow, as this gateway knows it.
    fn schema_of(
        &self,
        call: &Call,
        semantic_type: &str,
        target: &Target,
    ) -> Option<Arc<Versioned<SemanticSchema>>> {
        let tables = self.cluster.cache.load();
        let mut schemas = tables.schemas_of(&target.workspace_id, semantic_type);
        schemas.retain(|schema| schema.value.active);
        schemas.into_iter().min_by_key(|schema| {
            let owner = schema.value.owner_agent.as_str();
            let rank = match owner {
                owner if owner == target.address => 0,
                owner if owner == call.caller.address() => 1,
                _ => 2,
            };
            (rank, schema.value.created_at_ms)
        })
    }

    async fn find_problems(
        &self,
        schema: Arc<Versioned<SemanticSchema>>,
        payload: Bytes,
    ) -> Result<Vec<Problem>, ApiError> {
        let schema = &schema.value;
        let parse = || serde_json::from_slice(&schema.schema_json).unwrap_or(Value::Null);
        let validator = self.validators.get(&schema.schema_hash, || compile(&parse()));
        let validator = validator.map_err(|error| {
            // It was compiled when it was registered, by some version of this program.
            tracing::error!(%error, "a registered schema cannot be compiled");
            ApiError::internal()
        })?;
        // Bounded, and yet longer than anything else that a request does.
        let checked = tokio::task::spawn_blocking(move || {
            let payload: Value = serde_json::from_slice(&payload).unwrap_or(Value::Null);
            problems(&validator, &payload)
        });
        checked.await.map_err(|_| ApiError::internal())
    }
}

fn refusal(found: &[Problem]) -> ApiError {
    let errors: Vec<Value> = found.iter().map(problem_body).collect();
    let first = found.first().map(|problem| problem.message.as_str()).unwrap_or_default();
    ApiError::new(ErrorCode::SchemaInvalid, format!("payload: {first}"))
        .with_details(json!({ "errors": errors }))
}

fn problem_body(problem: &Problem) -> Value {
    let location: Vec<&str> =
        ["body", "payload"].into_iter().chain(problem.path.iter().map(String::as_str)).collect();
    json!({ "loc": location, "msg": problem.message, "type": problem.keyword })
}

/// `^[a-z0-9_]+(\.[a-z0-9_]+){2,}\.v[0-9]+$`
pub(in crate::service) fn is_semantic_type(text: &str) -> bool {
    let Some((name, version)) = text.rsplit_once(".v") else { return false };
    let word = |part: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        !part.is_empty() && part.bytes().all(plain)
    };
    !version.is_empty()
        && version.bytes().all(|b| b.is_ascii_digit())
        && name.split('.').count() >= 3
        && name.split('.').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semantic_types_have_three_words_and_a_version() {
        for good in ["acme.compliance.check.v1", "a.b.c.d_2.v10"] {
            assert!(is_semantic_type(good), "{good}");
        }
        for bad in ["intent.ask.v1", "a.b.c", "a.b.c.v", "A.b.c.v1", "a..c.v1", "a.b.c.vx", ""] {
            assert!(!is_semantic_type(bad), "{bad}");
        }
    }
}
