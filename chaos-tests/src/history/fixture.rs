//! A small history in which everything is as promised; tests plant one fault each.

use super::*;

pub(crate) const AGENT: &str = "agent://acme/prod/worker-0";
pub(crate) const A: &str = "intent-a";
pub(crate) const B: &str = "intent-b";

pub(crate) fn span(start: u64, end: u64) -> Span {
    Span { start, end }
}

pub(crate) fn event(intent: &str, seq: u32, kind: &str, status: &str) -> SeenEvent {
    SeenEvent {
        seq,
        event_type: format!("intent.{kind}"),
        status: status.to_owned(),
        marker: None,
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

/// Two intents: one with a key, repeated and mutated; one without. An agent finishes both, an
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
    };
    History {
        shard_groups: 8,
        submits: vec![
            submit(0, Some(A), Some("k")),
            submit(20, Some(A), Some("k")),
            mutated,
            submit(5, Some(B), None),
            submit(7, None, None),
        ],
        finishes: vec![
            finish(100, A, Route::Resume, "a-agent", Told::Done(terminal(A, 4, "a-agent"))),
            finish(105, A, Route::Resolve, "a-owner", refused(409, "invalid_state")),
            finish(120, B, Route::Resume, "b-agent", Told::Unknown { why: "reset".to_owned() }),
        ],
        reads: vec![Read {
            span: span(130, 135),
            gateway: 1,
            intent: A.to_owned(),
            told: Told::Done("COMPLETED".to_owned()),
        }],
        watches: vec![
            Watch {
                span: span(30, 90),
                gateway: 0,
                intent: A.to_owned(),
                since: 0,
                events: events(A, "a-agent")[..2].to_vec(),
            },
            Watch {
                span: span(90, 140),
                gateway: 1,
                intent: A.to_owned(),
                since: 2,
                events: events(A, "a-agent")[2..].to_vec(),
            },
        ],
        listens: vec![Listen {
            span: span(20, 90),
            gateway: 0,
            agent: AGENT.to_owned(),
            since: 0,
            deliveries: vec![delivery(2, A), delivery(4, B)],
        }],
        finals: finals.collect(),
        faults: Vec::new(),
        heals: Vec::new(),
        leader_changes: Vec::new(),
        replica_hashes: vec![replica_hash(1), replica_hash(2), replica_hash(3)],
    }
}
