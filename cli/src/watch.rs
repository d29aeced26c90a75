//! Watches an intent until it ends: a board that keeps itself up to date in a terminal, a line for
//! each event in a pipe.
//!
//! Interrupting it leaves the intent alone and says how to come back.

mod board;
mod screen;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::Value;

use self::board::Board;
pub(crate) use self::board::Step;
use self::screen::Screen;
use crate::api::{Api, follow, intent_path};
use crate::clock;
use crate::exit::Exit;
use crate::output::{self, Ui};

/// How often a board's clocks move on.
const TICK: Duration = Duration::from_secs(1);

/// What is to be watched, and what is known of it before.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    pub(crate) intent_id: &'a str,
    /// Events after this one.
    pub(crate) since: u64,
    pub(crate) title: String,
    /// Steps in their order, as far as they are known.
    pub(crate) steps: Vec<Step>,
}

/// The exit code says how it ended.
pub(crate) async fn until_end(api: &Api, watch: Watch<'_>, ui: Ui) -> anyhow::Result<Exit> {
    let intent_id = watch.intent_id;
    let watching = async {
        match ui.width {
            Some(_) if !ui.json => live(api, watch, ui).await,
            _ => lines(api, &watch, ui).await,
        }
    };
    tokio::select! {
        exit = watching => exit,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            output::note(&format!(
                "\nThe intent goes on. To come back: axp intents watch {intent_id}"
            ));
            Ok(Exit::Interrupted)
        }
    }
}

async fn lines(api: &Api, watch: &Watch<'_>, ui: Ui) -> anyhow::Result<Exit> {
    follow(
        api,
        watch.since,
        |since| path(watch.intent_id, since),
        |event| {
            if ui.json {
                output::json_line(event)?
            } else {
                output::line(&describe(event))?
            }
            Ok(decide(event))
        },
    )
    .await
}

async fn live(api: &Api, watch: Watch<'_>, ui: Ui) -> anyhow::Result<Exit> {
    let Watch { intent_id, since, title, steps } = watch;
    // Both futures run in one task, one after the other: neither holds a borrow while it waits.
    let board = RefCell::new(Board::new(intent_id, title, steps));
    let screen = RefCell::new(Screen::default());
    let show = || {
        let lines = board.borrow().render(ui, clock::unix_ms());
        screen.borrow_mut().show(&lines)
    };
    let following = follow(
        api,
        since,
        |since| path(intent_id, since),
        |event| {
            board.borrow_mut().fold(event);
            show()?;
            Ok(decide(event))
        },
    );
    let ticking = async {
        loop {
            tokio::time::sleep(TICK).await;
            if let Err(error) = show() {
                return error;
            }
        }
    };
    tokio::select! {
        exit = following => exit,
        error = ticking => Err(error.into()),
    }
}

fn path(intent_id: &str, since: u64) -> String {
    format!("{}/events/stream?since={since}", intent_path(intent_id))
}

fn decide(event: &Value) -> ControlFlow<Exit> {
    match Exit::of_outcome(text(event, "status")) {
        Some(exit) => ControlFlow::Break(exit),
        None => ControlFlow::Continue(()),
    }
}

/// One event on one line; `axp intents log` writes the same.
pub(crate) fn describe(event: &Value) -> String {
    let mut line = format!(
        "{:>4}  {}  {:<11}  {}",
        event["seq"].to_string(),
        text(event, "at"),
        text(event, "status"),
        text(event, "event_type"),
    );
    if event["details"].as_object().is_some_and(|details| !details.is_empty()) {
        line.push_str(&format!("  {}", event["details"]));
    }
    line
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
