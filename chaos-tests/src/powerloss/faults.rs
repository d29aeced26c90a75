//! Switches that make operations on chosen files fail: failed syncs, a full disk, unreadable or
//! slow storage.

use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `fsync` answers EIO; with `once` only the first one does.
    SyncFails { once: bool },
    /// `fsync` answers that all is well and does nothing: what a program does that does not sync, or
    /// answers before it does. Used to show that the checks find it.
    SyncLies,
    /// `read` answers EIO.
    ReadFails,
    /// Whatever needs more space answers ENOSPC.
    DiskFull,
    /// `fsync` takes this much longer.
    SlowSync(Duration),
}

#[derive(Debug, Clone)]
struct Rule {
    fault: Fault,
    pattern: String,
}

/// The faults that are switched on.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    /// How often each kind of fault hit: a run whose faults never hit proves nothing.
    pub hits: u64,
}

impl Faults {
    pub fn add(&mut self, fault: Fault, pattern: &str) {
        self.rules.push(Rule { fault, pattern: pattern.to_owned() });
    }

    pub fn clear(&mut self) {
        self.rules.clear();
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The faults of this file that `wanted` picks; a fault that strikes once is used up.
    pub fn strike(&mut self, path: &str, wanted: fn(&Fault) -> bool) -> Option<Fault> {
        let found = self
            .rules
            .iter()
            .position(|rule| wanted(&rule.fault) && matches(&rule.pattern, path))?;
        self.hits += 1;
        let fault = self.rules[found].fault;
        if fault == (Fault::SyncFails { once: true }) {
            self.rules.remove(found);
        }
        Some(fault)
    }
}

/// Whether `path` fits `pattern`, where `*` stands for any characters, `/` among them.
#[must_use]
pub fn matches(pattern: &str, path: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else { return pattern == path };
    let Some(mut path) = path.strip_prefix(head) else { return false };
    while let Some((middle, tail)) = rest.split_once('*') {
        let Some(found) = path.find(middle) else { return false };
        path = &path[found + middle.len()..];
        rest = tail;
    }
    path.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("*", "a/b"));
        assert!(matches("*.jnl", "db/0.jnl"));
        assert!(matches("db/*/x*", "db/1/xy"));
        assert!(!matches("db/*/x", "db/1/xy"));
        assert!(!matches("a", "ab"));
        assert!(!matches("ab*ba", "aba"));
    }

    #[test]
    fn a_fault_that_strikes_once_is_used_up() {
        let mut faults = Faults::default();
        faults.add(Fault::SyncFails { once: true }, "*");
        let is_sync = |fault: &Fault| matches!(fault, Fault::SyncFails { .. });
        assert!(faults.strike("f", |fault| *fault == Fault::ReadFails).is_none());
        assert!(faults.strike("f", is_sync).is_some());
        assert!(faults.strike("f", is_sync).is_none());
        assert_eq!(faults.hits, 1);
    }
}
