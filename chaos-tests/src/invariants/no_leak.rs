//! No answer to one organization has anything of another in it, and a foreign id is as good as none.

use super::{Findings, Invariant};
use crate::history::History;

#[derive(Debug)]
pub(super) struct NoLeak;

impl Invariant for NoLeak {
    fn name(&self) -> &'static str {
        "no-leak"
    }

    fn promise(&self) -> &'static str {
        "P8: nothing crosses organizations: no read, event, list, replay or error text"
    }

    fn check(&self, history: &History, findings: &mut Findings) {
        for inspection in &history.inspections {
            findings.looked_at(usize::try_from(inspection.answers).unwrap_or(usize::MAX));
            for leak in &inspection.leaks {
                findings.violation(|| leak.clone());
            }
        }
        for probe in &history.probes {
            // Each may be answered "later" by itself.
            if let (Some(foreign), Some(unknown)) = (probe.foreign.done(), probe.unknown.done()) {
                findings.expect(foreign == unknown, || {
                    let (org, of, what) = (probe.org, probe.of, &probe.what);
                    format!("{org} asked {what} of {of}: {foreign}; with an unknown id: {unknown}")
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Told, fixture};
    use crate::invariants::violations;

    #[test]
    fn a_leak_is_found() {
        let mut history = fixture::good();
        history.inspections[0].leaks.push("was told a secret".to_owned());
        assert_eq!(violations(&NoLeak, &history), 1);
    }

    #[test]
    fn a_foreign_id_that_is_answered_differently_is_found() {
        let mut history = fixture::good();
        history.probes[0].foreign = Told::Done("403 forbidden".to_owned());
        assert_eq!(violations(&NoLeak, &history), 1);
        history.probes[0].unknown = Told::Unknown { why: "status 503".to_owned() };
        assert_eq!(violations(&NoLeak, &history), 0);
    }
}
