//! Section `telemetry`: logs and traces.

use serde::{Deserialize, Serialize};

use super::Error;

/// What this node tells about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// `text` for people, `json` for machines: one object a line.
    pub log_format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`, which overrides it.
    pub log_filter: String,
    /// Where traces go by OTLP over gRPC, e.g. `http://collector:4317`. Empty: nowhere.
    pub otlp_endpoint: String,
    /// Share of traces that are kept, 0 to 1, where the caller has not decided.
    pub trace_sample_ratio: f64,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Text,
            log_filter: "info,openraft=error".to_owned(),
            otlp_endpoint: String::new(),
            trace_sample_ratio: 0.05,
        }
    }
}

impl TelemetryConfig {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let endpoint = self.otlp_endpoint.as_str();
        if !endpoint.is_empty() && !endpoint.starts_with("http://") {
            return Err(Error::invalid(
                "telemetry.otlp-endpoint",
                format!("is {endpoint:?}"),
                "set http://host:port of a collector, or leave it empty",
            ));
        }
        if !(0.0..=1.0).contains(&self.trace_sample_ratio) {
            return Err(Error::invalid(
                "telemetry.trace-sample-ratio",
                format!("is {}", self.trace_sample_ratio),
                "set 0 to 1",
            ));
        }
        tracing_subscriber::EnvFilter::try_new(&self.log_filter).map(drop).map_err(|error| {
            Error::invalid(
                "telemetry.log-filter",
                format!("is {:?}: {error}", self.log_filter),
                "set e.g. info,openraft=error",
            )
        })
    }
}
