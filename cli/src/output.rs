//! Results on stdout: one JSON document or line with `--json`, else text for people.

mod style;
mod table;
mod when;

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

pub(crate) use self::style::{Style, status_style};
pub(crate) use self::table::{Table, cut};
pub(crate) use self::when::duration;
use self::when::instant;
use crate::clock;

/// How results are to look: decided once, by the arguments and by what stdout is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    pub(crate) json: bool,
    /// Columns of the terminal; `None` in a pipe or a file.
    pub(crate) width: Option<usize>,
    pub(crate) color: bool,
}

impl Ui {
    pub(crate) fn new(json: bool, no_color: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            json,
            width: terminal.then(terminal_width),
            color: terminal && !no_color && !set("NO_COLOR") && !dumb,
        }
    }

    /// Whether a question would be seen and can be answered.
    pub(crate) fn can_ask(self) -> bool {
        !self.json && self.width.is_some() && io::stdin().is_terminal()
    }

    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if self.color { style.paint(text) } else { text.to_owned() }
    }

    /// An instant of the wire: how long ago in a terminal, as it came elsewhere.
    pub(crate) fn when(self, wire: &str) -> String {
        match self.width {
            Some(_) => instant(wire, clock::unix_ms()),
            None => wire.to_owned(),
        }
    }

    /// A table that fits the terminal.
    pub(crate) fn table(self, table: &Table) -> String {
        table.fit(self.width, self.color)
    }
}

/// Writes a line and flushes it: a reader of a stream sees each event when it happens.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// Something beside the result, for the person who runs the command.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// One document for commands that answer once.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// One line for commands that keep answering.
pub(crate) fn json_line(value: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string(value)?)
}

/// `COLUMNS` of a shell that exports it, else what the terminal says.
fn terminal_width() -> usize {
    const USUAL: usize = 80;
    let exported = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let asked = || {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col))
    };
    exported.or_else(asked).filter(|width| *width > 0).unwrap_or(USUAL)
}
