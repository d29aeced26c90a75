//! Lenient reading of one object of a bundle: null and "" are absent, other members are ignored.

use serde_json::{Map, Value};

use super::report::Report;

/// An object and where it is.
#[derive(Debug, Clone)]
pub(super) struct Object<'a> {
    pub(super) members: &'a Map<String, Value>,
    pub(super) path: String,
}

impl<'a> Object<'a> {
    pub(super) fn new(members: &'a Map<String, Value>, path: impl Into<String>) -> Self {
        Self { members, path: path.into() }
    }

    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, report: &mut Report, name: &str, longest: usize) -> Option<String> {
        let value = self.get(name)?;
        let Some(text) = value.as_str() else {
            report.error(&self.at(name), "must be a string");
            return None;
        };
        let text = text.trim();
        if text.chars().count() > longest {
            report.error(&self.at(name), format!("must have at most {longest} characters"));
            return None;
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// As [`Self::text`], for what must be there.
    pub(super) fn required(&self, report: &mut Report, name: &str, longest: usize) -> String {
        let known = report.errors.len();
        let text = self.text(report, name, longest);
        if text.is_none() && report.errors.len() == known {
            report.error(&self.at(name), "is required and must be a string that is not empty");
        }
        text.unwrap_or_default()
    }

    /// A whole number. Where none makes no sense 0 is absent: clients that know no absence send it.
    pub(super) fn integer(&self, report: &mut Report, name: &str, least: u32) -> Option<u32> {
        let value = self.get(name)?;
        if least > 0 && value.as_u64() == Some(0) {
            report.warn(
                &self.at(name),
                format!("is 0 and ignored: it means something from {least} on"),
            );
            return None;
        }
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let fits = number.filter(|number| *number >= least && i32::try_from(*number).is_ok());
        if fits.is_none() {
            report.error(&self.at(name), format!("must be a whole number, {least} or more"));
        }
        fits
    }

    pub(super) fn flag(&self, report: &mut Report, name: &str) -> Option<bool> {
        let value = self.get(name)?;
        if value.as_bool().is_none() {
            report.error(&self.at(name), "must be true or false");
        }
        value.as_bool()
    }

    pub(super) fn object(&self, report: &mut Report, name: &str) -> Option<Object<'a>> {
        let value = self.get(name)?;
        if value.as_object().is_none() {
            report.error(&self.at(name), "must be an object");
        }
        Some(Object::new(value.as_object()?, self.at(name)))
    }

    /// The objects of a list; what is none is an error.
    pub(super) fn objects(&self, report: &mut Report, name: &str, most: usize) -> Vec<Object<'a>> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let Some(items) = value.as_array() else {
            report.error(&self.at(name), "must be a list");
            return Vec::new();
        };
        if items.len() > most {
            report.error(&self.at(name), format!("must have at most {most} items"));
            return Vec::new();
        }
        let mut objects = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let path = format!("{}[{number}]", self.at(name));
            match item.as_object() {
                Some(members) => objects.push(Object::new(members, path)),
                None => report.error(&path, "must be an object"),
            }
        }
        objects
    }

    /// Warns of members that mean nothing: most are misspelled.
    pub(super) fn known(&self, report: &mut Report, names: &[&str]) {
        for name in self.members.keys().filter(|name| !names.contains(&name.as_str())) {
            report.warn(&self.at(name), "is not a member that is known here; it is ignored");
        }
    }
}
