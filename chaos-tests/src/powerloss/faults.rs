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

/// A fault that was switched on, to switch off that one and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

#[derive(Debug, Clone)]
struct Rule {
    id: RuleId,
    fault: Fault,
    pattern: String,
    hits: u64,
}

impl Rule {
    fn is_spent(&self) -> bool {
        self.fault == (Fault::SyncFails { once: true }) && self.hits > 0
    }
}

/// The faults that are switched on.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    added: u64,
    /// How often any fault hit: a run whose faults never hit proves nothing.
    pub hits: u64,
}

impl Faults {
    pub fn add(&mut self, fault: Fault, pattern: &str) -> RuleId {
        self.added += 1;
        let id = RuleId(self.added);
        self.rules.push(Rule { id, fault, pattern: pattern.to_owned(), hits: 0 });
        id
    }

    /// Switches one off, and tells how often it hit.
    pub fn remove(&mut self, id: RuleId) -> u64 {
        let found = self.rules.iter().position(|rule| rule.id == id);
        found.map_or(0, |at| self.rules.remove(at).hits)
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
        let hit = |rule: &&mut Rule| {
            wanted(&rule.fault) && !rule.is_spent() && matches(&rule.pattern, path)
        };
        let rule = self.rules.iter_mut().find(hit)?;
        rule.hits += 1;
        self.hits += 1;
        Some(rule.fault)
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
        let rule = faults.add(Fault::SyncFails { once: true }, "*");
        let is_sync = |fault: &Fault| matches!(fault, Fault::SyncFails { .. });
        assert!(faults.strike("f", |fault| *fault == Fault::ReadFails).is_none());
        assert!(faults.strike("f", is_sync).is_some());
        assert!(faults.strike("f", is_sync).is_none());
        assert_eq!(faults.hits, 1);
        assert_eq!(faults.remove(rule), 1);
        assert!(faults.is_empty());
    }

    #[test]
    fn faults_are_switched_off_one_by_one() {
        let mut faults = Faults::default();
        let mine = faults.add(Fault::DiskFull, "*");
        faults.add(Fault::SyncLies, "*");
        assert_eq!(faults.remove(mine), 0);
        assert_eq!(faults.strike("f", |fault| *fault == Fault::DiskFull), None);
        assert_eq!(faults.strike("f", |fault| *fault == Fault::SyncLies), Some(Fault::SyncLies));
    }
}
