//! W3C trace context: taken from the request or begun here, carried to nodes and into the log.
//!
//! A span of ours continues it when a tracing layer is installed. Without one the context still
//! travels, so that a delivery can be linked to its submit by whoever does trace.

use std::fmt;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId};
use tonic::Request;
use tonic::metadata::MetadataValue;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

tokio::task_local! {
    /// The context of the request that this task works on.
    static CURRENT: TraceContext;
}

/// One place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceContext {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent` header.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = hex(version, 2)?;
        // Later versions may add parts; version 255 is forbidden.
        if version == 255 || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let context = Self {
            trace_id: hex(trace, 32)?,
            span_id: u64::try_from(hex(span, 16)?).ok()?,
            sampled: hex(flags, 2)? & 1 == 1,
        };
        (context.trace_id != 0 && context.span_id != 0).then_some(context)
    }

    /// A new trace that nobody has asked to keep.
    pub(crate) fn begin() -> Self {
        Self { trace_id: rand::random::<u128>().max(1), span_id: new_span_id(), sampled: false }
    }

    /// A child of this place; `span` becomes it when spans are exported.
    pub(crate) fn enter(self, span: &Span) -> Self {
        let remote = SpanContext::new(
            TraceId::from(self.trace_id),
            SpanId::from(self.span_id),
            if self.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED },
            true,
            opentelemetry::trace::TraceState::NONE,
        );
        let parent = opentelemetry::Context::new().with_remote_span_context(remote);
        if span.set_parent(parent).is_ok() {
            let context = span.context();
            let own = context.span().span_context().clone();
            if own.is_valid() {
                return Self {
                    trace_id: u128::from_be_bytes(own.trace_id().to_bytes()),
                    span_id: u64::from_be_bytes(own.span_id().to_bytes()),
                    sampled: own.is_sampled(),
                };
            }
        }
        Self { span_id: new_span_id(), ..self }
    }

    pub(crate) fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// Runs a future with this context as the current one.
    pub(crate) async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// Names the current context in the metadata of a request to a node.
pub(crate) fn inject<T>(request: &mut Request<T>) {
    let Ok(context) = CURRENT.try_with(|context| *context) else { return };
    if let Ok(value) = MetadataValue::try_from(context.to_string()) {
        request.metadata_mut().insert("traceparent", value);
    }
}

fn new_span_id() -> u64 {
    rand::random::<u64>().max(1)
}

/// Lower-case hexadecimal of exactly `length` digits, as the specification demands.
fn hex(text: &str, length: usize) -> Option<u128> {
    let valid =
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if valid { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::TraceContext;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn headers_round_trip() {
        let context = TraceContext::parse(HEADER).unwrap();
        assert_eq!(context.to_string(), HEADER);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn bad_headers_begin_a_new_trace() {
        for header in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(TraceContext::parse(header), None, "{header}");
        }
    }

    #[test]
    fn a_child_keeps_the_trace_and_has_its_own_span() {
        let parent = TraceContext::parse(HEADER).unwrap();
        let child = parent.enter(&tracing::Span::none());
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.to_string(), parent.to_string());
    }
}
