//! The report of a run: text for people, JSON for comparisons over time.

use std::collections::BTreeMap;

use serde::Serialize;

use super::recorder::Recorder;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    workload: &'static str,
    clients: usize,
    seconds: f64,
    payload_bytes: usize,
    pub(crate) operations: u64,
    operations_per_second: f64,
    latency_ms: Latency,
    /// The longest time inside the window in which no operation ended.
    longest_gap_ms: f64,
    errors: BTreeMap<String, u64>,
    #[serde(flatten)]
    counters: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct Latency {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    #[serde(rename = "p99.9")]
    p999: f64,
    max: f64,
}

impl Report {
    pub(crate) fn new(
        workload: &'static str,
        clients: usize,
        payload_bytes: usize,
        recorder: Recorder,
    ) -> Self {
        let seconds = recorder.window().duration().as_secs_f64();
        let record = recorder.finish();
        let latency = &record.latency_micros;
        #[expect(clippy::cast_precision_loss, reason = "microseconds far below 2^52")]
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
        #[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
        let operations_per_second = record.completed as f64 / seconds;
        Self {
            workload,
            clients,
            seconds,
            payload_bytes,
            operations: record.completed,
            operations_per_second: rounded(operations_per_second),
            latency_ms: Latency {
                mean: rounded(latency.mean() / 1000.0),
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
                max: at(1.0),
            },
            longest_gap_ms: rounded(record.longest_gap.as_secs_f64() * 1000.0),
            errors: record.failures,
            counters: record.counters,
        }
    }

    pub(crate) fn render(&self) -> String {
        let latency = &self.latency_ms;
        let mut text = format!(
            "{}: {:.1}/s ({} in {:.1} s, {} clients, {} byte payloads)\n\
             latency ms: mean {:.2}  p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}\n\
             longest gap ms: {:.1}",
            self.workload,
            self.operations_per_second,
            self.operations,
            self.seconds,
            self.clients,
            self.payload_bytes,
            latency.mean,
            latency.p50,
            latency.p90,
            latency.p99,
            latency.p999,
            latency.max,
            self.longest_gap_ms,
        );
        for (what, count) in &self.counters {
            text.push_str(&format!("\n{}: {count}", what.replace('_', " ")));
        }
        if self.errors.is_empty() {
            text.push_str("\nerrors: none");
        }
        for (kind, count) in &self.errors {
            text.push_str(&format!("\nerror {kind}: {count}"));
        }
        text
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
