//! Scenarios and macros (contract, scenarios.md).

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::scenario::{Macro, Report};
use crate::service::{Applied, AppliedAgent};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidationBody {
    pub(crate) ok: bool,
    pub(crate) valid: bool,
    /// Each names the place in the bundle, the problem and the fix.
    pub(crate) errors: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl From<Report> for ValidationBody {
    fn from(report: Report) -> Self {
        let valid = report.is_valid();
        Self { ok: true, valid, errors: report.errors, warnings: report.warnings }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppliedBody {
    pub(crate) ok: bool,
    /// Of the intent that carries the scenario out.
    pub(crate) intent_id: String,
    pub(crate) scenario_id: String,
    pub(crate) status: &'static str,
    pub(crate) compile_id: String,
    pub(crate) workflow_compile_id: String,
    pub(crate) pending_with: Option<String>,
    /// It was applied before, with the same idempotency key.
    pub(crate) idempotent: bool,
    pub(crate) agents: Vec<AppliedAgentBody>,
    /// Addresses of the agents that this call created.
    pub(crate) agents_provisioned: Vec<String>,
    pub(crate) deadline_at: Option<String>,
    pub(crate) created_at: String,
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppliedAgentBody {
    pub(crate) role: String,
    pub(crate) address: String,
    pub(crate) created: bool,
    /// Of a created agent with `delivery_mode` http; told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_secret: Option<String>,
}

impl From<AppliedAgent> for AppliedAgentBody {
    fn from(agent: AppliedAgent) -> Self {
        let AppliedAgent { role, address, created, signing_secret } = agent;
        Self { role, address, created, signing_secret }
    }
}

impl From<Applied> for AppliedBody {
    fn from(applied: Applied) -> Self {
        let created = applied.agents.iter().filter(|agent| agent.created);
        Self {
            ok: true,
            intent_id: applied.intent_id.to_string(),
            scenario_id: applied.scenario_id,
            status: applied.status.wire_name(),
            compile_id: applied.compile_id.clone(),
            workflow_compile_id: applied.compile_id,
            pending_with: applied.pending_with,
            idempotent: applied.idempotent,
            agents_provisioned: created.map(|agent| agent.address.clone()).collect(),
            agents: applied.agents.into_iter().map(Into::into).collect(),
            deadline_at: applied.deadline_at_ms.map(rfc3339),
            created_at: rfc3339(applied.created_at_ms),
            warnings: applied.warnings,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MacroListBody {
    pub(crate) ok: bool,
    pub(crate) macros: Vec<MacroRow>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MacroRow {
    pub(crate) macro_id: &'static str,
    pub(crate) description: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MacroAnswer {
    pub(crate) ok: bool,
    #[serde(rename = "macro")]
    pub(crate) found: MacroBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MacroBody {
    pub(crate) macro_id: &'static str,
    pub(crate) description: &'static str,
    pub(crate) parameters: Vec<ParameterBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParameterBody {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// What it is when it is not given; null for nothing.
    #[schema(value_type = Object)]
    pub(crate) default: &'static serde_json::Value,
    pub(crate) required: bool,
}

impl MacroRow {
    pub(crate) fn new(found: &'static Macro) -> Self {
        Self { macro_id: &found.macro_id, description: &found.description }
    }
}

impl MacroBody {
    pub(crate) fn new(found: &'static Macro) -> Self {
        let parameters = found.parameters.iter().map(|parameter| ParameterBody {
            name: &parameter.name,
            description: &parameter.description,
            default: &parameter.default,
            required: parameter.required,
        });
        let parameters = parameters.collect();
        Self { macro_id: &found.macro_id, description: &found.description, parameters }
    }
}
