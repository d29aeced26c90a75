//! Names and label values of this crate's metrics. Labels stay bounded: groups and nodes, never
//! intents or organizations.

/// 1 while this replica knows a leader of its group. Label: group.
pub const RAFT_HAS_LEADER: &str = "axp_raft_has_leader";
/// 1 while this replica leads its group. Label: group.
pub const RAFT_IS_LEADER: &str = "axp_raft_is_leader";
/// Groups led by this node.
pub const RAFT_LEADERS: &str = "axp_raft_leaders";
/// Changes of leader as this replica saw them. Label: group.
pub const RAFT_LEADER_CHANGES: &str = "axp_raft_leader_changes_total";
/// Label: group.
pub const RAFT_TERM: &str = "axp_raft_term";
/// Label: group.
pub const RAFT_COMMIT_INDEX: &str = "axp_raft_commit_index";
/// Label: group.
pub const RAFT_APPLIED_INDEX: &str = "axp_raft_applied_index";
/// Committed entries that this replica has not applied yet. Label: group.
pub const RAFT_APPLY_LAG: &str = "axp_raft_apply_lag_entries";
/// Entries in the log: last index less the purged one. Label: group.
pub const RAFT_LOG_ENTRIES: &str = "axp_raft_log_entries";
/// Groups led here of which some voter is unreachable or far behind.
pub const RAFT_UNDER_REPLICATED: &str = "axp_raft_under_replicated_groups";
/// 1 while the peer answers pings. Label: peer.
pub const RAFT_PEER_REACHABLE: &str = "axp_raft_peer_reachable";
/// Time of one ping. Label: peer.
pub const RAFT_PEER_RTT: &str = "axp_raft_peer_rtt_seconds";
/// Times the breaker of a peer opened. Label: peer.
pub const RAFT_BREAKER_OPENED: &str = "axp_raft_breaker_opened_total";
/// Leaders that were replaced since their process was gone, without waiting for an election timeout.
pub const RAFT_SUCCESSIONS: &str = "axp_raft_successions_total";
/// Calls to a peer that failed. Labels: peer, call, reason.
pub const RAFT_CALLS_FAILED: &str = "axp_raft_calls_failed_total";
/// Time to send one snapshot, the install at the peer included.
pub const RAFT_SNAPSHOT_SEND: &str = "axp_raft_snapshot_send_duration_seconds";
/// Time to receive and install one snapshot.
pub const RAFT_SNAPSHOT_INSTALL: &str = "axp_raft_snapshot_install_duration_seconds";
/// Leaderships handed over on purpose. Label: reason.
pub const RAFT_TRANSFERS: &str = "axp_raft_leader_transfers_total";
/// Time to read and hash one group's state, when somebody compares replicas.
pub const STATE_HASH: &str = "axp_state_hash_duration_seconds";
/// State hashes refused because one was under way.
pub const STATE_HASH_REFUSED: &str = "axp_state_hash_refused_total";
/// 1 while this node drives a change of the cluster's members.
pub const MEMBERS_CHANGING: &str = "axp_cluster_members_changing";
/// Steps of such changes. Labels: step, outcome (taken or failed).
pub const MEMBERS_STEPS: &str = "axp_cluster_member_steps_total";
/// 1 while this node is ready for traffic.
pub const NODE_READY: &str = "axp_node_ready";
/// 1, with the version as a label.
pub const BUILD_INFO: &str = "axp_build_info";
/// Time of the disk watchdog's last durable write.
pub const DISK_WATCHDOG: &str = "axp_node_disk_watchdog_seconds";
