//! Names of the metrics of shards and their actors. Labels stay bounded: a shard, never an intent.

/// Appends that one Raft entry carried.
pub const ENTRY_APPENDS: &str = "axp_shard_entry_appends";
/// Calls that one gateway has under way on its stream of commands.
pub const COMMANDS_UNDER_WAY: &str = "axp_shard_stream_calls_under_way";
/// Commands that were admitted and are under way, by shard.
pub const COMMANDS_IN_FLIGHT: &str = "axp_shard_commands_in_flight";
/// Commands that were refused since a bound was reached.
pub const COMMANDS_REFUSED_TOTAL: &str = "axp_shard_commands_refused_total";
/// Commands by what became of them.
pub const COMMANDS_TOTAL: &str = "axp_shard_commands_total";
/// Times a leader went on without a majority that answers, by shard.
pub const CUT_OFF_TOTAL: &str = "axp_shard_cut_off_total";
/// Actions of inboxes' owners by what became of them.
pub const INBOX_ACTIONS_TOTAL: &str = "axp_inbox_actions_total";
/// Appends that somebody else was faster than.
pub const STALE_APPENDS_TOTAL: &str = "axp_shard_stale_appends_total";
/// Intent actors that are activated, by shard.
pub const ACTORS: &str = "axp_actor_intents_active";
/// Effects that wait in the outbox, by shard.
pub const OUTBOX_PENDING: &str = "axp_outbox_pending_effects";
/// Attempts to hand a batch of effects to another shard, by outcome.
pub const OUTBOX_BATCHES_TOTAL: &str = "axp_outbox_batches_total";
/// What intents of a shard still have to tell each other, by shard.
pub const STEPS_PENDING: &str = "axp_steps_pending";
/// What an intent was told about a step and refused: none of it should happen.
pub const STEPS_REFUSED_TOTAL: &str = "axp_steps_refused_total";
/// How late a timer fired.
pub const TIMER_LATENESS_SECONDS: &str = "axp_timer_lateness_seconds";
/// Due timers that are worked on, by shard.
pub const TIMERS_IN_FLIGHT: &str = "axp_timers_in_flight";
/// Subscriptions that are open on this node.
pub const SUBSCRIPTIONS: &str = "axp_subscriptions_open";
