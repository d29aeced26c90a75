//! What a task that is submitted asks for: outcomes, a comment, evidence, a form.

use axp_proto::log::TaskRules;
use axp_proto::task::is_mail_address;
use serde_json::Value;

use crate::json::Reader;
use crate::schema::compile;

const ADDRESS_MAX: usize = 383;
pub(super) const OUTCOME_MAX: usize = 64;
/// The CLI knows `approve` and `reject` for every type.
const ALIASES: [&str; 2] = ["approved", "rejected"];
const TYPES: [&str; 15] = [
    "approval",
    "review",
    "clarification",
    "provide_data",
    "attach_file",
    "manual_action",
    "confirmation",
    "validate_real_world",
    "validate_output",
    "assignment",
    "delegation",
    "reroute",
    "override",
    "escalate",
    "form",
];

/// The outcomes of a type when a task names none, and what else it demands.
fn defaults(task_type: &str) -> (&'static [&'static str], bool, bool) {
    let outcomes: &[&str] = match task_type {
        "form" => &["submitted"],
        "review" => &["approved", "changes_requested", "rejected"],
        "override" => &["override_approved", "rejected"],
        "confirmation" => &["confirmed", "denied"],
        "assignment" => &["assigned", "declined"],
        "clarification" | "provide_data" | "attach_file" => &["provided", "declined"],
        "manual_action" => &["completed", "failed"],
        "validate_real_world" | "validate_output" => &["valid", "invalid"],
        "delegation" => &["delegated", "declined"],
        "reroute" => &["rerouted", "declined"],
        "escalate" => &["escalated", "declined"],
        _ => &["approved", "rejected"],
    };
    let comment = matches!(task_type, "override" | "clarification");
    (outcomes, comment, task_type == "manual_action")
}

/// Reads the task of a submit; problems are the reader's.
pub(in crate::service) fn rules(task: &mut Reader<'_>) -> TaskRules {
    task.string("title", 1, 255);
    task.string("description", 1, 2000);
    let notify_email = task.string("notify_email", 3, 320).unwrap_or_default();
    if !notify_email.is_empty() && !is_mail_address(&notify_email) {
        task.problem("notify_email", "must be an e-mail address", "value_error");
    }
    let form = read_form(task);
    let named = task.string("task_type", 1, 64);
    if named.as_deref().is_some_and(|name| !TYPES.contains(&name)) {
        task.problem("task_type", &format!("must be one of {}", TYPES.join(", ")), "value_error");
    }
    let task_type = named.unwrap_or_else(|| if form { "form" } else { "approval" }.to_owned());
    let (outcomes, comment, evidence) = defaults(&task_type);
    let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let (allowed_outcomes, aliases) = match task.strings("allowed_outcomes", 20, OUTCOME_MAX) {
        Some(named) => (named, Vec::new()),
        None => (words(outcomes), words(&ALIASES)),
    };
    TaskRules {
        aliases: aliases.into_iter().filter(|it| !allowed_outcomes.contains(it)).collect(),
        allowed_outcomes,
        comment_required: task.boolean("required_comment").unwrap_or(false) || comment,
        evidence_required: task.boolean("evidence_required").unwrap_or(false) || evidence,
        assignees: task.strings("assignees", 20, ADDRESS_MAX).unwrap_or_default(),
        notify_email,
    }
}

/// Whether there is a form; one that no answer could be checked by is a problem.
fn read_form(task: &mut Reader<'_>) -> bool {
    let Some(schema) = task.object("form_schema") else { return false };
    let schema: Value = serde_json::from_slice(&schema).unwrap_or(Value::Null);
    if let Err(error) = compile(&schema) {
        task.problem("form_schema", &error.to_string(), "value_error");
    }
    true
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(task: &str) -> TaskRules {
        let task = Bytes::copy_from_slice(task.as_bytes());
        let mut reader = Reader::nested(&task, "human_task").unwrap();
        let rules = rules(&mut reader);
        reader.finish().unwrap();
        rules
    }

    fn refused(task: &'static str) -> String {
        let task = Bytes::from_static(task.as_bytes());
        let mut reader = Reader::nested(&task, "human_task").unwrap();
        rules(&mut reader);
        reader.finish().unwrap_err().message.into_owned()
    }

    #[test]
    fn named_outcomes_are_the_outcomes() {
        let rules = read(r#"{"allowed_outcomes":["yes","no"],"assignees":["a@b.test"]}"#);
        assert_eq!(rules.allowed_outcomes, ["yes", "no"]);
        assert_eq!(rules.aliases, [] as [&str; 0]);
        assert_eq!(rules.assignees, ["a@b.test"]);
        assert!(!rules.comment_required && !rules.evidence_required);
    }

    #[test]
    fn every_type_has_outcomes_and_takes_what_the_command_line_says() {
        for name in TYPES {
            let rules = read(&format!(r#"{{"task_type":"{name}"}}"#));
            assert!(!rules.allowed_outcomes.is_empty(), "{name}");
            for word in ALIASES {
                let taken = axp_proto::task::check(&rules, word, "because", true);
                assert!(taken.is_ok(), "{name} {word}");
            }
        }
        assert_eq!(read("{}").allowed_outcomes, ["approved", "rejected"]);
        assert_eq!(read("{}").aliases, [] as [&str; 0]);
        let confirmation = read(r#"{"task_type":"confirmation"}"#);
        assert_eq!(confirmation.allowed_outcomes, ["confirmed", "denied"]);
        assert_eq!(confirmation.aliases, ["approved", "rejected"]);
        assert_eq!(read(r#"{"form_schema":{}}"#).allowed_outcomes, ["submitted"]);
        assert!(read(r#"{"task_type":"override"}"#).comment_required);
        assert!(read(r#"{"task_type":"manual_action"}"#).evidence_required);
        assert!(read(r#"{"required_comment":true}"#).comment_required);
    }

    #[test]
    fn what_nobody_could_answer_is_refused_at_once() {
        assert!(refused(r#"{"form_schema":{"type":"strange"}}"#).starts_with("form_schema: "));
        assert!(refused(r#"{"task_type":"dance"}"#).starts_with("task_type: must be one of"));
        assert!(refused(r#"{"notify_email":"ann"}"#).starts_with("notify_email: "));
    }
}
