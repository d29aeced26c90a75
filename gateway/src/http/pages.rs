//! `/t/{token}`: pages on which people answer a task by the link that they got (contract, tasks.md 4).
//!
//! Showing a page decides nothing, since mail scanners follow links; a form that is sent does. No
//! script, no cookie, nothing from elsewhere: the whole page is one answer, and works on a phone.

mod field;
#[cfg(test)]
mod fixture;
mod notice;
mod problems;
mod sent;
mod view;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axp_proto::error_code::ErrorCode;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use self::notice::{notice, trouble};
use self::sent::Sent;
use self::view::task_page;
use super::params::Params;
use super::request::{Body, Path, RequestContext};
use crate::error::ApiError;
use crate::server::Peer;
use crate::service::{LinkChannel, Linked, Service};

const CSS: &str = include_str!("../../templates/page.css");
/// What a form may be; tasks ask for words and numbers.
const FORM_BYTES_MAX: usize = 64 << 10;

/// Shows a task; never decides it.
pub(super) async fn show(
    State(service): State<Arc<Service>>,
    Extension(context): Extension<RequestContext>,
    peer: Option<Extension<Peer>>,
    Path(token): Path<String>,
    uri: Uri,
) -> Response {
    let params = Params::parse(&uri).unwrap_or_default();
    let sent = Sent::chosen(params.get("outcome").unwrap_or_default());
    let shown = async {
        let _room = service.limits.request()?;
        service.limits.page(&address(peer.as_deref()), &token)?;
        service.linked_task(&token, context.deadline).await
    };
    match shown.await {
        Ok(Some(Linked::Open(open))) => task_page(StatusCode::OK, &token, &open, &sent, None),
        Ok(other) => notice(other.as_ref()),
        Err(error) => failed(&error),
    }
}

/// Takes the answer of a form.
pub(super) async fn decide(
    State(service): State<Arc<Service>>,
    Extension(context): Extension<RequestContext>,
    peer: Option<Extension<Peer>>,
    Path(token): Path<String>,
    Body(body): Body,
) -> Response {
    if body.len() > FORM_BYTES_MAX {
        let message = "the answer is too long";
        return failed(&ApiError::new(ErrorCode::PayloadTooLarge, message));
    }
    let sent = Sent::parse(&body);
    let from: Option<IpAddr> = peer.as_ref().map(|peer| peer.0.0);
    let found = async {
        let _room = service.limits.request()?;
        service.limits.page(&address(peer.as_deref()), &token)?;
        service.linked_task(&token, context.deadline).await
    };
    let open = match found.await {
        Ok(Some(Linked::Open(open))) => open,
        // It was used a moment ago, perhaps by the same form: the page says what became of it.
        Ok(Some(_)) => return see_other(&token),
        Ok(None) => return notice(None),
        Err(error) => return failed(&error),
    };
    if sent.seen != open.task_sha256 {
        let error = ApiError::new(ErrorCode::Conflict, "The task has changed: please look again.");
        return task_page(StatusCode::CONFLICT, &token, &open, &sent, Some(&error));
    }
    let answer = match sent.answer(&open) {
        Ok(answer) => answer,
        Err(error) => {
            return task_page(StatusCode::UNPROCESSABLE_ENTITY, &token, &open, &sent, Some(&error));
        }
    };
    let channel = if sent.is_from_mail() { LinkChannel::Email } else { LinkChannel::Web };
    match service.decide_by_link(&token, &open, &answer, (channel, from), context.deadline).await {
        Ok(()) => see_other(&token),
        Err(error) if error.code == ErrorCode::InvalidState => see_other(&token),
        Err(error) if error.code == ErrorCode::ValidationError => {
            task_page(StatusCode::UNPROCESSABLE_ENTITY, &token, &open, &sent, Some(&error))
        }
        Err(error) => failed(&error),
    }
}

fn address(peer: Option<&Peer>) -> String {
    peer.map(|peer| peer.0.to_canonical().to_string()).unwrap_or_default()
}

/// After a form the browser shows the page anew, so that loading it again sends nothing.
fn see_other(token: &str) -> Response {
    let mut response = guarded(StatusCode::SEE_OTHER, String::new());
    if let Ok(location) = HeaderValue::from_str(&format!("/t/{token}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn failed(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.code.http_status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = trouble(status, &error.message);
    if let Some(seconds) = error.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A page with all that keeps it from being kept, framed, or told to others.
fn guarded(status: StatusCode, page: String) -> Response {
    let mut response = (status, page).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("x-robots-tag", "noindex, nofollow"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The page's own style, a form to itself, and nothing else.
fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let style = STANDARD.encode(Sha256::digest(CSS));
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        )
    })
}
