//! Compiled validators by the hash of their schema. A bound, not a promise: what was used least
//! recently goes first and is compiled again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;

use super::NotASchema;

#[derive(Debug, Default)]
struct Kept {
    clock: u64,
    /// Validator and when it was used last.
    validators: HashMap<String, (Arc<Validator>, u64)>,
}

#[derive(Debug)]
pub(crate) struct ValidatorCache {
    most: usize,
    kept: Mutex<Kept>,
}

impl ValidatorCache {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// The validator of a schema, compiled now unless it is kept.
    pub(crate) fn get(
        &self,
        hash: &str,
        compile: impl FnOnce() -> Result<Validator, NotASchema>,
    ) -> Result<Arc<Validator>, NotASchema> {
        if let Some(validator) = self.kept().find(hash) {
            return Ok(validator);
        }
        // Not under the lock: others go on meanwhile, at worst compiling the same.
        let validator = Arc::new(compile()?);
        self.kept().keep(hash, &validator, self.most);
        Ok(validator)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, hash: &str) -> Option<Arc<Validator>> {
        self.clock += 1;
        let (validator, used) = self.validators.get_mut(hash)?;
        *used = self.clock;
        Some(Arc::clone(validator))
    }

    fn keep(&mut self, hash: &str, validator: &Arc<Validator>, most: usize) {
        if self.validators.len() >= most {
            let oldest = self.validators.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(hash, _)| hash.clone()) {
                self.validators.remove(&oldest);
            }
        }
        self.validators.insert(hash.to_owned(), (Arc::clone(validator), self.clock));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::compile;

    #[test]
    fn the_least_recently_used_goes() {
        let cache = ValidatorCache::new(2);
        let compiled = std::cell::Cell::new(0);
        let use_it = |hash: &str| {
            let make = || {
                compiled.set(compiled.get() + 1);
                compile(&json!({ "type": "object" }))
            };
            cache.get(hash, make).unwrap();
            compiled.get()
        };
        assert_eq!(["a", "b", "a", "c", "a", "b"].map(use_it), [1, 2, 2, 3, 3, 4]);
        assert!(cache.get("d", || compile(&json!({ "type": 1 }))).is_err());
    }
}
