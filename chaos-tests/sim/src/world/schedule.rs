//! When what happens.

use std::time::Duration;

use crate::plan::{Plan, WRITABLE_AFTER};

/// The end of what has no length, such as a restart, is told after its begin.
const INSTANT: Duration = Duration::from_millis(1);

/// What happens at an instant, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// The last strike is over: what was committed since [`Event::Mark`]?
    Measure,
    End(usize),
    Begin(usize),
    /// From now on a majority has had its time.
    Mark,
}

/// Everything that happens, by its time since the load began.
pub(super) fn events(plan: &Plan) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    for (index, strike) in plan.strikes.iter().enumerate() {
        events.push((strike.begin, Event::Begin(index)));
        events.push((strike.end.max(strike.begin + INSTANT), Event::End(index)));
    }
    if let Some((begin, end)) = plan.alone {
        events.push((begin + WRITABLE_AFTER, Event::Mark));
        events.push((end, Event::Measure));
    }
    events.sort_unstable();
    events
}
