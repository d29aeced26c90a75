//! Who the addresses of a bundle are, asked once and before anything else.

use std::collections::HashMap;

use axp_proto::error_code::ErrorCode;
use axp_proto::log::{DeliveryMode, Holder, MailboxKey, TaskRules};
use bytes::Bytes;
use serde_json::Value;

use crate::error::ApiError;
use crate::json::Reader;
use crate::scenario::{Bundle, Directory};
use crate::service::target::Target;
use crate::service::{Call, Service, tasks};

/// The addresses of one bundle, by how they are written.
#[derive(Debug)]
pub(super) struct Addresses {
    targets: HashMap<String, Result<Target, ApiError>>,
    /// Delivery modes of agents that are to be created.
    created: HashMap<String, DeliveryMode>,
    owner: Holder,
    org_id: String,
    workspace_id: String,
}

impl Addresses {
    pub(super) async fn resolve(
        service: &Service,
        call: &Call,
        bundle: &Bundle,
    ) -> Result<Self, ApiError> {
        let caller = &call.caller;
        let mut targets = HashMap::new();
        for address in bundle.addresses() {
            if targets.contains_key(address) {
                continue;
            }
            let target = match caller.normalise(address) {
                Ok(normal) => service.receiver(call, normal).await,
                Err(error) => Err(error),
            };
            // What is nobody's fault is no problem of the bundle.
            if let Err(error) = &target
                && matches!(error.code, ErrorCode::Unavailable | ErrorCode::Internal)
            {
                return Err(error.clone());
            }
            targets.insert(address.to_owned(), target);
        }
        let mode = |name: &str| DeliveryMode::from_wire_name(name).unwrap_or(DeliveryMode::Stream);
        let missing = bundle.agents.iter().filter(|agent| agent.create_if_missing);
        let created =
            missing.map(|agent| (agent.address.clone(), mode(&agent.delivery_mode))).collect();
        let mailbox = MailboxKey {
            workspace_id: caller.workspace_id().to_owned(),
            address: caller.address().to_owned(),
        };
        let (org_id, workspace_id) = (caller.org_id().to_owned(), caller.workspace_id().to_owned());
        let mode = DeliveryMode::Stream.into();
        let owner = Holder { mailbox: Some(mailbox), org_id: org_id.clone(), mode };
        Ok(Self { targets, created, owner, org_id, workspace_id })
    }

    /// The first receiver that takes nothing from the caller.
    pub(super) fn refusal(&self) -> Option<&ApiError> {
        let errors = self.targets.values().filter_map(|target| target.as_ref().err());
        errors.into_iter().find(|error| {
            !matches!(error.code, ErrorCode::InvalidAgentAddress | ErrorCode::ValidationError)
        })
    }

    /// The target of an address of the bundle, if something can be sent to it.
    pub(super) fn target(&self, address: &str) -> Option<&Target> {
        self.targets.get(address)?.as_ref().ok()
    }
}

impl Directory for Addresses {
    fn agent(&self, address: &str) -> Result<(Holder, Option<String>), String> {
        match self.targets.get(address) {
            Some(Ok(target)) => {
                let mut target = target.clone();
                let known = target.mode != DeliveryMode::Unspecified;
                if let Some(mode) = self.created.get(address).filter(|_| !known) {
                    target.mode = *mode;
                }
                let warning = (target.mode == DeliveryMode::Unspecified).then(|| {
                    format!(
                        "nobody is registered as {}: its steps wait until an agent with that address \
                         connects; create_if_missing creates it",
                        target.address
                    )
                });
                Ok((target.into_holder(), warning))
            }
            Some(Err(error)) => Err(error.message.to_string()),
            None => Err("is no address".to_owned()),
        }
    }

    fn person(&self, contact: &str) -> Holder {
        let (workspace_id, address) = (self.workspace_id.clone(), contact.to_owned());
        let mailbox = Some(MailboxKey { workspace_id, address });
        Holder { mailbox, org_id: self.org_id.clone(), ..Holder::default() }
    }

    fn owner(&self) -> Holder {
        self.owner.clone()
    }

    fn rules(&self, task: &Bytes) -> Result<TaskRules, Vec<(String, String)>> {
        let refused = |error: &ApiError| {
            let errors = error.details.as_ref().and_then(|details| details["errors"].as_array());
            let problem = |problem: &Value| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let member = problem["loc"].as_array().and_then(|loc| loc.last().map(text));
                (member.unwrap_or_default(), text(&problem["msg"]))
            };
            let known: Vec<_> = errors.into_iter().flatten().map(problem).collect();
            if known.is_empty() { vec![(String::new(), error.message.to_string())] } else { known }
        };
        let mut reader = Reader::nested(task, "human_task").map_err(|error| refused(&error))?;
        let rules = tasks::rules(&mut reader);
        reader.finish().map_err(|error| refused(&error))?;
        Ok(rules)
    }
}
