//! Writing small JSON objects around JSON that we were given as bytes, without parsing it again.

use bytes::Bytes;

/// Builds one JSON object, member by member.
#[derive(Debug)]
pub struct ObjectWriter {
    text: Vec<u8>,
}

impl Default for ObjectWriter {
    fn default() -> Self {
        Self { text: vec![b'{'] }
    }
}

impl ObjectWriter {
    /// Adds a member whose value is JSON already; `{}` stands for an empty one.
    #[must_use]
    pub fn raw(mut self, name: &str, json: &[u8]) -> Self {
        self.name(name);
        self.text.extend_from_slice(if json.is_empty() { b"{}" } else { json });
        self
    }

    /// Adds a string member.
    #[must_use]
    pub fn string(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        escape(&mut self.text, value);
        self
    }

    /// Adds a string member unless the value is empty, which stands for absent.
    #[must_use]
    pub fn string_if(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.string(name, value) }
    }

    /// Adds the members of a JSON object; an empty one has none.
    #[must_use]
    pub fn members(mut self, object: &[u8]) -> Self {
        let object = object.trim_ascii();
        let inner = object.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
        let inner = inner.unwrap_or_default().trim_ascii();
        if !inner.is_empty() {
            if self.text.len() > 1 {
                self.text.push(b',');
            }
            self.text.extend_from_slice(inner);
        }
        self
    }

    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.text.push(b'}');
        self.text.into()
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        escape(&mut self.text, name);
        self.text.push(b':');
    }
}

/// The value of a member of a JSON object, as it is written; the text must be JSON.
#[must_use]
pub fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut wanted = Vec::new();
    escape(&mut wanted, name);
    let mut rest = object.trim_ascii().strip_prefix(b"{")?;
    loop {
        rest = rest.trim_ascii_start();
        let (key, behind) = rest.split_at(value_end(rest)?);
        let behind = behind.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let (value, behind) = behind.split_at(value_end(behind)?);
        if key.trim_ascii_end() == wanted {
            return Some(value.trim_ascii_end());
        }
        rest = behind.strip_prefix(b",")?;
    }
}

/// Where the value ends with which a text begins: before the next separator of its own level.
fn value_end(text: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' | b':' if depth == 0 => return Some(at),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    (depth == 0 && !quoted).then_some(text.len())
}

/// RFC 8259, section 7: quotation mark, reverse solidus and control characters are escaped.
fn escape(out: &mut Vec<u8>, value: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for &byte in value.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::{ObjectWriter, member};

    #[test]
    fn members_are_found_at_their_level() {
        let json = br#" { "a" : {"b":[1,"}"]} , "b":"x\",\"c\":1", "c" : true,"d":[{}]}"#;
        assert_eq!(member(json, "a"), Some(&br#"{"b":[1,"}"]}"#[..]));
        assert_eq!(member(json, "b"), Some(&br#""x\",\"c\":1""#[..]));
        assert_eq!(member(json, "c"), Some(&b"true"[..]));
        assert_eq!(member(json, "d"), Some(&b"[{}]"[..]));
        for (text, name) in [(&json[..], "x"), (b"{}", "a"), (b"", "a"), (b"[1]", "a")] {
            assert_eq!(member(text, name), None);
        }
    }

    #[test]
    fn members_are_escaped_and_separated() {
        let json = ObjectWriter::default()
            .raw("result", br#"{"a":1}"#)
            .string("reason", "say \"no\"\n\u{1}é\\")
            .string_if("empty", "")
            .finish();
        assert_eq!(json, r#"{"result":{"a":1},"reason":"say \"no\"\n\u0001é\\"}"#);
        assert_eq!(ObjectWriter::default().finish(), "{}");
    }

    #[test]
    fn objects_can_be_merged() {
        let json = ObjectWriter::default().string("a", "1").members(br#" {"b":{}} "#).members(b"");
        assert_eq!(json.finish(), r#"{"a":"1","b":{}}"#);
        assert_eq!(ObjectWriter::default().members(b"{ }").string("a", "").finish(), r#"{"a":""}"#);
    }
}
