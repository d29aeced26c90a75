//! A small history in which everything is as promised; tests plant one fault each.

use super::*;

pub(crate) const AGENT: &str = "agent://acme/prod/worker-0";
pub(crate) const A: &str = "intent-a";
pub(crate) const B: &str = "intent-b";
/// Ends at its deadline. A real id: its shard is asked for.
pub(crate) const C: &str = "0198c0de-7abc-7001-9012-3456789abcde";

/// When all runs of fixtures began.
pub(crate) const AT_MS: i64 = 1_700_000_000_000;

pub(crate) fn span(start: u64, end: u64) -> Span {
    Span { start, end }
}

pub(crate) fn event(intent: &str, seq: u32, kind: &str, status: &str) -> SeenEvent {
    SeenEvent {
        seq,
        event_type: format!("intent.{kind}"),
        status: status.to_owned(),
        marker: None,
        at_ms: AT_MS + i64::from(seq) * 10,
        digest: stable_hash(&[intent.as_bytes(), &seq.to_be_bytes(), kind.as_bytes()]),
    }
}

fn terminal(intent: &str, seq: u32, marker: &str) -> SeenEvent {
    let marker = Some(marker.to_owned());
    SeenEvent { marker, ..event(intent, seq, "completed", "COMPLETED") }
}

pub(crate) fn events(intent: &str, marker: &str) -> Vec<SeenEvent> {
    vec![
        event(intent, 1, "created", "CREATED"),
        event(intent, 2, "submitted", "SUBMITTED"),
        event(intent, 3, "delivered", "DELIVERED"),
        terminal(intent, 4, marker),
    ]
}

pub(crate) fn submit(at: u64, intent: Option<&str>, key: Option<&str>) -> Submit {
    Submit {
        span: span(at, at + 10),
        gateway: 0,
        org: 0,
        kind: Kind::Work,
        steps: 0,
        correlation_id: format!("correlation-of-{}", intent.unwrap_or("nothing")),
        to_agent: AGENT.to_owned(),
        key: key.map(str::to_owned),
        mutated: false,
        told: match intent {
            Some(id) => Told::Done(id.to_owned()),
            None => Told::Unknown { why: "timeout".to_owned() },
        },
    }
}

pub(crate) fn refused<T>(status: u16, code: &str) -> Told<T> {
    Told::Refused { status, code: code.to_owned() }
}

fn replica_hash(node: u64) -> ReplicaHash {
    let hash = "same".to_owned();
    ReplicaHash { at: 200, group: 1, node, applied_index: 9, rows: 12, micros: 5, hash }
}

/// Two intents: one with a key, repeated and mutated; one that follows it in a chain. An agent finishes both, an
/// owner loses one race, a watcher and two gateways look on.
pub(crate) fn good() -> History {
    let mutated = Submit {
        correlation_id: "correlation-mutated".to_owned(),
        mutated: true,
        told: refused(409, "idempotency_conflict"),
        ..submit(60, Some(A), Some("k"))
    };
    let finish = |at, intent: &str, route, marker: &str, told| Finish {
        span: span(at, at + 10),
        gateway: 1,
        intent: intent.to_owned(),
        route,
        marker: marker.to_owned(),
        told,
    };
    let timed_out = |gateway| FinalRead {
        gateway,
        intent: C.to_owned(),
        told: Told::Done(FinalState {
            status: "TIMED_OUT".to_owned(),
            correlation_id: format!("correlation-of-{C}"),
            events: [&events(C, "")[..3], &[event(C, 4, "timed_out", "TIMED_OUT")]].concat(),
        }),
    };
    let finals = [0, 1].into_iter().flat_map(|gateway| {
        [(A, "a-agent"), (B, "b-agent")].map(|(intent, marker)| FinalRead {
            gateway,
            intent: intent.to_owned(),
            told: Told::Done(FinalState {
                status: "COMPLETED".to_owned(),
                correlation_id: format!("correlation-of-{intent}"),
                events: events(intent, marker),
            }),
        })
    });
    let delivery = |cursor, intent: &str| Delivery {
        cursor,
        intent: intent.to_owned(),
        correlation_id: format!("correlation-of-{intent}"),
        step: false,
    };
    History {
        shard_groups: 8,
        began_at_ms: AT_MS,
        timer_late_ms_max: 1000,
        submits: vec![
            Submit { kind: Kind::Chain, steps: 1, ..submit(0, Some(A), Some("k")) },
            submit(20, Some(A), Some("k")),
            mutated,
            Submit { kind: Kind::Chain, ..submit(5, Some(B), Some(&next_key(A))) },
            submit(7, None, None),
            Submit {
                kind: Kind::Deadline,
                to_agent: "agent://acme/prod/nobody".to_owned(),
                ..submit(2, Some(C), None)
            },
            // So that its shard is known to write when it is due.
            submit(30_000, Some(C), None),
        ],
        finishes: vec![
            finish(100, A, Route::Resume, "a-agent", Told::Done(terminal(A, 4, "a-agent"))),
            finish(105, A, Route::Resolve, "a-owner", refused(409, "invalid_state")),
            finish(120, B, Route::Resume, "b-agent", Told::Unknown { why: "reset".to_owned() }),
        ],
        reads: vec![Read {
            span: span(130, 135),
            gateway: 1,
            visit: false,
            intent: A.to_owned(),
            told: Told::Done("COMPLETED".to_owned()),
        }],
        watches: vec![
            Watch {
                span: span(30, 90),
                gateway: 0,
                intent: A.to_owned(),
                since: 0,
                unread_ms: 0,
                events: events(A, "a-agent")[..2].to_vec(),
            },
            Watch {
                span: span(90, 140),
                gateway: 1,
                intent: A.to_owned(),
                since: 2,
                unread_ms: 0,
                events: events(A, "a-agent")[2..].to_vec(),
            },
        ],
        listens: vec![Listen {
            span: span(20, 90),
            gateway: 0,
            agent: AGENT.to_owned(),
            since: 0,
            unread_ms: 0,
            deliveries: vec![delivery(2, A), delivery(4, B)],
        }],
        finals: finals.chain([timed_out(0), timed_out(1)]).collect(),
        timers: vec![Timer { intent: C.to_owned(), due: Due::Deadline { at_ms: AT_MS + 30 } }],
        listings: vec![Listing {
            span: span(300, 310),
            gateway: 0,
            org: 0,
            to_agent: Some(AGENT.to_owned()),
            limit: 10,
            last: true,
            told: Told::Done(
                [B, A]
                    .map(|intent| Row { intent: intent.to_owned(), status: "COMPLETED".to_owned() })
                    .to_vec(),
            ),
        }],
        probes: vec![Probe {
            span: span(50, 60),
            gateway: 0,
            org: 1,
            of: 0,
            what: "GET /v1/intents/ID".to_owned(),
            foreign: Told::Done("404 intent_not_found".to_owned()),
            unknown: Told::Done("404 intent_not_found".to_owned()),
        }],
        inspections: vec![Inspection { org: 0, answers: 10, leaks: Vec::new() }],
        refusals: vec![Refusal {
            span: span(70, 71),
            org: 0,
            flooding: true,
            correlation_id: Some("refused".to_owned()),
            code: "rate_limit_exceeded".to_owned(),
            retry_after_seconds: Some(1),
        }],
        pushes: vec![Push {
            span: span(15, 16),
            org: 0,
            intent: "perhaps".to_owned(),
            correlation_id: "correlation-of-nothing".to_owned(),
            attempt: 1,
            signed: true,
            answer: Answer::NotTaken,
        }],
        faults: Vec::new(),
        heals: Vec::new(),
        leader_changes: Vec::new(),
        replica_hashes: vec![replica_hash(1), replica_hash(2), replica_hash(3)],
    }
}
