//! The load generator counts what happened, whatever the server does.

use serde_json::{Value, json};

use super::fake::{Fake, Manners};
use super::{axp, json};

async fn bench(manners: Manners, workload: &str) -> Value {
    bench_for("600ms", manners, workload).await
}

async fn bench_for(duration: &str, manners: Manners, workload: &str) -> Value {
    let fake = Fake::start(manners).await;
    let arguments = [
        "bench",
        workload,
        "--json",
        "--clients",
        "8",
        "--warm-up",
        "100ms",
        "--duration",
        duration,
    ];
    json(&axp(&fake.url, &arguments).await)
}

fn assert_worked(report: &Value) {
    assert!(report["operations"].as_u64() > Some(0), "{report}");
    assert_eq!(report["errors"], json!({}), "{report}");
    let latency = |name: &str| report["latency_ms"][name].as_f64().unwrap();
    assert!(latency("p50") > 0.0 && latency("p50") <= latency("p99"), "{report}");
    assert!(latency("p99") <= latency("p99.9") && latency("p99.9") <= latency("max"), "{report}");
}

#[tokio::test]
async fn each_workload_runs_to_its_end() {
    for workload in ["submit", "lifecycle", "inbox", "watch"] {
        assert_worked(&bench(Manners::default(), workload).await);
    }
}

#[tokio::test]
async fn a_server_without_live_streams_is_loaded_as_well() {
    let manners = Manners { never_live: true, ..Manners::default() };
    for workload in ["lifecycle", "watch"] {
        assert_worked(&bench(manners, workload).await);
    }
}

#[tokio::test]
async fn cut_streams_are_counted_and_the_load_goes_on() {
    // Far more cuts than the warm-up can use up.
    let manners = Manners { streams_cut: 200, ..Manners::default() };
    let report = bench(manners, "lifecycle").await;
    assert!(report["operations"].as_u64() > Some(0), "{report}");
}

#[tokio::test]
async fn refusals_are_counted_by_kind() {
    // Clients pause after each, and have to get through all of them on a machine that is busy.
    let manners = Manners { refusals: 60, ..Manners::default() };
    let report = bench_for("4s", manners, "submit").await;
    assert!(report["operations"].as_u64() > Some(0), "{report}");
    assert!(report["errors"]["503 unavailable"].as_u64() > Some(0), "{report}");
}

#[tokio::test]
async fn a_dead_server_is_an_error_and_not_a_result() {
    let arguments = ["bench", "submit", "--json", "--clients", "2", "--duration", "3s"];
    // Longer than the longest pause between two attempts, or there may be none.
    let arguments = [&arguments[..], &["--warm-up", "100ms"]].concat();
    let output = axp("http://127.0.0.1:1", &arguments).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["operations"], 0);
    assert!(report["errors"]["connect"].as_u64() > Some(0), "{report}");
}

#[tokio::test]
async fn timers_are_set_and_their_lateness_is_told() {
    let fake = Fake::start(Manners { refusals: 5, ..Manners::default() }).await;
    let arguments = ["bench", "timers", "--json", "--timers", "300", "--clients", "4"];
    let arguments = [&arguments[..], &["--after", "5s", "--within", "200ms"]].concat();
    let report = json(&axp(&fake.url, &arguments).await);
    assert_eq!(
        (&report["timers"], &report["early"], &report["missing"]),
        (&json!(300), &json!(0), &json!(0))
    );
    assert_eq!(report["lateness_ms"]["max"], 0, "the fake is punctual: {report}");
}

#[tokio::test]
async fn timers_that_are_set_too_late_are_no_measurement() {
    let fake = Fake::start(Manners::default()).await;
    let arguments =
        ["bench", "timers", "--json", "--timers", "50", "--after", "0s", "--within", "1s"];
    let output = axp(&fake.url, &arguments).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--after"), "{output:?}");
}
