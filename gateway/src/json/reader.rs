//! Typed access to the members of a body, collecting all that is wrong before it refuses.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Fields, is_object};
use crate::clock;
use crate::error::{ApiError, Problems};

/// Reads members; call [`Reader::finish`] before anything is done with them.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    body: &'a Bytes,
    fields: Fields<'a>,
    problems: Problems,
    /// Where the object is, as problems tell it.
    location: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// # Errors
    /// As [`Fields::parse`].
    pub(crate) fn new(body: &'a Bytes) -> Result<Self, ApiError> {
        Self::at(body, vec!["body"])
    }

    /// A reader of an object inside the body, which was parsed already.
    pub(crate) fn nested(object: &'a Bytes, name: &'static str) -> Result<Self, ApiError> {
        Self::at(object, vec!["body", name])
    }

    fn at(body: &'a Bytes, location: Vec<&'static str>) -> Result<Self, ApiError> {
        Ok(Self { body, fields: Fields::parse(body)?, problems: Problems::default(), location })
    }

    /// Takes the problems of a nested reader over.
    pub(crate) fn absorb(&mut self, nested: Self) {
        self.problems.append(nested.problems);
    }

    pub(crate) fn fields(&self) -> &Fields<'a> {
        &self.fields
    }

    /// # Errors
    /// 422 when anything that was read is not as it must be.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        self.problems.check()
    }

    pub(crate) fn problem(&mut self, name: &str, message: &str, kind: &str) {
        let location: Vec<&str> = self.location.iter().copied().chain([name]).collect();
        self.problems.add(&location, message, kind);
    }

    /// A string; absent when missing, null or empty.
    pub(crate) fn string(&mut self, name: &str, shortest: usize, longest: usize) -> Option<String> {
        let text: String = self.typed(name, "must be a string")?;
        if text.is_empty() {
            return None;
        }
        if !(shortest..=longest).contains(&text.chars().count()) {
            let message = format!("must have {shortest} to {longest} characters");
            self.problem(name, &message, "value_error");
            return None;
        }
        Some(text)
    }

    pub(crate) fn required_string(
        &mut self,
        name: &str,
        shortest: usize,
        longest: usize,
    ) -> Option<String> {
        let known = self.problems.len();
        let text = self.string(name, shortest, longest);
        if text.is_none() && self.problems.len() == known {
            self.problem(name, "field required", "missing");
        }
        text
    }

    /// A UUID, spelled as it was sent.
    pub(crate) fn uuid(&mut self, name: &str) -> Option<String> {
        let text = self.string(name, 1, 64)?;
        if Uuid::try_parse(&text).is_ok() {
            return Some(text);
        }
        self.problem(name, "must be a UUID", "value_error");
        None
    }

    /// An object, as the bytes that were sent.
    pub(crate) fn object(&mut self, name: &str) -> Option<Bytes> {
        let raw = self.present(name)?;
        if is_object(raw) {
            return Some(self.body.slice_ref(raw.get().as_bytes()));
        }
        self.problem(name, "must be an object", "type_error");
        None
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.typed(name, "must be a boolean")
    }

    /// An integer of 32 bits, since clients keep them in those (contract, README section 12).
    pub(crate) fn integer(&mut self, name: &str, least: u32) -> Option<u32> {
        let value: i64 = self.typed(name, "must be an integer")?;
        match u32::try_from(value) {
            Ok(value) if value >= least && i32::try_from(value).is_ok() => Some(value),
            _ => {
                let message = format!("must be an integer from {least} to {}", i32::MAX);
                self.problem(name, &message, "value_error");
                None
            }
        }
    }

    /// A number, whole or not.
    pub(crate) fn number(&mut self, name: &str) -> Option<f64> {
        self.typed(name, "must be a number")
    }

    /// An integer that clients do not keep in 32 bits, such as a size.
    pub(crate) fn size(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let value: u64 = self.typed(name, "must be an integer")?;
        if (least..=most).contains(&value) {
            return Some(value);
        }
        self.problem(name, &format!("must be an integer from {least} to {most}"), "value_error");
        None
    }

    /// The SHA-256 of something, in lower-case hexadecimal digits.
    pub(crate) fn sha256(&mut self, name: &str) -> Option<String> {
        let text = self.string(name, 1, 64)?;
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(digit) {
            return Some(text);
        }
        self.problem(name, "must be 64 digits of 0-9 and a-f", "value_error");
        None
    }

    /// Says that a member is missing.
    pub(crate) fn require<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && self.present(name).is_none() {
            self.problem(name, "field required", "missing");
        }
        value
    }

    /// A list of strings.
    pub(crate) fn strings(
        &mut self,
        name: &str,
        most: usize,
        longest: usize,
    ) -> Option<Vec<String>> {
        let list: Vec<String> = self.typed(name, "must be a list of strings")?;
        let fits = |text: &String| (1..=longest).contains(&text.chars().count());
        if (1..=most).contains(&list.len()) && list.iter().all(fits) {
            return Some(list);
        }
        let message = format!("must be 1 to {most} strings of 1 to {longest} characters");
        self.problem(name, &message, "value_error");
        None
    }

    /// An instant in Unix milliseconds.
    pub(crate) fn instant(&mut self, name: &str) -> Option<i64> {
        let text = self.string(name, 1, 64)?;
        let instant = clock::parse_rfc3339(&text);
        if instant.is_none() {
            self.problem(name, "must be an RFC 3339 date-time with a zone", "value_error");
        }
        instant
    }

    fn typed<T: DeserializeOwned>(&mut self, name: &str, message: &str) -> Option<T> {
        let raw = self.present(name)?;
        if let Ok(value) = serde_json::from_str(raw.get()) {
            return Some(value);
        }
        self.problem(name, message, "type_error");
        None
    }

    fn present(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.get(name).filter(|raw| raw.get() != "null")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(body: &'static str, read: impl FnOnce(&mut Reader<'_>)) -> serde_json::Value {
        let body = Bytes::from_static(body.as_bytes());
        let mut reader = Reader::new(&body).unwrap();
        read(&mut reader);
        reader.finish().map_or_else(
            |error| error.details.unwrap()["errors"].clone(),
            |()| serde_json::json!([]),
        )
    }

    #[test]
    fn empty_and_null_are_absent() {
        let none = problems(r#"{"a":"","b":null}"#, |reader| {
            assert_eq!(reader.string("a", 3, 9), None);
            assert_eq!(reader.string("b", 3, 9), None);
            assert_eq!(reader.object("b"), None);
            assert_eq!(reader.integer("c", 1), None);
        });
        assert_eq!(none, serde_json::json!([]));
    }

    #[test]
    fn each_wrong_field_is_told_once() {
        let found = problems(
            r#"{"s":1,"short":"ab","u":"x","o":[],"i":1.5,"j":0,"k":4294967296,"t":"now","r":5}"#,
            |reader| {
                reader.string("s", 1, 9);
                reader.string("short", 3, 9);
                reader.uuid("u");
                reader.object("o");
                reader.integer("i", 1);
                reader.integer("j", 1);
                reader.integer("k", 1);
                reader.instant("t");
                reader.required_string("r", 1, 9);
                reader.required_string("absent", 1, 9);
            },
        );
        let names: Vec<_> = found
            .as_array()
            .unwrap()
            .iter()
            .map(|problem| problem["loc"][1].as_str().unwrap())
            .collect();
        assert_eq!(names, ["s", "short", "u", "o", "i", "j", "k", "t", "r", "absent"]);
        assert_eq!(found[9]["type"], "missing");
    }

    #[test]
    fn objects_are_slices_of_the_body() {
        let body = Bytes::from_static(br#"{"payload": {"a" : 1}}"#);
        let mut reader = Reader::new(&body).unwrap();
        assert_eq!(reader.object("payload").unwrap(), r#"{"a" : 1}"#);
    }
}
