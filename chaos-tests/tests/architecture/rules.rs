//! Who may name whom.

use super::source::SourceFile;

/// Files within one of `within`, but for `except`, name none of `forbidden` (or, where `allowed` is
/// set, nothing else than that).
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) within: &'static [&'static str],
    pub(crate) except: &'static [&'static str],
    pub(crate) forbidden: &'static [&'static str],
    pub(crate) allowed: &'static [&'static str],
    pub(crate) why: &'static str,
}

const NODE_TEMPLATE: Rule =
    Rule { within: &[], except: &[], forbidden: &[], allowed: &[], why: "" };

pub(crate) const ALL: &[Rule] = &[
    Rule {
        within: &[""],
        except: &["raft-store/src/engine", "chaos-tests/src"],
        forbidden: &["fjall", "sled"],
        why: "an engine is named only in raft-store/src/engine, so that it can be replaced there",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["proto/src", "gateway/src", "cli/src", "chaos-tests/src", "chaos-tests/sim/src"],
        forbidden: &["openraft"],
        why: "openraft is an alpha: only raft-store and node may have to follow its changes",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["proto/src", "raft-store/src", "gateway/src", "cli/src", "chaos-tests/src"],
        forbidden: &["ractor"],
        why: "actors are the node's way of working; nobody else sends to their mailboxes",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["proto/src"],
        forbidden: &[
            "axp_raft_store",
            "axp_node",
            "axp_gateway",
            "axp_chaos_tests",
            "tokio",
            "axum",
            "hyper",
        ],
        why: "proto is the vocabulary: it knows no crate of ours, no runtime and does no I/O",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["raft-store/src"],
        forbidden: &[
            "axp_node",
            "axp_gateway",
            "axp_chaos_tests",
            "axp_proto::v1",
            "axp_proto::node",
            "axp_proto::log",
            "tonic",
        ],
        why: "raft-store knows groups and bytes, not intents, and speaks no wire protocol",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["gateway/src"],
        forbidden: &["axp_node", "axp_raft_store", "axp_proto::raft"],
        why: "gateway and node meet only in proto, so that either can be upgraded alone",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["node/src"],
        forbidden: &["axp_gateway", "axp_chaos_tests"],
        why: "a node does not know who stands in front of it",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["raft-store/src", "node/src", "gateway/src", "cli/src", "proto/src"],
        forbidden: &["axp_chaos_tests"],
        why: "chaos-tests may see all, and nobody sees it",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["node/src/intent"],
        allowed: &["std", "core", "alloc", "axp_proto", "bytes", "crate::intent", "self", "super"],
        why: "the core is pure: it decides and folds, without I/O, runtime, clock or randomness",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["node/src/intent", "node/src/inbox"],
        forbidden: &[
            "std::time",
            "std::fs",
            "std::net",
            "std::thread",
            "std::io",
            "std::env",
            "std::collections::HashMap",
            "std::collections::HashSet",
            "axp_proto::node",
            "axp_proto::raft",
            "axp_proto::v1",
        ],
        why: "the same entries give the same state on every replica: no clock, no I/O, no hash order",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["node/src/inbox"],
        allowed: &[
            "std",
            "core",
            "alloc",
            "axp_proto",
            "bytes",
            "crate::inbox",
            "crate::intent",
            "self",
            "super",
        ],
        why: "what a thread is and becomes is decided as purely as what an intent is",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["node/src/shard"],
        forbidden: &[
            "crate::actor",
            "crate::outbox",
            "crate::timer",
            "crate::rpc",
            "crate::cluster",
            "crate::subscription",
            "ractor",
            "tonic",
            "axum",
        ],
        why: "shard lies below actors, outbox, timers and rpc: what is below never calls up",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["node/src/actor", "node/src/outbox", "node/src/timer"],
        forbidden: &["crate::rpc", "crate::cluster", "axum"],
        why: "rpc and cluster use these; what is below never calls up",
        ..NODE_TEMPLATE
    },
    Rule {
        within: &["node/src/raft"],
        forbidden: &[
            "crate::intent",
            "crate::shard",
            "crate::actor",
            "crate::outbox",
            "crate::timer",
            "crate::rpc",
        ],
        why: "the transport carries groups' messages and does not know what they are about",
        ..NODE_TEMPLATE
    },
];

impl Rule {
    pub(crate) fn applies_to(&self, path: &str) -> bool {
        self.within.iter().any(|within| is_within(path, within))
            && !self.except.iter().any(|except| is_within(path, except))
    }

    fn forbids(&self, used: &str) -> bool {
        if !self.allowed.is_empty() {
            return starts_with_crate(used)
                && !self.allowed.iter().any(|allowed| is_below(used, allowed));
        }
        self.forbidden.iter().any(|forbidden| is_below(used, forbidden))
    }

    /// A path under this rule, for the test that the rule can fail.
    pub(crate) fn planted_path(&self) -> String {
        let within = if self.within[0].is_empty() { "node/src" } else { self.within[0] };
        format!("{within}/planted.rs")
    }

    /// A statement that breaks this rule.
    pub(crate) fn planted_use(&self) -> String {
        let path = self.forbidden.first().copied().unwrap_or("tokio");
        format!("use {path}::{{deep::Inside, self}}")
    }
}

/// Every violation in one file, with the reason of the rule.
pub(crate) fn check(file: &SourceFile) -> Vec<String> {
    let rules = ALL.iter().filter(|rule| rule.applies_to(&file.path));
    rules
        .flat_map(|rule| {
            let bad = file.paths.iter().filter(|used| rule.forbids(used));
            bad.map(|used| format!("{} uses {used}: {}", file.path, rule.why))
        })
        .collect()
}

/// Whether a file belongs to a folder or to the module file beside it.
fn is_within(path: &str, within: &str) -> bool {
    within.is_empty()
        || path.strip_prefix(within).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

fn is_below(used: &str, prefix: &str) -> bool {
    used.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether a path names a crate of the workspace's manifest or a module of this crate, and is not
/// a local module or an associated item.
fn starts_with_crate(used: &str) -> bool {
    const KNOWN: &[&str] = &[
        "anyhow",
        "axp_gateway",
        "axp_node",
        "axp_raft_store",
        "axum",
        "chrono",
        "crate",
        "fjall",
        "futures_util",
        "hyper",
        "metrics",
        "openraft",
        "opentelemetry",
        "parking_lot",
        "prost",
        "ractor",
        "rand",
        "serde",
        "serde_json",
        "sled",
        "std",
        "thiserror",
        "time",
        "tokio",
        "tokio_stream",
        "tokio_util",
        "tonic",
        "tracing",
        "uuid",
    ];
    KNOWN.iter().any(|known| is_below(used, known))
}
