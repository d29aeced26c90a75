//! The acting agent that a caller asserts by header or query (contract, README section 6).

use axp_proto::error_code::ErrorCode;

use super::target::home_organization;
use super::{Call, Service};
use crate::error::ApiError;

impl Service {
    /// The address that acts: the asserted one if the caller may assert it, else its own.
    ///
    /// # Errors
    /// 403 for an address that belongs to another organization.
    pub(crate) fn acting_agent(&self, call: &Call) -> Result<String, ApiError> {
        let Some(owner) = call.owner.as_deref() else {
            return Ok(call.caller.address().to_owned());
        };
        self.assertable(call, owner)
    }

    /// Who reads: the acting agent, who may have been granted to; an assertion that cannot be made is
    /// harmless where nothing is done with it.
    pub(super) fn reader(&self, call: &Call) -> String {
        self.acting_agent(call).unwrap_or_else(|_| call.caller.address().to_owned())
    }

    /// Checks an address that the caller wants to act as.
    pub(super) fn assertable(&self, call: &Call, owner: &str) -> Result<String, ApiError> {
        let address = call.caller.normalise(owner)?;
        let tables = self.cluster.cache.load();
        match home_organization(&tables, &address) {
            Some(org_id) if org_id != call.caller.org_id() => Err(ApiError::new(
                ErrorCode::InvalidActorScope,
                "owner_agent belongs to another organization",
            )),
            _ => Ok(address),
        }
    }
}
