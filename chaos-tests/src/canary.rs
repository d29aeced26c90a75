//! Looks for other organizations in everything that one organization is answered.
//!
//! Every organization has two words that nobody else says: its *name*, which is part of its addresses,
//! and its *secret*, which is part of whatever it stores. A client that asks for a foreign address
//! says the name itself and may be told of it again; a secret is never said by a client of another
//! organization, and never allowed in an answer to one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const NAME: &str = "canaryname";
const SECRET: &str = "canarysecret";
/// Digits after the prefix.
const DIGITS: usize = 16;
/// Leaks that are kept; one is enough to fail a run.
const LEAKS_MAX: usize = 100;

/// The words of one organization, and what its clients were told that they should not have been.
#[derive(Debug)]
pub struct Canary {
    pub name: String,
    pub secret: String,
    inspected: AtomicU64,
    leaks: Mutex<Vec<String>>,
}

impl Canary {
    /// `number` makes it unique.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self {
            name: format!("{NAME}{number:016x}"),
            secret: format!("{SECRET}{number:016x}"),
            inspected: AtomicU64::new(0),
            leaks: Mutex::default(),
        }
    }

    /// Looks at an answer: `asked` is what the client said, path and body.
    pub fn inspect(&self, asked: &str, answer: &[u8]) {
        self.inspected.fetch_add(1, Ordering::Relaxed);
        let answer = String::from_utf8_lossy(answer);
        for word in words(&answer) {
            let own = word == self.name || word == self.secret;
            let said = word.starts_with(NAME) && asked.contains(word);
            if !own && !said {
                let mut leaks = self.leaks.lock().unwrap_or_else(PoisonError::into_inner);
                if leaks.len() < LEAKS_MAX {
                    leaks.push(format!("{} was told {word} when it asked {asked}", self.name));
                }
            }
        }
    }

    /// How many answers were looked at.
    #[must_use]
    pub fn inspected(&self) -> u64 {
        self.inspected.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn leaks(&self) -> Vec<String> {
        self.leaks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All names and secrets in a text, once each.
fn words(text: &str) -> BTreeSet<&str> {
    let of = |prefix: &'static str| {
        text.match_indices(prefix)
            .filter_map(move |(at, _)| text.get(at..at + prefix.len() + DIGITS))
    };
    of(NAME).chain(of(SECRET)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_are_found_and_own_ones_are_not() {
        let (own, other) = (Canary::new(1), Canary::new(2));
        own.inspect("GET /", format!("{} {}", own.name, own.secret).as_bytes());
        assert_eq!((own.inspected(), own.leaks().len()), (1, 0));
        own.inspect("GET /", format!("{{\"a\":\"{}\"}}", other.secret).as_bytes());
        own.inspect("GET /", format!("agent://{}/prod/x", other.name).as_bytes());
        assert_eq!(own.leaks().len(), 2);
    }

    #[test]
    fn a_name_may_be_repeated_to_who_said_it_and_a_secret_may_not() {
        let (own, other) = (Canary::new(1), Canary::new(2));
        let asked = format!("GET /v1/agents/{} {}", other.name, other.secret);
        own.inspect(&asked, format!("no agent {}", other.name).as_bytes());
        assert_eq!(own.leaks(), Vec::<String>::new());
        own.inspect(&asked, other.secret.as_bytes());
        assert_eq!(own.leaks().len(), 1);
    }
}
