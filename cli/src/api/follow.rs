//! Follows a stream of events across responses, broken connections and restarts of the server.
//!
//! The position moves only with what was handed to the caller, so nothing is left out; what a
//! broken connection repeats is dropped here by its `seq`.

use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::Value;

use super::{Api, Error, Next, Stream};
use crate::clock;

/// How long to try again before the error of opening a stream is the answer.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// `path` opens the stream after a position; `visit` sees each event once, ascending.
pub(crate) async fn follow<T>(
    api: &Api,
    mut since: u64,
    path: impl Fn(u64) -> String,
    mut visit: impl FnMut(&Value) -> anyhow::Result<ControlFlow<T>>,
) -> anyhow::Result<T> {
    let mut progress = clock::now();
    let mut pause = PAUSE_MIN;
    loop {
        let before = since;
        let broken = match api.stream(&path(since)).await {
            Err(error) => Some(error),
            Ok(mut stream) => {
                let read = read_to_end(&mut stream, &mut since, &mut visit).await?;
                progress = clock::now();
                pause = PAUSE_MIN;
                match read {
                    Ok(ControlFlow::Break(value)) => return Ok(value),
                    Ok(ControlFlow::Continue(())) => None,
                    Err(error) => Some(error),
                }
            }
        };
        if let Some(error) = broken {
            if !error.can_pass() || progress.elapsed() > PATIENCE {
                return Err(error.into());
            }
            if let Error::Refused(refusal) = &error
                && let Some(seconds) = refusal.after
            {
                pause = Duration::from_secs(seconds).clamp(PAUSE_MIN, PAUSE_MAX);
            }
        }
        if since == before {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Reads one response to its end. The outer error is the visitor's, the inner one the stream's.
async fn read_to_end<T>(
    stream: &mut Stream,
    since: &mut u64,
    visit: &mut impl FnMut(&Value) -> anyhow::Result<ControlFlow<T>>,
) -> anyhow::Result<Result<ControlFlow<T>, Error>> {
    loop {
        let event = match stream.next().await {
            Ok(Next::Event(event)) => event,
            Ok(Next::Ended) => return Ok(Ok(ControlFlow::Continue(()))),
            Err(error) => return Ok(Err(error)),
        };
        let event: Value = serde_json::from_slice(&event.data)
            .map_err(|error| Error::NotTheContract(format!("event data is no JSON: {error}")))?;
        let seq = event["seq"]
            .as_u64()
            .ok_or_else(|| Error::NotTheContract("an event has no `seq`".into()))?;
        if seq <= *since {
            continue;
        }
        *since = seq;
        if let ControlFlow::Break(value) = visit(&event)? {
            return Ok(Ok(ControlFlow::Break(value)));
        }
    }
}
