//! Every success that any test here gets is held to the published schemas, whose facts are in
//! `shapes/table.txt`: the test client calls [`check`] for each answer.

mod notation;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::{Value, json};
use uuid::Uuid;

use self::notation::{Field, Kind, Table};
use crate::harness::World;

/// What answers with something else than a JSON object.
const NO_JSON: [&str; 4] = [
    "GET /v1/intents/{}/events/stream",
    "GET /v1/agents/{}/intents/stream",
    "GET /v1/media/download/{}",
    "GET /v1/media/preview/{}",
];

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::parse(include_str!("shapes/table.txt")))
}

/// Holds the body of a success to the shape of its route, if there is one.
pub(crate) fn check(method: &str, path: &str, body: &[u8]) {
    let path = path.split('?').next().unwrap_or_default();
    let Some((route, fields)) = table().route(method, path) else { return };
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
    // A command that came too late has a shape of its own, whatever the route.
    let stale = body["applied"] == false;
    let fields = if stale { table().object("Stale") } else { fields };
    if let Err(problem) = members(fields, &body) {
        panic!("{route} answers with another shape than was published: {problem}: {body}");
    }
}

fn members(fields: &[Field], value: &Value) -> Result<(), String> {
    let object = value.as_object().ok_or("no object")?;
    for field in fields {
        match object.get(&field.name) {
            None if field.is_required => return Err(format!("{} is missing", field.name)),
            None => {}
            Some(Value::Null) if field.is_nullable => {}
            Some(value) => {
                follow(&field.kind, value)
                    .map_err(|problem| format!("{}: {problem}", field.name))?;
            }
        }
    }
    Ok(())
}

fn follow(kind: &Kind, value: &Value) -> Result<(), String> {
    let text = || value.as_str().ok_or_else(|| "no string".to_owned());
    let require = |holds: bool, problem: &str| if holds { Ok(()) } else { Err(problem.to_owned()) };
    match kind {
        Kind::Any => Ok(()),
        Kind::True => require(value == true, "not true"),
        Kind::Bool => require(value.is_boolean(), "no boolean"),
        Kind::Int(range) => {
            let number = value.as_i64().ok_or("no integer")?;
            require(range.contains(number), "out of range")
        }
        Kind::Text(range, like) => {
            let text = text()?;
            let length = text.chars().count() as i64;
            require(range.contains(length), "too long or too short")?;
            require(like.is_none_or(|like| like.matches(text)), "not like its pattern")
        }
        Kind::Uuid => require(Uuid::try_parse(text()?).is_ok(), "no UUID"),
        Kind::Uri => require(text()?.contains("://"), "no URI"),
        Kind::Instant => require(is_instant(text()?), "no RFC 3339 instant"),
        Kind::OneOf(words) => {
            require(words.iter().any(|word| word == value), "not one of its words")
        }
        Kind::Object(fields) => members(fields, value),
        Kind::Named(name) => members(table().object(name), value),
        Kind::List(range, item) => {
            let items = value.as_array().ok_or("no list")?;
            require(range.contains(items.len() as i64), "too many or too few items")?;
            items.iter().try_for_each(|value| follow(item, value))
        }
    }
}

/// `2025-11-24T16:00:00.123Z`: the strictest official client reads no other zone.
fn is_instant(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range).is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let marks = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    let places = [0..4, 5..7, 8..10, 11..13, 14..16, 17..19];
    text.ends_with('Z')
        && places.into_iter().all(digits)
        && marks.iter().all(|&(at, mark)| text[at..].starts_with(mark))
}

/// A path whose parameters have no names.
fn anonymous(path: &str) -> String {
    let segment =
        |part: &str| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_a_shape() {
    let world = World::new().await;
    let document = world.bare("GET", "/openapi.json").send().await.json();
    let known: BTreeSet<String> = table().routes().map(anonymous).collect();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let operation = format!("{} {}", method.to_uppercase(), anonymous(path));
            assert!(
                known.contains(&operation) || NO_JSON.contains(&operation.as_str()),
                "{operation} has no shape: add it to gateway/tests/it/shapes/table.txt"
            );
        }
    }
}

#[test]
fn a_wrong_answer_is_noticed() {
    let good = json!({
        "ok": true, "user_id": Uuid::nil().to_string(), "owner_agent": "agent://user/1", "nick": "@Ada.L",
        "public_address": "ada.l@ax", "phone": null, "created_at": "2025-11-24T16:00:00.123Z", "more": 1,
    });
    let fields = table().route("POST", "/v1/users/register-nick").unwrap().1;
    assert_eq!(members(fields, &good), Ok(()));
    for (name, value) in [
        ("ok", json!(false)),
        ("user_id", json!("1")),
        ("owner_agent", json!("a")),
        ("nick", json!("Ada.L")),
        ("nick", Value::Null),
        ("phone", json!(5)),
        ("created_at", json!("2025-11-24T16:00:00+01:00")),
        ("created_at", json!("yesterday")),
    ] {
        let mut bad = good.clone();
        bad[name] = value.clone();
        let problem = members(fields, &bad).unwrap_err();
        assert!(problem.starts_with(name), "{name} {value}: {problem}");
    }
    let mut missing = good;
    missing.as_object_mut().unwrap().remove("nick");
    assert_eq!(members(fields, &missing), Err("nick is missing".to_owned()));
}

#[test]
fn routes_are_found_by_path() {
    let route = |method, path| table().route(method, path).map(|(route, _)| route);
    assert_eq!(route("GET", "/v1/inbox/changes"), Some("GET /v1/inbox/changes"));
    assert_eq!(route("GET", "/v1/inbox/1"), Some("GET /v1/inbox/{thread_id}"));
    assert_eq!(route("GET", "/v1/agents/agent://a/b/c"), Some("GET /v1/agents/{address}"));
    assert_eq!(route("GET", "/v1/agents/a/b/c/intents/stream"), None);
    assert_eq!(route("GET", "/v1/media/download/1"), None);
    assert_eq!(route("PUT", "/v1/inbox"), None);
}
