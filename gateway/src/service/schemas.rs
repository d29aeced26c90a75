//! Semantic schemas: what payloads of a type look like (contract, users-invites-media-schemas.md).
//! Control rows, since every submit may need one.

mod payload;

use std::sync::Arc;

use axp_proto::control;
use axp_proto::error_code::ErrorCode;
use axp_proto::node::SemanticSchema;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) use self::payload::Warnings;
pub(super) use self::payload::{PayloadRules, is_semantic_type};
use super::accounts::put;
use super::answers::Stored;
use super::credential::hex;
use super::idempotency::Claim;
use super::{Call, Service};
use crate::clock;
use crate::cluster::{Plan, Tables, Versioned};
use crate::error::ApiError;
use crate::json::{Reader, canonical_json};
use crate::model::{SchemaAnswer, SchemaBody};
use crate::schema::{check_additive, compile};

const SCHEMA_BYTES_MAX: usize = 65_536;
const MODES: [&str; 3] = ["strict", "backward", "warn"];

impl Service {
    /// Registers a schema, or changes it as its compatibility mode allows.
    ///
    /// # Errors
    /// 422 for a bad body or no JSON Schema, 409 for a change that is not compatible, 403 for scope
    /// `core` or a foreign owner, 429 when the workspace has too many.
    pub(crate) async fn upsert_schema(
        &self,
        call: &Call,
        body: &Bytes,
    ) -> Result<Stored<SemanticSchema>, ApiError> {
        let schema = self.read_schema(call, body)?;
        let claim = Claim::of(call, "POST /v1/schemas", body)?;
        self.cluster.refresh(call.deadline).await?;
        let decide = |tables: &Tables| self.decide_schema(tables, &schema);
        let answer = |schema: &SemanticSchema| {
            let answer = SchemaAnswer { ok: true, schema: SchemaBody::new(schema) };
            serde_json::to_value(answer).unwrap_or(Value::Null)
        };
        self.transact_once(call, claim, decide, answer).await
    }

    fn read_schema(&self, call: &Call, body: &Bytes) -> Result<SemanticSchema, ApiError> {
        let mut reader = Reader::new(body)?;
        let semantic_type = reader.required_string("semantic_type", 1, 255).unwrap_or_default();
        if !semantic_type.is_empty() && !is_semantic_type(&semantic_type) {
            reader.problem("semantic_type", "must look like org.area.name.v1", "value_error");
        }
        let json = reader.object("schema_json");
        let json = reader.require("schema_json", json).unwrap_or_default();
        let schema_ref = reader.string("schema_ref", 1, 512);
        let mode = reader.required_string("compatibility_mode", 1, 16).unwrap_or_default();
        if !mode.is_empty() && !MODES.contains(&mode.as_str()) {
            reader.problem("compatibility_mode", "must be strict, backward or warn", "value_error");
        }
        let scope = reader.string("scope", 1, 16).unwrap_or_else(|| "tenant".to_owned());
        if !["tenant", "core"].contains(&scope.as_str()) {
            reader.problem("scope", "must be tenant or core", "value_error");
        }
        let active = reader.boolean("active").unwrap_or(true);
        let owner = reader.string("owner_agent", 3, 255);
        let canonical = check_schema(&mut reader, &json);
        reader.finish()?;
        if scope == "core" {
            let message = "schemas of scope core are the operator's";
            return Err(ApiError::new(ErrorCode::PolicyDenied, message));
        }
        let owner_agent = match owner {
            Some(owner) => self.assertable(call, &owner)?,
            None => self.acting_agent(call)?,
        };
        let now = clock::now_ms();
        Ok(SemanticSchema {
            org_id: call.caller.org_id().to_owned(),
            workspace_id: call.caller.workspace_id().to_owned(),
            schema_ref: schema_ref.unwrap_or_else(|| format!("registry://{semantic_type}")),
            semantic_type,
            owner_agent,
            schema_hash: hex(&Sha256::digest(&canonical)),
            compatibility_mode: mode,
            active,
            schema_json: canonical.into(),
            created_at_ms: now,
            updated_at_ms: now,
        })
    }

    fn decide_schema(
        &self,
        tables: &Tables,
        wanted: &SemanticSchema,
    ) -> Result<Plan<SemanticSchema>, ApiError> {
        let key = control::schema(&wanted.workspace_id, &wanted.semantic_type, &wanted.owner_agent);
        let known = tables.schemas.get(&key[control::SCHEMA.len()..]);
        let (revision, schema) = match known {
            None => {
                self.require_room(tables, &wanted.workspace_id)?;
                (0, wanted.clone())
            }
            Some(known) => {
                let created_at_ms = known.value.created_at_ms;
                let schema = SemanticSchema { created_at_ms, ..wanted.clone() };
                let same =
                    SemanticSchema { updated_at_ms: schema.updated_at_ms, ..known.value.clone() };
                if same == schema {
                    return Ok(Plan::Done(known.value.clone()));
                }
                require_compatible(&known.value, &schema)?;
                (known.revision, schema)
            }
        };
        Ok(Plan::Commit { changes: vec![put(key, revision, &schema)], then: schema })
    }

    fn require_room(&self, tables: &Tables, workspace_id: &str) -> Result<(), ApiError> {
        let (used, limit) =
            (tables.schema_count(workspace_id), self.config.schemas.per_workspace_max);
        if used < limit {
            return Ok(());
        }
        let details = json!({ "dimension": "schemas", "used": used, "limit": limit });
        let message = "the workspace has all the schemas it may have";
        Err(ApiError::new(ErrorCode::QuotaExceeded, message).with_details(details))
    }

    /// The schema of a type: the acting agent's own, else the oldest of the workspace.
    ///
    /// # Errors
    /// 404 when there is none.
    pub(crate) async fn schema(
        &self,
        call: &Call,
        semantic_type: &str,
    ) -> Result<Arc<Versioned<SemanticSchema>>, ApiError> {
        let owner = self.acting_agent(call)?;
        let tables = self.cluster.refresh(call.deadline).await?;
        let mut schemas = tables.schemas_of(call.caller.workspace_id(), semantic_type);
        schemas
            .sort_by_key(|schema| (schema.value.owner_agent != owner, schema.value.created_at_ms));
        schemas.into_iter().next().ok_or_else(|| ApiError::not_found("schema not found"))
    }
}

/// The canonical form of a schema that can be used.
fn check_schema(reader: &mut Reader<'_>, json: &Bytes) -> Vec<u8> {
    let Ok(schema) = serde_json::from_slice::<Value>(json) else { return Vec::new() };
    if let Err(error) = compile(&schema) {
        reader.problem("schema_json", &error.to_string(), "schema_invalid");
    }
    let canonical = canonical_json(&schema);
    if canonical.len() > SCHEMA_BYTES_MAX {
        reader.problem("schema_json", "has more than 65536 bytes", "value_error");
    }
    canonical
}

/// The mode that the schema had so far decides what may change, also about the mode itself.
fn require_compatible(known: &SemanticSchema, new: &SemanticSchema) -> Result<(), ApiError> {
    if known.schema_hash == new.schema_hash || known.compatibility_mode == "warn" {
        return Ok(());
    }
    let conflict = |message: String| Err(ApiError::new(ErrorCode::Conflict, message));
    if known.compatibility_mode == "strict" {
        return conflict("the schema is strict: changes need a new version of the type".to_owned());
    }
    let parse = |json: &Bytes| serde_json::from_slice::<Value>(json).unwrap_or(Value::Null);
    match check_additive(&parse(&known.schema_json), &parse(&new.schema_json)) {
        Ok(()) => Ok(()),
        Err(place) => conflict(format!("the change does more than add: {place}")),
    }
}
