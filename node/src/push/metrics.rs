//! Names of the metrics of pushes. Labels stay bounded: never a host, an agent or a workspace.

/// Parcels that wait for an attempt or for the next one. Label: shard.
pub const PARCELS_WAITING: &str = "axp_push_parcels_waiting";
/// Parcels that were given up and are remembered. Label: shard.
pub const PARCELS_DEAD: &str = "axp_push_parcels_dead";
/// Attempts under way on this node.
pub const ATTEMPTS_IN_FLIGHT: &str = "axp_push_attempts_in_flight";
/// Attempts that ended. Labels: kind (agent, subscription, mail), outcome.
pub const ATTEMPTS_TOTAL: &str = "axp_push_attempts_total";
/// Time of one attempt, from looking the host up to the answer.
pub const ATTEMPT_SECONDS: &str = "axp_push_attempt_seconds";
/// How long after it was due an attempt began.
pub const LATENESS_SECONDS: &str = "axp_push_lateness_seconds";
/// Parcels that were given up. Label: kind.
pub const DEAD_TOTAL: &str = "axp_push_dead_total";
