//! An intent that nobody works on: it ends at its deadline, or its owner ends it about then.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::submit::{self, Request};
use super::{Begun, Shared, finish, watch};
use crate::history::{Due, Kind, Timer};
use crate::oracle::wall_clock_ms;

const AHEAD_MS: std::ops::Range<f64> = 1_000.0..30_000.0;
/// Share of owners who end it within this time of the deadline.
const RACED: f64 = 0.2;
const RACE_MS: i64 = 50;

pub(super) async fn one(shared: Arc<Shared>, number: u64, seed: u64, begun: Begun) {
    let mut rng = StdRng::seed_from_u64(seed);
    let org = shared.any_org(&mut rng);
    let address = format!("nobody-{}", number % 8);
    let to_agent = format!("agent://{}/prod/{address}", shared.orgs[org].canary.name);
    let payload = json!({"number": number});
    let mut request = Request::new(&shared, org, None, to_agent, &mut rng, payload);
    request.kind = Kind::Deadline;
    let at_ms = wall_clock_ms() + any_time_ahead(&mut rng);
    let Some(text) = instant(at_ms) else { return };
    request.body["deadline_at"] = json!(text);
    let told = submit::until_known(&shared, &request, shared.any_gateway(&mut rng)).await;
    drop(begun);
    let Some(intent) = told else { return };
    shared.oracle.timer(Timer { intent: intent.clone(), due: Due::Deadline { at_ms } });

    let raced = rng.random_bool(RACED);
    let owner_at_ms = at_ms + rng.random_range(-RACE_MS..=RACE_MS);
    let owner = async {
        let until = u64::try_from(owner_at_ms - wall_clock_ms()).unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(until)), if raced => {}
            // The run is over: an end like any other takes the timer away.
            () = shared.until_draining() => {}
        }
        finish::as_owner(&shared, org, &intent, StdRng::seed_from_u64(seed ^ 1)).await;
    };
    let watcher = watch::until_ended(&shared, org, &intent, StdRng::seed_from_u64(seed ^ 2));
    tokio::select! {
        () = owner => {}
        () = watcher => {}
    }
}

/// Short times are as likely as long ones.
fn any_time_ahead(rng: &mut StdRng) -> i64 {
    let ahead = rng.random_range(AHEAD_MS.start.ln()..AHEAD_MS.end.ln()).exp();
    // Between the two ends of the range, so it fits.
    #[expect(clippy::cast_possible_truncation, reason = "at most 30,000")]
    let ahead = ahead as i64;
    ahead
}

fn instant(at_ms: i64) -> Option<String> {
    let nanos = i128::from(at_ms) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_as_the_server_reads_them() {
        assert_eq!(instant(1_767_323_045_678).unwrap(), "2026-01-02T03:04:05.678Z");
    }

    #[test]
    fn times_are_in_their_range() {
        let mut rng = StdRng::seed_from_u64(1);
        let times: Vec<i64> = (0..1000).map(|_| any_time_ahead(&mut rng)).collect();
        assert!(times.iter().all(|time| (1_000..30_000).contains(time)));
        assert!(times.iter().filter(|time| **time < 5_500).count() > 400);
    }
}
