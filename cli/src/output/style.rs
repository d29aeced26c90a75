//! The few colours that mean something.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Faint,
    Good,
    Bad,
    /// Somebody has to do something.
    Waiting,
    Active,
}

impl Style {
    pub(super) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Bold => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Waiting => "33",
            Self::Active => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Of an intent's status.
pub(crate) fn status_style(status: &str) -> Style {
    match status {
        "COMPLETED" => Style::Good,
        "FAILED" | "TIMED_OUT" => Style::Bad,
        "CANCELED" => Style::Faint,
        "WAITING" => Style::Waiting,
        "" => Style::Plain,
        _ => Style::Active,
    }
}
