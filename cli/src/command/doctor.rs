//! `axp doctor`: what could be wrong between this command and a server, each with its repair.

use bytes::Bytes;
use clap::Args;
use hyper::Method;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::api::{Api, Error};
use crate::clock;
use crate::config::{Folder, Server, ServerArgs, hint};
use crate::exit::Exit;
use crate::output::{self, Style, Ui, duration};

/// Clocks that differ by more make times in messages confusing; signatures of pushes allow 5 min.
const SKEW_MAX_MS: i64 = 30_000;

/// Check configuration, key, clock, the way to the server and its streams.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn good(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Finding { check, ok: true, found: found.into(), fix: None });
    }

    fn bad(&mut self, check: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Finding { check, ok: false, found: found.into(), fix: Some(fix.into()) });
    }
}

pub(super) async fn run(args: DoctorArgs, ui: Ui) -> anyhow::Result<Exit> {
    let mut findings = Findings::default();
    examine(&args.server, &mut findings).await;
    let Findings(findings) = findings;
    let ok = findings.iter().all(|finding| finding.ok);
    if ui.json {
        output::json(&json!({"ok": ok, "checks": findings}))?;
    } else {
        output::line(&describe(&findings, ui).join("\n"))?;
    }
    Ok(if ok { Exit::Success } else { Exit::Unwell })
}

/// Stops where nothing further can be found out.
async fn examine(args: &ServerArgs, findings: &mut Findings) {
    let Some(server) = configuration(args, findings) else { return };
    let key = server.key.as_ref().map(|key| key.value.as_str()).unwrap_or_default();
    let api = match Api::at(&server.url.value, key) {
        Ok(api) => api,
        Err(error) => {
            let fix = format!("it comes from {}: correct it there", server.url.source);
            return findings.bad("url", error.to_string(), fix);
        }
    };
    if !reach(&api, findings).await {
        return;
    }
    match &server.key {
        Some(setting) => {
            let found = format!("{} ({})", hint(&setting.value), setting.source);
            if authenticate(&api, &found, findings).await {
                streams(&api, findings).await;
            }
        }
        None => findings.bad(
            "key",
            "none for this server",
            "`axp login --api-key KEY` stores one; or set AXME_API_KEY",
        ),
    }
}

fn configuration(args: &ServerArgs, findings: &mut Findings) -> Option<Server> {
    match Server::resolve(args) {
        Ok(server) => {
            let folder = Folder::find().map(|folder| folder.path().display().to_string());
            findings.good("config", folder.unwrap_or_else(|| "no home folder".into()));
            let context = server.context.as_deref().unwrap_or("none");
            findings.good("context", context);
            findings.good("url", format!("{} ({})", server.url.value, server.url.source));
            Some(server)
        }
        Err(error) => {
            findings.bad("config", format!("{error:#}"), "repair what is named, then try again");
            None
        }
    }
}

async fn reach(api: &Api, findings: &mut Findings) -> bool {
    let began = clock::now();
    let answer = match api.raw(Method::GET, "/health", &[], Bytes::new()).await {
        Ok(answer) => answer,
        Err(error) => {
            let fix = "start a server with `axp dev`, or correct the URL; behind a firewall or a \
                       proxy, check that this machine may reach it";
            findings.bad("reach", format!("{:#}", anyhow::Error::from(error)), fix);
            return false;
        }
    };
    let took = began.elapsed().as_millis();
    let health: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status != 200 || health["ok"] != true {
        let found = format!("status {} without a server's health in it", answer.status);
        findings.bad("reach", found, "something else answers at this URL: is it the gateway's?");
        return false;
    }
    findings.good("reach", format!("{took} ms"));
    let version = health["version"].as_str().unwrap_or_default();
    let own = env!("CARGO_PKG_VERSION");
    if minor(version) == minor(own) {
        findings.good("version", version);
    } else {
        let found = format!("the server has {version}, this command {own}");
        findings.bad("version", found, "use the command of the server's version");
    }
    clock_skew(answer.date.as_deref(), findings);
    true
}

fn minor(version: &str) -> Vec<&str> {
    version.split('.').take(2).collect()
}

fn clock_skew(date: Option<&str>, findings: &mut Findings) {
    let Some(at) = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()) else {
        return findings.good("clock", "the server does not tell its time");
    };
    let skew = at.unix_timestamp() * 1000 - clock::unix_ms();
    let found = match skew {
        // The date has no fraction of a second.
        -2000..2000 => "as the server's".to_owned(),
        ahead @ 2000.. => format!("{} behind the server's", duration(ahead)),
        behind => format!("{} ahead of the server's", duration(-behind)),
    };
    if skew.abs() > SKEW_MAX_MS {
        findings.bad("clock", found, "synchronize the clocks, for example with chrony");
    } else {
        findings.good("clock", found);
    }
}

async fn authenticate(api: &Api, found: &str, findings: &mut Findings) -> bool {
    match api.get("/v1/intents?limit=1").await {
        Ok(_) => {
            findings.good("key", found);
            true
        }
        Err(error) => {
            let fix = match &error {
                Error::Refused(refusal) if refusal.status == 401 => {
                    "the server does not know it: `axp login --api-key KEY` stores another".into()
                }
                error => error.hint().unwrap_or_else(|| "try again in a moment".into()),
            };
            findings.bad("key", format!("{found}: {error}"), fix);
            false
        }
    }
}

/// A stream's head comes at once; a proxy that collects answers holds it back.
async fn streams(api: &Api, findings: &mut Findings) {
    let began = clock::now();
    match api.stream("/v1/agents/axp-doctor/intents/stream").await {
        Ok(_) => findings.good("streams", format!("open in {} ms", began.elapsed().as_millis())),
        Err(error) => findings.bad(
            "streams",
            error.to_string(),
            "if there is a proxy, switch its buffering off for text/event-stream and let idle \
             connections live for a minute",
        ),
    }
}

fn describe(findings: &[Finding], ui: Ui) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in findings {
        let (mark, style) = if finding.ok { ("ok  ", Style::Good) } else { ("BAD ", Style::Bad) };
        lines.push(format!("{} {:<8} {}", ui.paint(style, mark), finding.check, finding.found));
        if let Some(fix) = &finding.fix {
            lines.push(format!("     {:<8} fix: {fix}", ""));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skewed(by_seconds: i64) -> Finding {
        let at = OffsetDateTime::from_unix_timestamp(clock::unix_ms() / 1000 + by_seconds).unwrap();
        let mut findings = Findings::default();
        clock_skew(Some(&at.format(&Rfc2822).unwrap()), &mut findings);
        findings.0.remove(0)
    }

    #[test]
    fn a_clock_that_is_wrong_is_told_which_way() {
        assert!(skewed(0).ok);
        let behind = skewed(600);
        assert!(!behind.ok && behind.found.ends_with("behind the server's"), "{behind:?}");
        assert!(skewed(-600).found.ends_with("ahead of the server's"));
    }

    #[test]
    fn a_fix_stands_under_what_is_wrong() {
        let mut findings = Findings::default();
        findings.good("url", "http://x");
        findings.bad("key", "none", "get one");
        let ui = Ui { json: false, width: None, color: false };
        assert_eq!(
            describe(&findings.0, ui).join("\n"),
            "ok   url      http://x\nBAD  key      none\n              fix: get one"
        );
    }
}
