//! Open human tasks (contract, tasks.md 1).

use axp_proto::ids::IntentId;
use axp_proto::log::TimerKind;
use axp_proto::node::TaskRow;
use serde::Serialize;
use utoipa::ToSchema;

use super::RawJson;
use crate::clock::rfc3339;
use crate::service::OpenTasks;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskListBody {
    pub(crate) ok: bool,
    pub(crate) tasks: Vec<TaskBody>,
    /// Where the next page begins, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// A task that waits for an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskBody {
    pub(crate) intent_id: String,
    pub(crate) intent_type: String,
    pub(crate) status: &'static str,
    pub(crate) from_agent: String,
    pub(crate) assigned_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) due_at: Option<String>,
    pub(crate) human_task: RawJson,
    /// Outcomes that the task takes, whether it names them or they are its type's.
    pub(crate) outcomes: Vec<String>,
    /// Who may answer; none: the workspace.
    pub(crate) assignees: Vec<String>,
    /// Reminders sent by now.
    pub(crate) remind_count: u32,
}

impl From<OpenTasks> for TaskListBody {
    fn from(open: OpenTasks) -> Self {
        let tasks = open.rows.into_iter().filter_map(TaskBody::new).collect();
        Self { ok: true, tasks, next_cursor: open.next_cursor }
    }
}

impl TaskBody {
    /// Absent for a row without an intent, which no node sends.
    fn new(row: TaskRow) -> Option<Self> {
        let intent = row.intent?;
        let (state, submission, task) = (intent.state?, intent.submission?, intent.task?);
        let timer = |kind| state.timers.iter().find(|timer| timer.kind() == kind)?.due_at_ms;
        let due = [timer(TimerKind::Deadline), timer(TimerKind::Execution)];
        Some(Self {
            intent_id: IntentId::from_slice(&intent.intent_id).ok()?.to_string(),
            intent_type: submission.intent_type,
            status: state.status().wire_name(),
            from_agent: submission.from_agent,
            assigned_at: rfc3339(row.assigned_at_ms),
            due_at: due.into_iter().flatten().min().map(rfc3339),
            human_task: RawJson::new(&task.task_json),
            outcomes: task.rules.unwrap_or_default().allowed_outcomes,
            remind_count: state.remind_count,
            assignees: state.assignees,
        })
    }
}
