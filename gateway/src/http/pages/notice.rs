//! Pages without a form.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::CSS;
use super::field::label;
use super::view::{readable, render};
use crate::service::Linked;

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    css: &'static str,
    title: &'a str,
    text: &'a str,
    at: Option<String>,
    good: bool,
}

/// A page without a form: the link is over, or was never one.
pub(super) fn notice(linked: Option<&Linked>) -> Response {
    let gone = StatusCode::GONE;
    let (status, title, text, at_ms, good) = match linked {
        Some(Linked::Used { outcome, at_ms }) => {
            let text = match outcome {
                Some(outcome) => format!("Your answer was recorded: {}.", label(outcome)),
                None => "Your answer was recorded.".to_owned(),
            };
            (gone, "Thank you", text, *at_ms, true)
        }
        Some(Linked::Answered { at_ms }) => {
            let text = "This task was answered already. There is nothing left to do.".to_owned();
            (gone, "Already answered", text, *at_ms, false)
        }
        Some(Linked::Canceled) => {
            let text = "The request was cancelled. Your answer is not needed any more.".to_owned();
            (gone, "Cancelled", text, None, false)
        }
        Some(Linked::Expired) => {
            let text = "The time to answer is over, or this link is. Ask the sender for a new one.";
            (gone, "Too late", text.to_owned(), None, false)
        }
        Some(Linked::PassedOn) => {
            let text = "Somebody else was asked instead. Your answer is not needed any more.";
            (gone, "Passed on", text.to_owned(), None, false)
        }
        Some(Linked::Open(_)) | None => {
            let text = "This link is not known. Check that you copied all of it.".to_owned();
            (StatusCode::NOT_FOUND, "Unknown link", text, None, false)
        }
    };
    let at = at_ms.map(readable);
    render(status, &Notice { css: CSS, title, text: &text, at, good })
}

/// Something on our side, or too much of it.
pub(super) fn trouble(status: StatusCode, message: &str) -> Response {
    let title = if status.is_server_error() { "Please try again" } else { "Not now" };
    render(status, &Notice { css: CSS, title, text: message, at: None, good: false })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::html;
    use super::*;

    #[tokio::test]
    async fn what_is_over_says_so() {
        for (linked, status, words) in [
            (Some(Linked::Canceled), 410, "cancelled"),
            (Some(Linked::Expired), 410, "Too late"),
            (Some(Linked::PassedOn), 410, "Somebody else"),
            (Some(Linked::Answered { at_ms: Some(0) }), 410, "1970-01-01 00:00 UTC"),
            (Some(Linked::Used { outcome: Some("approved".into()), at_ms: None }), 410, "Approved"),
            (None, 404, "not known"),
        ] {
            let page = notice(linked.as_ref());
            assert_eq!(page.status(), status);
            let page = html(page).await;
            assert!(page.contains(words), "{page}");
        }
    }
}
