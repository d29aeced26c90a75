//! Letting work in or refusing it with a hint, before a message is sent: the mailboxes of actors
//! are unbounded, and what bounds the work in them are the permits given out here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::metrics as names;

/// Organizations that are remembered although they have nothing under way.
const IDLE_ORGANIZATIONS_MAX: usize = 1024;

/// Room for commands on one node, by organization, so that one cannot starve the others.
#[derive(Debug)]
pub struct Admission {
    per_organization_max: usize,
    organizations: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Room for one command; dropping it makes room for another.
#[derive(Debug)]
pub struct Permit {
    _shard: OwnedSemaphorePermit,
    _organization: OwnedSemaphorePermit,
}

impl Admission {
    #[must_use]
    pub fn new(per_organization_max: u32) -> Self {
        let per_organization_max = per_organization_max as usize;
        Self { per_organization_max, organizations: Mutex::default() }
    }

    /// Room for a command of an organization in a shard, if there is any right now.
    #[must_use]
    pub fn admit(&self, org_id: &str, shard: &Arc<Semaphore>) -> Option<Permit> {
        let organization = self.organization(org_id).try_acquire_owned().ok();
        let shard = Arc::clone(shard).try_acquire_owned().ok();
        let permit = organization
            .zip(shard)
            .map(|(organization, shard)| Permit { _shard: shard, _organization: organization });
        if permit.is_none() {
            metrics::counter!(names::COMMANDS_REFUSED_TOTAL).increment(1);
        }
        permit
    }

    fn organization(&self, org_id: &str) -> Arc<Semaphore> {
        let mut organizations = self.organizations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(organization) = organizations.get(org_id) {
            return Arc::clone(organization);
        }
        if organizations.len() >= IDLE_ORGANIZATIONS_MAX {
            organizations
                .retain(|_, semaphore| semaphore.available_permits() < self.per_organization_max);
        }
        let organization = Arc::new(Semaphore::new(self.per_organization_max));
        organizations.insert(org_id.to_owned(), Arc::clone(&organization));
        organization
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_organization_does_not_take_the_others_room() {
        let admission = Admission::new(2);
        let shard = Arc::new(Semaphore::new(3));
        let a = [admission.admit("a", &shard), admission.admit("a", &shard)];
        assert!(a.iter().all(Option::is_some));
        assert!(admission.admit("a", &shard).is_none(), "its share is used up");
        let b = admission.admit("b", &shard);
        assert!(b.is_some());
        assert!(admission.admit("c", &shard).is_none(), "the shard is full");
        drop(a);
        assert!(admission.admit("c", &shard).is_some());
    }
}
