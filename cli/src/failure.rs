//! How a failed command says on stderr what is wrong and what to do about it.

use serde_json::json;

use crate::api;
use crate::exit::Exit;

/// Text for people, or with `--json` one line that a script can read.
pub(crate) fn describe(error: &anyhow::Error, exit: Exit, json: bool) -> String {
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<api::Error>());
    let hint = cause.and_then(api::Error::hint);
    let refusal = match cause {
        Some(api::Error::Refused(refusal)) => Some(refusal),
        _ => None,
    };
    let request_id = refusal.map_or("", |refusal| refusal.request_id.as_str());
    if json {
        return json!({
            "ok": false,
            "exit_code": exit as u8,
            "message": format!("{error:#}"),
            "hint": hint,
            "status": refusal.map(|refusal| refusal.status),
            "code": refusal.map(|refusal| &refusal.code),
            "request_id": Some(request_id).filter(|id| !id.is_empty()),
        })
        .to_string();
    }
    let mut text = format!("axp: {error:#}");
    if let Some(hint) = hint {
        text.push_str(&format!("\n  hint: {hint}"));
    }
    if !request_id.is_empty() {
        text.push_str(&format!("\n  request id: {request_id}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use serde_json::Value;

    use super::*;

    fn refused() -> anyhow::Error {
        let refusal = api::Refusal {
            status: 503,
            code: "unavailable".into(),
            message: "no leader".into(),
            request_id: "r-1".into(),
            after: Some(2),
            ..api::Refusal::default()
        };
        let error = api::Error::Refused(Box::new(refusal));
        Err::<(), _>(error).context("submitting").unwrap_err()
    }

    #[test]
    fn people_are_told_what_to_do() {
        assert_eq!(
            describe(&refused(), Exit::Unavailable, false),
            "axp: submitting: the server answered 503 unavailable: no leader\n  \
             hint: try again in 2 s\n  request id: r-1"
        );
    }

    #[test]
    fn scripts_get_one_line() {
        let line: Value =
            serde_json::from_str(&describe(&refused(), Exit::Unavailable, true)).unwrap();
        assert_eq!(line["exit_code"], 7);
        assert_eq!(line["status"], 503);
        assert_eq!(line["code"], "unavailable");
        assert_eq!(line["request_id"], "r-1");
        let other = describe(&anyhow::anyhow!("no"), Exit::Other, true);
        let other: Value = serde_json::from_str(&other).unwrap();
        assert_eq!((&other["exit_code"], &other["status"]), (&json!(1), &Value::Null));
    }
}
