//! Semantic schemas (contract, users-invites-media-schemas.md).

use axp_proto::node::SemanticSchema;
use serde::Serialize;
use utoipa::ToSchema;

use super::RawJson;
use crate::clock::rfc3339;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SchemaBody {
    pub(crate) semantic_type: String,
    pub(crate) schema_ref: String,
    /// SHA-256 of the schema's canonical JSON: members by name, no white space.
    pub(crate) schema_hash: String,
    /// `strict`, `backward` or `warn`
    pub(crate) compatibility_mode: String,
    /// Always `tenant`.
    pub(crate) scope: &'static str,
    pub(crate) owner_agent: Option<String>,
    pub(crate) active: bool,
    pub(crate) schema_json: RawJson,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

impl SchemaBody {
    pub(crate) fn new(schema: &SemanticSchema) -> Self {
        Self {
            semantic_type: schema.semantic_type.clone(),
            schema_ref: schema.schema_ref.clone(),
            schema_hash: schema.schema_hash.clone(),
            compatibility_mode: schema.compatibility_mode.clone(),
            scope: "tenant",
            owner_agent: Some(schema.owner_agent.clone()),
            active: schema.active,
            schema_json: RawJson::new(&schema.schema_json),
            created_at: rfc3339(schema.created_at_ms),
            updated_at: rfc3339(schema.updated_at_ms),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SchemaAnswer {
    pub(crate) ok: bool,
    pub(crate) schema: SchemaBody,
}
