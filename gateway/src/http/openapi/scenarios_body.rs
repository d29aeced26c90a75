//! The body of a scenario bundle, as the document tells it.

use utoipa::ToSchema;

use crate::model::RawJson;

/// A bundle; `docs/scenarios.md` says what is tolerated and what steps there are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(in crate::http) struct ScenarioBundle {
    /// Words of a-z, 0-9, _ and - that are separated by dots.
    scenario_id: String,
    title: Option<String>,
    description: Option<String>,
    idempotency_key: Option<String>,
    agents: Option<Vec<ScenarioAgent>>,
    humans: Option<Vec<ScenarioHuman>>,
    workflow: Option<ScenarioWorkflow>,
    intent: Option<ScenarioIntent>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(in crate::http) struct ScenarioAgent {
    role: String,
    address: String,
    create_if_missing: Option<bool>,
    display_name: Option<String>,
    delivery_mode: Option<String>,
    callback_url: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(in crate::http) struct ScenarioHuman {
    role: String,
    contact: Option<String>,
    display_name: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(in crate::http) struct ScenarioWorkflow {
    macro_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    parameters: Option<RawJson>,
    entry_step: Option<String>,
    steps: Option<Vec<ScenarioStep>>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(in crate::http) struct ScenarioStep {
    step_id: String,
    tool_id: Option<String>,
    /// `human_approval`, `timeout`, `reminder`, `delay`, `escalation` or `notification`
    runtime_type: Option<String>,
    #[schema(value_type = Option<Object>)]
    runtime_config: Option<RawJson>,
    /// A role of the bundle, an agent address or a mail address.
    assigned_to: Option<String>,
    requires_approval: Option<bool>,
    step_deadline_seconds: Option<u32>,
    #[schema(value_type = Option<Object>)]
    retry: Option<RawJson>,
    #[schema(value_type = Option<Object>)]
    human_task: Option<RawJson>,
    remind_after_seconds: Option<u32>,
    remind_interval_seconds: Option<u32>,
    max_reminders: Option<u32>,
    escalate_to: Option<String>,
    /// The next step; absent: the next element; `end`: none.
    on_success: Option<String>,
    on_failure: Option<String>,
    /// Absent: as `on_failure`.
    on_timeout: Option<String>,
    #[schema(value_type = Option<Object>)]
    input: Option<RawJson>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what scenario/bundle.rs reads")]
pub(in crate::http) struct ScenarioIntent {
    /// Absent: the scenario's id.
    r#type: Option<String>,
    #[schema(value_type = Option<Object>)]
    payload: Option<RawJson>,
    reply_to: Option<String>,
    deadline_at: Option<String>,
    remind_after_seconds: Option<u32>,
    remind_interval_seconds: Option<u32>,
    max_reminders: Option<u32>,
    escalate_to: Option<String>,
    max_delivery_attempts: Option<u32>,
    #[schema(value_type = Option<Object>)]
    human_task: Option<RawJson>,
}
