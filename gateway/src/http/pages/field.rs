//! Fields of a form, made from a JSON Schema: one for each property that a person can fill in with a
//! line, a choice or a number; any other is a field for JSON.

use serde_json::Value;

use crate::json::Fields;

/// Properties that get fields of their own; a form with more is one field for JSON.
const FIELDS_MAX: usize = 60;
/// From here on a text gets several lines.
const LINE_CHARS: u64 = 200;
/// Choices that are shown all at once.
const RADIOS_MAX: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Lines,
    Integer,
    Number,
    Date,
    Email,
    Boolean,
    Choice,
    /// A list of strings, one on each line.
    List,
    Json,
}

#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    /// Of the input.
    pub(super) name: String,
    pub(super) id: String,
    /// The member of the answer; empty for a field that holds them all.
    pub(super) path: String,
    pub(super) label: String,
    pub(super) hint: String,
    pub(super) required: bool,
    pub(super) value: String,
    pub(super) problem: Option<String>,
    pub(super) options: Vec<Choice>,
    kind: Kind,
    length_max: Option<u64>,
    /// What choices stand for.
    values: Vec<Value>,
}

/// The fields of a task's form, in the order in which it was written.
pub(super) fn fields_of(task_json: &[u8]) -> Vec<Field> {
    let task: Value = serde_json::from_slice(task_json).unwrap_or_default();
    let Some(schema) = task.get("form_schema").filter(|schema| schema.is_object()) else {
        return Vec::new();
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let Some(properties) = properties.filter(|it| !it.is_empty() && it.len() <= FIELDS_MAX) else {
        return vec![Field::new("field", "", "Answer", Kind::Json)];
    };
    let required = |name: &str| {
        let names = schema.get("required").and_then(Value::as_array);
        names.is_some_and(|names| names.iter().any(|known| known == name))
    };
    let mut fields = Vec::new();
    for (name, property) in properties {
        let property = resolve(schema, property);
        let mut field = field(name, property);
        // It follows from the button.
        if name == "approved" && field.kind == Kind::Boolean {
            continue;
        }
        field.required = required(name);
        field.id = format!("f{}", fields.len());
        fields.push(field);
    }
    let order = order(task_json).unwrap_or_default();
    fields.sort_by_key(|field| order.iter().position(|name| *name == field.path));
    fields
}

/// The names of the properties as they were written: parsed JSON does not keep their order.
fn order(task_json: &[u8]) -> Option<Vec<String>> {
    let member = |object: &[u8], name: &str| {
        let fields = Fields::parse(object).ok()?;
        fields.get(name).map(|value| value.get().as_bytes().to_vec())
    };
    let properties = member(&member(task_json, "form_schema")?, "properties")?;
    Some(Fields::parse(&properties).ok()?.names().map(str::to_owned).collect())
}

fn field(name: &str, property: &Value) -> Field {
    let text = |key: &str| property.get(key).and_then(Value::as_str);
    let values: Vec<Value> =
        property.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
    let kind = if values.is_empty() { kind(property) } else { Kind::Choice };
    let title = text("title").map_or_else(|| label(name), str::to_owned);
    let mut field = Field::new(&format!("field.{name}"), name, &title, kind);
    text("description").unwrap_or_default().clone_into(&mut field.hint);
    field.length_max = property.get("maxLength").and_then(Value::as_u64);
    field.value = property.get("default").map(shown).unwrap_or_default();
    field.options = match kind {
        Kind::Boolean => [("true", "Yes"), ("false", "No")]
            .map(|(value, label)| Choice { value: value.to_owned(), label: label.to_owned() })
            .into(),
        _ => {
            values.iter().map(|value| Choice { value: shown(value), label: shown(value) }).collect()
        }
    };
    field.values = values;
    match kind {
        Kind::List if field.hint.is_empty() => "One on each line.".clone_into(&mut field.hint),
        Kind::Json if field.hint.is_empty() => "As JSON.".clone_into(&mut field.hint),
        _ => {}
    }
    field
}

fn resolve<'a>(schema: &'a Value, property: &'a Value) -> &'a Value {
    let mut property = property;
    // No circle is longer: schemas with one are refused when they are submitted.
    for _ in 0..16 {
        let target = property.get("$ref").and_then(Value::as_str);
        match target.and_then(|it| it.strip_prefix('#')).and_then(|it| schema.pointer(it)) {
            Some(found) => property = found,
            None => break,
        }
    }
    property
}

fn kind(property: &Value) -> Kind {
    let types: Vec<&str> = match property.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => Vec::new(),
    };
    match types[..] {
        ["string"] => text_kind(property),
        ["integer"] => Kind::Integer,
        ["number"] => Kind::Number,
        ["boolean"] => Kind::Boolean,
        ["array"] if property["items"]["type"] == "string" => Kind::List,
        _ => Kind::Json,
    }
}

fn text_kind(property: &Value) -> Kind {
    let format = property.get("format").and_then(Value::as_str).unwrap_or_default();
    let long = property.get("maxLength").and_then(Value::as_u64).is_some_and(|it| it > LINE_CHARS);
    match format {
        "date" => Kind::Date,
        "email" => Kind::Email,
        "textarea" | "multiline" => Kind::Lines,
        _ if long => Kind::Lines,
        _ => Kind::Text,
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A name or an outcome as people read it.
pub(super) fn label(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

impl Field {
    fn new(name: &str, path: &str, label: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            id: name.to_owned(),
            path: path.to_owned(),
            label: label.to_owned(),
            hint: String::new(),
            required: false,
            value: String::new(),
            problem: None,
            options: Vec::new(),
            kind,
            length_max: None,
            values: Vec::new(),
        }
    }

    /// A field of every answer, with one line.
    pub(super) fn line(name: &str, label: &str, hint: &str) -> Self {
        Self { hint: hint.to_owned(), ..Self::new(name, name, label, Kind::Text) }
    }

    pub(super) fn area(name: &str, label: &str, hint: &str) -> Self {
        Self { hint: hint.to_owned(), ..Self::new(name, name, label, Kind::Lines) }
    }

    pub(super) fn is_choice(&self) -> bool {
        self.kind == Kind::Boolean
            || (self.kind == Kind::Choice && self.options.len() <= RADIOS_MAX)
    }

    pub(super) fn is_select(&self) -> bool {
        self.kind == Kind::Choice && !self.is_choice()
    }

    pub(super) fn is_area(&self) -> bool {
        matches!(self.kind, Kind::Lines | Kind::List | Kind::Json)
    }

    pub(super) fn is_code(&self) -> bool {
        self.kind == Kind::Json
    }

    pub(super) fn input_type(&self) -> &'static str {
        match self.kind {
            Kind::Date => "date",
            Kind::Email => "email",
            _ => "text",
        }
    }

    /// What no page's author wrote: only words and numbers of ours.
    pub(super) fn attributes(&self) -> String {
        let mut attributes = String::new();
        if self.required {
            attributes.push_str(" required");
        }
        // A keyboard with digits, and no field that eats what is typed.
        match self.kind {
            Kind::Integer => attributes.push_str(" inputmode=\"numeric\""),
            Kind::Number => attributes.push_str(" inputmode=\"decimal\""),
            _ => {}
        }
        if let Some(most) = self.length_max.filter(|_| !self.is_code()) {
            attributes.push_str(&format!(" maxlength=\"{most}\""));
        }
        let mut described: Vec<String> = Vec::new();
        if !self.hint.is_empty() {
            described.push(format!("{}-hint", self.id));
        }
        if self.problem.is_some() {
            attributes.push_str(" aria-invalid=\"true\"");
            described.push(format!("{}-problem", self.id));
        }
        if !described.is_empty() {
            attributes.push_str(&format!(" aria-describedby=\"{}\"", described.join(" ")));
        }
        attributes
    }

    /// What was filled in, if anything was. Numbers stay text: what is declared is made of it where
    /// every answer is checked.
    pub(super) fn read(&self, text: &str) -> Option<Result<Value, &'static str>> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return None;
        }
        Some(Ok(match self.kind {
            Kind::Json => match serde_json::from_str(trimmed) {
                Ok(value) if !self.path.is_empty() || Value::is_object(&value) => value,
                _ => return Some(Err("must be JSON")),
            },
            Kind::List => super::sent::lines(text).map(Value::from).collect(),
            Kind::Choice => {
                let chosen = self.options.iter().position(|option| option.value == text);
                chosen.map_or_else(|| text.into(), |chosen| self.values[chosen].clone())
            }
            Kind::Lines => text.into(),
            Kind::Text
            | Kind::Integer
            | Kind::Number
            | Kind::Date
            | Kind::Email
            | Kind::Boolean => trimmed.into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(properties: &Value) -> Vec<Field> {
        let schema = json!({
            "properties": properties, "required": ["b"], "$defs": { "n": { "type": "number" } },
        });
        fields_of(json!({ "form_schema": schema }).to_string().as_bytes())
    }

    #[test]
    fn fields_keep_the_order_of_the_form() {
        let task = br#"{"form_schema":{"properties":{"z":{},"a":{},"m":{}}}}"#;
        let fields = fields_of(task);
        assert_eq!(fields.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
    }

    #[test]
    fn properties_become_fields_of_their_kinds() {
        let fields = fields(&json!({
            "a_name": { "type": "string" }, "b": { "$ref": "#/$defs/n" },
            "c": { "enum": [1, "two"] }, "d": { "type": ["boolean", "null"] },
            "e": { "type": "object" }, "f": { "type": "string", "maxLength": 900 },
            "g": { "type": "array", "items": { "type": "string" } }, "approved": { "type": "boolean" },
        }));
        let kinds: Vec<_> = fields.iter().map(|it| (it.path.as_str(), it.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("a_name", Kind::Text),
                ("b", Kind::Number),
                ("c", Kind::Choice),
                ("d", Kind::Boolean),
                ("e", Kind::Json),
                ("f", Kind::Lines),
                ("g", Kind::List),
            ]
        );
        assert_eq!((&*fields[0].label, fields[1].required), ("A name", true));
        assert_eq!(fields[2].read("1"), Some(Ok(json!(1))), "a choice keeps its type");
        assert_eq!(fields[6].read("x\n\n y"), Some(Ok(json!(["x", "y"]))));
        assert_eq!(fields[4].read("{"), Some(Err("must be JSON")));
        assert_eq!(fields[1].read(" "), None);
    }

    #[test]
    fn a_form_without_properties_is_one_field_for_json() {
        let fields = fields_of(br#"{"form_schema":{"type":"object"}}"#);
        assert_eq!((fields.len(), fields[0].kind), (1, Kind::Json));
        assert_eq!(fields[0].read("[1]"), Some(Err("must be JSON")));
        assert!(fields_of(br#"{"title":"x"}"#).is_empty());
    }
}
