//! Where steps lead: the next element, unless the step says otherwise (contract, scenarios.md 4).

use std::collections::BTreeMap;

use axp_proto::log::Step;

use super::bundle::StepDraft;
use super::kind::StepKind;
use super::report::Report;

/// Leads to the end instead of to the next element, unless a step has this name.
const END: &str = "end";

/// Steps by name.
pub(super) struct Places<'a>(BTreeMap<&'a str, u32>);

impl<'a> Places<'a> {
    pub(super) fn of(steps: &'a [StepDraft]) -> Self {
        Self((0..).zip(steps).map(|(place, step)| (step.step_id.as_str(), place)).collect())
    }

    /// The step of that name.
    pub(super) fn find(&self, path: &str, name: &str, report: &mut Report) -> Option<u32> {
        let place = self.0.get(name).copied();
        if place.is_none() && name != END {
            report.error(path, format!("there is no step {name}"));
        }
        place
    }

    pub(super) fn on_success(
        &self,
        step: &StepDraft,
        place: usize,
        count: usize,
        report: &mut Report,
    ) -> Option<u32> {
        match &step.on_success {
            Some(name) => self.find(&format!("{}.on_success", step.path), name, report),
            None => u32::try_from(place + 1).ok().filter(|_| place + 1 < count),
        }
    }

    pub(super) fn on_failure(&self, step: &StepDraft, report: &mut Report) -> Option<u32> {
        let name = step.on_failure.as_ref()?;
        self.find(&format!("{}.on_failure", step.path), name, report)
    }

    pub(super) fn on_timeout(&self, step: &StepDraft, report: &mut Report) -> Option<u32> {
        let name = step.on_timeout.as_ref()?;
        self.find(&format!("{}.on_timeout", step.path), name, report)
    }
}

/// Refuses circles that never wait, and tells of steps that are never reached.
pub(super) fn check(
    drafts: &[StepDraft],
    kinds: &[StepKind],
    steps: &[Step],
    entry: u32,
    report: &mut Report,
) {
    for (place, draft) in drafts.iter().enumerate() {
        let (mut at, mut gone) = (place, 0);
        while kinds.get(at).is_some_and(|kind| kind.is_immediate()) && gone <= steps.len() {
            let Some(next) = steps[at].on_success else { break };
            at = next as usize;
            gone += 1;
        }
        if gone > steps.len() {
            let message = "goes in a circle in which nothing waits: put a delay, an agent or a person \
                           into it";
            report.error(&draft.path, message);
            return;
        }
    }
    let mut reached = vec![false; steps.len()];
    let mut open = vec![entry as usize];
    while let Some(place) = open.pop() {
        let Some(step) = steps.get(place).filter(|_| !reached[place]) else { continue };
        reached[place] = true;
        let next = [step.on_success, step.on_failure, step.on_timeout];
        open.extend(next.into_iter().flatten().map(|next| next as usize));
    }
    for (draft, _) in drafts.iter().zip(reached).filter(|(_, reached)| !reached) {
        report.warn(&draft.path, format!("step {} is never reached", draft.step_id));
    }
}
