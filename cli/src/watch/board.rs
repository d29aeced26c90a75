//! What a person wants to know about an intent that runs: its steps, how far it is, who has the next
//! move and which command makes it. Pure: events come in, lines go out.

use serde_json::Value;

use crate::clock;
use crate::output::{Style, Ui, cut, duration, status_style};
use crate::task::Task;

/// Steps that are shown at a time; a board must not be taller than a small terminal.
const SHOWN_MAX: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ahead,
    Running,
    Waiting,
    Done,
    Failed,
    Skipped,
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    id: String,
    /// Name of the agent or role that does it.
    who: String,
    state: State,
    began_ms: i64,
    ended_ms: i64,
}

impl Step {
    pub(crate) fn new(id: &str, who: &str) -> Self {
        let who = who.rsplit('/').next().unwrap_or_default().to_owned();
        Self { id: id.to_owned(), who, state: State::Ahead, began_ms: 0, ended_ms: 0 }
    }
}

#[derive(Debug)]
pub(super) struct Board {
    intent_id: String,
    title: String,
    status: String,
    steps: Vec<Step>,
    current: Option<usize>,
    began_ms: i64,
    ended_ms: Option<i64>,
    /// Who has the next move, and why nothing goes on without them.
    holder: String,
    task: Value,
    /// The last thing that happened beside the steps: a reminder, an escalation, a failed delivery.
    notice: String,
    outcome: String,
}

impl Board {
    pub(super) fn new(intent_id: &str, title: String, steps: Vec<Step>) -> Self {
        Self {
            intent_id: intent_id.to_owned(),
            title,
            status: String::new(),
            steps,
            current: None,
            began_ms: clock::unix_ms(),
            ended_ms: None,
            holder: String::new(),
            task: Value::Null,
            notice: String::new(),
            outcome: String::new(),
        }
    }

    pub(super) fn fold(&mut self, event: &Value) {
        let at_ms = clock::parse_rfc3339(text(event, "at")).unwrap_or_else(clock::unix_ms);
        if event["seq"] == 1 {
            self.began_ms = at_ms;
        }
        text(event, "status").clone_into(&mut self.status);
        self.fold_notice(event);
        if matches!(&self.status[..], "COMPLETED" | "FAILED" | "CANCELED" | "TIMED_OUT") {
            self.end(event, at_ms);
            return;
        }
        if let Some(step) = self.step_of(event) {
            self.enter(step, at_ms);
        }
        self.fold_holder(event);
        match text(&event["details"], "step_status") {
            "" => {}
            "COMPLETED" => self.leave(State::Done, at_ms),
            _ => self.leave(State::Failed, at_ms),
        }
    }

    fn fold_holder(&mut self, event: &Value) {
        let holder = &event["pending_with"];
        if holder.is_object() && holder["type"] != "internal" {
            let name = [text(holder, "name"), text(holder, "ref")];
            let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
            name.rsplit('/').next().unwrap_or_default().clone_into(&mut self.holder);
        } else if holder.is_object() || self.status != "WAITING" {
            self.holder.clear();
        }
        if event["human_task"].is_object() {
            self.task = event["human_task"].clone();
        } else if self.status != "WAITING" {
            self.task = Value::Null;
        }
        if let Some(step) = self.current.and_then(|current| self.steps.get_mut(current)) {
            let waits =
                self.status == "WAITING" && text(event, "waiting_reason") != "WAITING_FOR_AGENT";
            step.state = if waits { State::Waiting } else { State::Running };
        }
    }

    fn fold_notice(&mut self, event: &Value) {
        let details = &event["details"];
        match text(event, "event_type") {
            _ if details["retry_in_seconds"].is_u64() => {
                self.notice = format!(
                    "attempt {} failed ({}), again in {} s",
                    details["attempt"],
                    text(details, "reason"),
                    details["retry_in_seconds"]
                );
            }
            "intent.reminder" => {
                self.notice = format!("reminder {} was sent", details["reminder_count"]);
            }
            "intent.escalated" => {
                self.notice = format!("escalated to {}", text(details, "escalated_to"));
            }
            "intent.delivery_failed" => {
                self.notice = format!("attempt {} failed", text(details, "delivery_attempt"));
            }
            _ => {}
        }
    }

    /// By its name where the event has one, else by who has the intent now.
    fn step_of(&mut self, event: &Value) -> Option<usize> {
        let named = [&event["step_id"], &event["details"]["step_id"]];
        if let Some(id) = named.into_iter().find_map(Value::as_str) {
            let known = self.steps.iter().position(|step| step.id == id);
            return Some(known.unwrap_or_else(|| self.add(Step::new(id, ""))));
        }
        let holder = &event["pending_with"];
        let name = text(holder, "name").rsplit('/').next().unwrap_or_default();
        if name.is_empty() || holder["type"] == "internal" {
            return None;
        }
        let ahead = |step: &Step| step.who == name && step.state == State::Ahead;
        match self.current.filter(|current| self.steps[*current].who == name) {
            Some(current) => Some(current),
            None => {
                let known = self.steps.iter().position(ahead);
                Some(known.unwrap_or_else(|| self.add(Step::new(name, name))))
            }
        }
    }

    fn add(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    fn enter(&mut self, step: usize, at_ms: i64) {
        if self.current == Some(step) {
            return;
        }
        self.leave(State::Done, at_ms);
        self.current = Some(step);
        self.steps[step].state = State::Running;
        self.steps[step].began_ms = at_ms;
    }

    fn leave(&mut self, state: State, at_ms: i64) {
        if let Some(step) = self.current.take().and_then(|current| self.steps.get_mut(current)) {
            step.state = state;
            step.ended_ms = at_ms;
        }
    }

    fn end(&mut self, event: &Value, at_ms: i64) {
        let last = match &self.status[..] {
            "COMPLETED" => State::Done,
            "CANCELED" => State::Skipped,
            _ => State::Failed,
        };
        self.leave(last, at_ms);
        for step in self.steps.iter_mut().filter(|step| step.state == State::Ahead) {
            step.state = State::Skipped;
        }
        self.ended_ms = Some(at_ms);
        let details = &event["details"];
        let reasons =
            [&details["reason"], &details["error"]["message"], &details["error"]["reason"]];
        self.outcome = match reasons.into_iter().find_map(Value::as_str) {
            Some(reason) => reason.to_owned(),
            None if details["result"].is_object() => details["result"].to_string(),
            None => String::new(),
        };
    }

    /// No line is wider than the terminal.
    pub(super) fn render(&self, ui: Ui, now_ms: i64) -> Vec<String> {
        let width = ui.width.unwrap_or(80);
        let mut lines = vec![self.headline(ui, width, now_ms)];
        let (first, last) = self.window();
        if first > 0 {
            lines.push(ui.paint(Style::Faint, &format!("  … {first} done before")));
        }
        let id_width = self.steps.iter().map(|step| step.id.chars().count()).max().unwrap_or(0);
        for step in &self.steps[first..last] {
            lines.push(line_of(step, ui, width, id_width.min(width / 3), now_ms));
        }
        if last < self.steps.len() {
            let more = format!("  … {} more", self.steps.len() - last);
            lines.push(ui.paint(Style::Faint, &more));
        }
        self.render_end(ui, width, &mut lines);
        lines
    }

    fn headline(&self, ui: Ui, width: usize, now_ms: i64) -> String {
        let took = duration(self.ended_ms.unwrap_or(now_ms) - self.began_ms);
        let room = width.saturating_sub(self.status.len() + took.len() + 4);
        let title = ui.paint(Style::Bold, &cut(&self.title, room));
        let status = ui.paint(status_style(&self.status), &self.status);
        format!("{title}  {status}  {took}")
    }

    fn render_end(&self, ui: Ui, width: usize, lines: &mut Vec<String>) {
        if self.ended_ms.is_some() {
            if !self.outcome.is_empty() {
                lines.push(cut(&self.outcome, width));
            }
            return;
        }
        if !self.notice.is_empty() {
            lines.push(ui.paint(Style::Faint, &cut(&self.notice, width)));
        }
        let holder = serde_json::json!({"human_task": self.task});
        let Some(task) = Task::of(&holder) else {
            if !self.holder.is_empty() {
                lines.push(cut(&format!("waiting for {}", self.holder), width));
            }
            return;
        };
        let text = format!("waiting for {}: {}", self.holder, task.text("title"));
        lines.push(ui.paint(Style::Waiting, &cut(&text, width)));
        // Pasted into another terminal, so never cut; on a line of its own only where it fits.
        let commands = task.commands(&self.intent_id);
        lines.extend(commands.iter().take(3).map(|command| cut(&format!("  {command}"), width)));
    }

    /// The steps around the current one.
    fn window(&self) -> (usize, usize) {
        let count = self.steps.len();
        let current = self.current.unwrap_or(if self.ended_ms.is_some() { count } else { 0 });
        let first = current.saturating_sub(SHOWN_MAX / 2).min(count.saturating_sub(SHOWN_MAX));
        (first, (first + SHOWN_MAX).min(count))
    }
}

fn line_of(step: &Step, ui: Ui, width: usize, id_width: usize, now_ms: i64) -> String {
    let (mark, style, took) = match step.state {
        State::Ahead => ("○", Style::Faint, None),
        State::Running => ("●", Style::Active, Some(now_ms - step.began_ms)),
        State::Waiting => ("●", Style::Waiting, Some(now_ms - step.began_ms)),
        State::Done => ("✓", Style::Good, Some(step.ended_ms - step.began_ms)),
        State::Failed => ("✗", Style::Bad, Some(step.ended_ms - step.began_ms)),
        State::Skipped => ("–", Style::Faint, None),
    };
    let took = took.map(duration).unwrap_or_default();
    let id = cut(&step.id, id_width);
    let room = width.saturating_sub(id_width + 6 + took.chars().count() + 2);
    let line =
        format!(" {id:<id_width$}  {:<who$}  {took}", cut(&step.who, room), who = room.min(28));
    format!("  {}{}", ui.paint(style, mark), line.trim_end())
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
