//! Names and label values of what this gateway measures, and the recorder that keeps it.
//!
//! Labels stay bounded: a route is its template, never a path; nothing is labelled by tenant.

use std::sync::OnceLock;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub(crate) const REQUESTS_TOTAL: &str = "axp_gateway_requests_total";
pub(crate) const REQUEST_SECONDS: &str = "axp_gateway_request_duration_seconds";
pub(crate) const REQUESTS_OPEN: &str = "axp_gateway_requests_open";
pub(crate) const REFUSED_TOTAL: &str = "axp_gateway_refused_total";
pub(crate) const CONNECTIONS_OPEN: &str = "axp_gateway_connections_open";
pub(crate) const STREAMS_OPEN: &str = "axp_gateway_streams_open";
pub(crate) const STALLED_READERS_TOTAL: &str = "axp_gateway_stalled_readers_total";
pub(crate) const RESUBSCRIBED_TOTAL: &str = "axp_gateway_resubscribed_total";
pub(crate) const OUTCOMES_PENDING_TOTAL: &str = "axp_gateway_outcomes_pending_total";
pub(crate) const MEDIA_TRANSFERS: &str = "axp_gateway_media_transfers";
pub(crate) const MEDIA_SWEPT_TOTAL: &str = "axp_gateway_media_swept_total";
pub(crate) const MEDIA_STORAGE_REQUESTS_TOTAL: &str = "axp_gateway_media_storage_requests_total";
pub(crate) const COMMANDS_PENDING: &str = "axp_gateway_commands_pending";
pub(crate) const NODE_ATTEMPTS_TOTAL: &str = "axp_gateway_node_attempts_total";
pub(crate) const LEADERS_DOUBTED_TOTAL: &str = "axp_gateway_leaders_doubted_total";
pub(crate) const CONTROL_REVISION: &str = "axp_gateway_control_revision";
pub(crate) const CONTROL_CONFLICTS_TOTAL: &str = "axp_gateway_control_conflicts_total";
pub(crate) const RECORD_CONFLICTS_TOTAL: &str = "axp_gateway_record_conflicts_total";
pub(crate) const CONTROL_ROWS_UNREADABLE_TOTAL: &str = "axp_gateway_control_rows_unreadable_total";

/// Why something was refused at the door: label `reason` of [`REFUSED_TOTAL`].
pub(crate) mod refused {
    pub(crate) const CONNECTIONS: &str = "connections";
    pub(crate) const REQUESTS: &str = "requests";
    pub(crate) const ORGANIZATION: &str = "organization";
    pub(crate) const MEDIA: &str = "media";
    pub(crate) const STREAMS: &str = "streams";
    pub(crate) const WORKSPACE_STREAMS: &str = "workspace_streams";
    pub(crate) const RATE: &str = "rate";
}

/// How a request to S3 ended: label `outcome` of [`MEDIA_STORAGE_REQUESTS_TOTAL`].
pub(crate) mod storage {
    pub(crate) const ANSWERED: &str = "answered";
    pub(crate) const FAILED: &str = "failed";
    pub(crate) const TIMED_OUT: &str = "timed_out";
}

/// How an attempt at a node ended: label `outcome` of [`NODE_ATTEMPTS_TOTAL`].
pub(crate) mod attempt {
    pub(crate) const ANSWERED: &str = "answered";
    pub(crate) const NOT_LEADER: &str = "not_leader";
    pub(crate) const FAILED: &str = "failed";
    pub(crate) const TIMED_OUT: &str = "timed_out";
    pub(crate) const SUPERSEDED: &str = "superseded";
}

const SECONDS: [f64; 14] =
    [0.001, 0.002, 0.003, 0.005, 0.008, 0.013, 0.02, 0.035, 0.06, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The process-wide recorder, the one global of this crate: installed by whoever comes first.
/// Absent when another crate of the process installed its own; ours are then counted there.
#[must_use]
pub fn recorder() -> Option<PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE.get_or_init(install).clone()
}

fn install() -> Option<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .ok()?
        .install_recorder()
        .ok()?;
    describe();
    Some(handle)
}

fn describe() {
    describe_counter!(REQUESTS_TOTAL, "requests answered, by route and status");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "time to the head of the answer, by route");
    describe_gauge!(REQUESTS_OPEN, "requests under way, bounded by limits.requests-max");
    describe_counter!(REFUSED_TOTAL, "what was refused at a bound, by reason");
    describe_gauge!(CONNECTIONS_OPEN, "HTTP connections, bounded by http.connections-max");
    describe_gauge!(STREAMS_OPEN, "event streams, bounded by limits.streams-max");
    describe_counter!(STALLED_READERS_TOTAL, "connections closed because the client read nothing");
    describe_counter!(RESUBSCRIBED_TOTAL, "subscriptions moved to another node or opened again");
    describe_counter!(
        OUTCOMES_PENDING_TOTAL,
        "resolves answered before the outcome was in the inbox of reply_to"
    );
    describe_gauge!(MEDIA_TRANSFERS, "uploads and downloads, bounded by media.transfers-max");
    describe_counter!(MEDIA_SWEPT_TOTAL, "objects deleted since nothing needs them any more");
    describe_counter!(
        MEDIA_STORAGE_REQUESTS_TOTAL,
        "requests to S3, by outcome; a retry is another"
    );
    describe_gauge!(COMMANDS_PENDING, "commands sent to nodes that have no answer yet");
    describe_counter!(NODE_ATTEMPTS_TOTAL, "calls of nodes, by outcome");
    describe_counter!(LEADERS_DOUBTED_TOTAL, "times others were asked about a silent leader");
    describe_gauge!(CONTROL_REVISION, "revision of the cached control data");
    describe_counter!(CONTROL_CONFLICTS_TOTAL, "control decisions taken again after a conflict");
    describe_counter!(
        RECORD_CONFLICTS_TOTAL,
        "writes of records that somebody else was faster than"
    );
    describe_counter!(CONTROL_ROWS_UNREADABLE_TOTAL, "control rows that this version cannot read");
}
