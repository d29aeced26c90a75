//! What a schema may cost, judged before it is compiled.
//!
//! Who registers a schema also chooses payloads, and both run in this process. With references that
//! lead back to themselves, or fan out again and again, a small schema can take for ever on a small
//! payload. So references stay inside the document and form no circle, and the schema with all
//! references written out has a bounded number of parts: a validation then takes at most that many
//! steps for each part of the payload.

use std::collections::HashMap;

use serde_json::Value;

use super::NotASchema;

/// Parts of a schema with all references written out.
const PARTS_MAX: u64 = 5_000;
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Keywords that find their target while a payload is looked at, or change what references mean.
const REFUSED: [&str; 5] =
    ["$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$anchor", "$vocabulary"];

pub(super) fn check(schema: &Value) -> Result<(), NotASchema> {
    if let Some(draft) = schema.get("$schema").and_then(Value::as_str)
        && draft.trim_end_matches('#') != DRAFT
    {
        return Err(NotASchema(format!("must be of {DRAFT}")));
    }
    let mut counter = Counter { root: schema, known: HashMap::new(), open: Vec::new() };
    let parts = counter.parts(schema, true)?;
    if parts > PARTS_MAX {
        return Err(NotASchema(format!("has more than {PARTS_MAX} parts with its references")));
    }
    Ok(())
}

struct Counter<'a> {
    root: &'a Value,
    /// Parts behind each reference that was counted.
    known: HashMap<&'a str, u64>,
    /// References that are being followed.
    open: Vec<&'a str>,
}

impl<'a> Counter<'a> {
    /// Every value counts, also those that are no schemas: cheaper to count than to tell apart.
    fn parts(&mut self, value: &'a Value, is_root: bool) -> Result<u64, NotASchema> {
        let mut parts = 1_u64;
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    if name == "$ref"
                        && let Some(target) = member.as_str()
                    {
                        parts = parts.saturating_add(self.behind(target)?);
                    } else if REFUSED.contains(&name.as_str()) || (name == "$id" && !is_root) {
                        return Err(NotASchema(format!("must not use {name} here")));
                    } else {
                        parts = parts.saturating_add(self.parts(member, false)?);
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    parts = parts.saturating_add(self.parts(item, false)?);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Ok(parts)
    }

    fn behind(&mut self, target: &'a str) -> Result<u64, NotASchema> {
        if let Some(parts) = self.known.get(target) {
            return Ok(*parts);
        }
        if self.open.contains(&target) {
            return Err(NotASchema(format!("must not refer to itself: {target}")));
        }
        let pointer = target.strip_prefix('#').filter(|it| it.is_empty() || it.starts_with('/'));
        let found = pointer.and_then(|pointer| self.root.pointer(pointer));
        let found = found.ok_or_else(|| {
            NotASchema(format!("must refer to places in itself only, as #/$defs/name: {target}"))
        })?;
        self.open.push(target);
        let parts = self.parts(found, target == "#")?;
        self.open.pop();
        self.known.insert(target, parts);
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_inside_are_fine() {
        let address = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
        let schema = json!({
            "$schema": DRAFT, "$id": "https://example.com/order",
            "properties": { "from": { "$ref": "#/$defs/address" }, "to": { "$ref": "#/$defs/address" } },
            "$defs": { "address": address },
        });
        assert!(check(&schema).is_ok());
    }

    #[test]
    fn circles_and_explosions_are_refused() {
        let circle = json!({ "properties": { "next": { "$ref": "#" } } });
        assert!(check(&circle).unwrap_err().to_string().contains("itself"));
        let pair =
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } });
        assert!(check(&pair).is_err());
        // The same place by another name.
        let alias = json!({ "$defs": { "a": { "not": { "$ref": "#/$defs/a/" } } } });
        assert!(check(&alias).is_err());
        let mut doubling = json!({ "$defs": { "d0": { "type": "string" } } });
        for level in 1..40 {
            let below = json!({ "$ref": format!("#/$defs/d{}", level - 1) });
            doubling["$defs"][format!("d{level}")] = json!({ "allOf": [below, below] });
        }
        assert!(check(&doubling).unwrap_err().to_string().contains("parts"));
        for name in REFUSED {
            assert!(check(&json!({ "properties": { "a": { name: "x" } } })).is_err(), "{name}");
        }
    }
}
