//! Looks for an order of operations that explains what clients were told: linearizability.
//!
//! The search of Wing and Gong with Lowe's memory of what was tried: an operation may come next when
//! no other one that is still to be placed had ended before it began. An operation whose answer
//! nobody knows stays open for ever and need not happen at all. Histories are split by intent and by
//! idempotency key before they come here (P-compositionality), so they are short; the search is
//! bounded all the same, and giving up is a verdict of its own.

mod intent;
mod key;

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

pub(crate) use intent::{IntentLog, IntentOp};
pub(crate) use key::{KeyOp, KeyRegister};

/// What one thing does, operation by operation, when nobody interferes.
pub(crate) trait Model {
    type State: Clone + Debug + Eq + Hash;
    type Op: Debug;

    fn initial(&self) -> Self::State;

    /// The state after the operation; nothing when it cannot have been answered so in `state`.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;
}

/// An operation and when it was under way; without an end its answer is not known.
#[derive(Debug, Clone)]
pub(crate) struct Operation<O> {
    pub(crate) start: u64,
    pub(crate) end: Option<u64>,
    pub(crate) op: O,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Some order explains everything.
    Explained,
    /// None does. The operations, by place, that could not be explained after the longest order that
    /// explains others.
    Impossible { stuck: Vec<usize> },
    /// The search gave up: nothing is known, which is no success.
    Undecided,
}

/// Searches, over at most `steps_max` steps.
pub(crate) fn check<M: Model>(
    model: &M,
    operations: &[Operation<M::Op>],
    steps_max: usize,
) -> Outcome {
    let mut search = Search {
        model,
        operations,
        tried: HashSet::new(),
        steps_left: steps_max,
        furthest: (0, Vec::new()),
    };
    let begin = Place { done: Done::new(operations.len()), state: model.initial() };
    match search.run(begin) {
        Some(true) => Outcome::Explained,
        Some(false) => Outcome::Impossible { stuck: search.furthest.1 },
        None => Outcome::Undecided,
    }
}

/// Which operations have a place in the order already.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Done(Vec<u64>);

impl Done {
    fn new(operations: usize) -> Self {
        Self(vec![0; operations.div_ceil(64)])
    }

    fn has(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    fn add(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// A point in the search.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place<S> {
    done: Done,
    state: S,
}

struct Search<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Op>],
    tried: HashSet<Place<M::State>>,
    steps_left: usize,
    /// How many operations had a place at best, and which were in the way of more.
    furthest: (u32, Vec<usize>),
}

impl<M: Model> Search<'_, M> {
    /// Whether an order exists; nothing when the search gave up. Depth first, with a stack of its own.
    fn run(&mut self, begin: Place<M::State>) -> Option<bool> {
        let mut stack = vec![begin];
        while let Some(mut place) = stack.pop() {
            self.settle(&mut place)?;
            if self.is_whole(&place.done) {
                return Some(true);
            }
            if !self.tried.insert(place.clone()) {
                continue;
            }
            self.note(&place);
            for index in self.candidates(&place.done) {
                self.steps_left = self.steps_left.checked_sub(1)?;
                if let Some(state) = self.model.step(&place.state, &self.operations[index].op) {
                    let mut done = place.done.clone();
                    done.add(index);
                    stack.push(Place { done, state });
                }
            }
        }
        Some(false)
    }

    /// Gives a place to everything that may come next and changes nothing: whatever comes later, no
    /// order is lost by having it now.
    fn settle(&mut self, place: &mut Place<M::State>) -> Option<()> {
        loop {
            let before = place.done.count();
            for index in self.candidates(&place.done) {
                self.steps_left = self.steps_left.checked_sub(1)?;
                let next = self.model.step(&place.state, &self.operations[index].op);
                if next.as_ref() == Some(&place.state) {
                    place.done.add(index);
                }
            }
            if place.done.count() == before {
                return Some(());
            }
        }
    }

    /// Operations that no other one must come before.
    fn candidates(&self, done: &Done) -> Vec<usize> {
        let open = || (0..self.operations.len()).filter(|index| !done.has(*index));
        let horizon = open().filter_map(|index| self.operations[index].end).min();
        let horizon = horizon.unwrap_or(u64::MAX);
        open().filter(|index| self.operations[*index].start <= horizon).collect()
    }

    /// Whether everything that is known to have happened has a place.
    fn is_whole(&self, done: &Done) -> bool {
        let mut known = self.operations.iter().enumerate().filter(|(_, op)| op.end.is_some());
        known.all(|(index, _)| done.has(index))
    }

    fn note(&mut self, place: &Place<M::State>) {
        let count = place.done.count();
        if self.furthest.1.is_empty() || count > self.furthest.0 {
            self.furthest = (count, self.candidates(&place.done));
        }
    }
}

#[cfg(test)]
mod tests;
