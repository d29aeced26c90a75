//! Whether a changed schema only adds: what was valid before is valid still, and what readers knew is
//! as they knew it.
//!
//! Judged by form, not by what instances exist: properties may be added, required ones may become
//! optional, enumerations may grow, descriptions may change. Any other change is one that somebody
//! has to agree to.

use serde_json::{Map, Value};

/// Keywords that say nothing about instances.
const ANNOTATIONS: [&str; 8] =
    ["$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"];

/// # Errors
/// The place of the first change that does more than add.
pub(crate) fn check(old: &Value, new: &Value) -> Result<(), String> {
    compare(old, new, "")
}

fn compare(old: &Value, new: &Value, at: &str) -> Result<(), String> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return if old == new { Ok(()) } else { Err(place(at)) };
    };
    let empty = Value::Object(Map::new());
    let keywords = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    for name in keywords.filter(|name| !ANNOTATIONS.contains(&name.as_str())) {
        let at = format!("{at}/{name}");
        let (before, after) = (old.get(name), new.get(name));
        match name.as_str() {
            "properties" | "$defs" => {
                each(before.unwrap_or(&empty), after.unwrap_or(&empty), &at)?;
            }
            "required" => subset(after, before, &at)?,
            "enum" if before.is_some() && after.is_some() => subset(before, after, &at)?,
            "items" | "additionalProperties" => match (before, after) {
                (Some(before), Some(after)) => compare(before, after, &at)?,
                _ => return Err(place(&at)),
            },
            _ if before == after => {}
            _ => return Err(place(&at)),
        }
    }
    Ok(())
}

/// Every member of the old object is in the new one, and only adds.
fn each(old: &Value, new: &Value, at: &str) -> Result<(), String> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return Err(place(at));
    };
    for (name, before) in old {
        let at = format!("{at}/{name}");
        compare(before, new.get(name).ok_or_else(|| place(&at))?, &at)?;
    }
    Ok(())
}

fn subset(less: Option<&Value>, more: Option<&Value>, at: &str) -> Result<(), String> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let more = list(more);
    if list(less).iter().all(|value| more.contains(value)) { Ok(()) } else { Err(place(at)) }
}

fn place(at: &str) -> String {
    format!("#{at}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn base() -> Value {
        json!({
            "type": "object", "required": ["a", "b"], "description": "x",
            "properties": { "a": { "type": "string" }, "b": { "enum": [1, 2] }, "c": { "properties": { "d": {} } } },
        })
    }

    fn changed(pointer: &str, value: Value) -> Value {
        let mut schema = base();
        *schema.pointer_mut(pointer).unwrap() = value;
        schema
    }

    #[test]
    fn additions_are_fine() {
        let mut more = base();
        more["properties"]["e"] = json!({ "type": "number" });
        for new in [
            base(),
            more,
            changed("/required", json!(["a"])),
            changed("/description", json!("y")),
            changed("/properties/b/enum", json!([2, 1, 3])),
            changed("/properties/c/properties", json!({ "d": {}, "f": {} })),
        ] {
            assert_eq!(check(&base(), &new), Ok(()), "{new}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        let mut closed = base();
        closed["additionalProperties"] = json!(false);
        for (new, place) in [
            (changed("/type", json!("array")), "#/type"),
            (changed("/required", json!(["a", "b", "c"])), "#/required"),
            (changed("/properties/a/type", json!("number")), "#/properties/a/type"),
            (changed("/properties/b/enum", json!([1])), "#/properties/b/enum"),
            (changed("/properties", json!({ "a": { "type": "string" } })), "#/properties/b"),
            (
                changed("/properties/c/properties/d", json!({ "type": "null" })),
                "#/properties/c/properties/d/type",
            ),
            (closed, "#/additionalProperties"),
        ] {
            assert_eq!(check(&base(), &new), Err(place.to_owned()), "{new}");
        }
    }
}
