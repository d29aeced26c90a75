//! How much of what.

use serde::Serialize;

/// Shares are between 0 and 1.
#[derive(Debug, Clone, Serialize)]
pub struct Mix {
    /// Operations begun per second.
    pub rate: u32,
    pub organizations: usize,
    /// Agents that work, of all organizations; each has one at least.
    pub agents: usize,
    /// Share of submits with an idempotency key.
    pub keyed: f64,
    /// Share of keyed submits that are sent again; half of those at the same time through another
    /// gateway.
    pub repeated: f64,
    /// Share of keyed submits whose key is used again with another body.
    pub mutated: f64,
    /// Share of intents that the owner tries to end as well.
    pub raced: f64,
    /// Share of intents that somebody watches.
    pub watched: f64,
    /// Share of intents that are read at once through another gateway.
    pub read: f64,
    /// How often an agent crashes after a batch and comes back with an old cursor.
    pub agent_crash: f64,
    /// Share of operations that set a deadline.
    pub deadlines: f64,
    /// Share of operations that ask a person.
    pub tasks: f64,
    /// Share of operations that are scenarios.
    pub scenarios: f64,
    /// Share of operations that begin a chain.
    pub chains: f64,
    /// Share of operations that are bursts of many senders to one agent.
    pub bursts: f64,
    /// Share of operations whose client hangs up in the middle, and asks again with the same key.
    pub hang_ups: f64,
    /// Share of operations that are large and go to an agent that reads slowly.
    pub hoarded: f64,
    /// Share of operations that are pushed to a callback, where the world has a receiver for it.
    pub pushes: f64,
    /// Bursts per second of the organization that floods a gateway, where the world has one for it.
    pub floods: f64,
    /// Looks of each other one per second at what it has, through that gateway.
    pub visits: f64,
    /// Share of connections of watchers that are not read for seconds.
    pub slow_reads: f64,
    /// Lists that each organization asks for per second.
    pub listings: f64,
    /// Hostile probes of each organization per second.
    pub probes: f64,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            rate: 200,
            organizations: 10,
            agents: 16,
            keyed: 0.5,
            repeated: 0.4,
            mutated: 0.1,
            raced: 0.1,
            watched: 0.1,
            read: 0.1,
            agent_crash: 0.02,
            deadlines: 0.05,
            tasks: 0.05,
            scenarios: 0.03,
            chains: 0.02,
            bursts: 0.01,
            hang_ups: 0.03,
            hoarded: 0.01,
            pushes: 0.04,
            floods: 0.2,
            visits: 0.2,
            slow_reads: 0.1,
            listings: 0.5,
            probes: 2.0,
        }
    }
}
