//! `docs/endpoints.md` is true: every route is in it, what it calls implemented is, and every test that
//! it names exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::harness::World;

const TABLE: &str = include_str!("../../../docs/endpoints.md");
const ROUTER: &str = include_str!("../../src/http.rs");

struct Row<'a> {
    operation: &'a str,
    is_implemented: bool,
    tests: Vec<&'a str>,
}

fn rows() -> Vec<Row<'static>> {
    let lines = TABLE.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [operation, implemented, tests, _clients] = cells[..] else { panic!("{line}") };
        let tests = tests.split('`').skip(1).step_by(2).collect();
        Row { operation: operation.trim_matches('`'), is_implemented: implemented != "no", tests }
    };
    lines.map(row).collect()
}

/// An operation whose parameters have no names.
fn anonymous(operation: &str) -> String {
    let segment =
        |part: &str| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() };
    operation.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_what_the_openapi_document_says() {
    let world = World::new().await;
    let document = world.bare("GET", "/openapi.json").send().await.json();
    let mut served: BTreeSet<String> =
        ["GET /v1/health", "GET /openapi.json", "GET /t/{}", "POST /t/{}"]
            .map(ToOwned::to_owned)
            .into();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys();
        served.extend(methods.map(|it| anonymous(&format!("{} {path}", it.to_uppercase()))));
    }
    let told: BTreeSet<String> = rows()
        .iter()
        .filter(|row| row.is_implemented)
        .map(|row| anonymous(row.operation))
        .collect();
    let missing: Vec<_> = served.difference(&told).collect();
    let invented: Vec<_> = told.difference(&served).collect();
    assert!(missing.is_empty(), "not in docs/endpoints.md as implemented: {missing:?}");
    assert!(invented.is_empty(), "docs/endpoints.md has what is not served: {invented:?}");
}

#[test]
fn every_path_of_the_router_is_in_the_table() {
    let rows = rows();
    let told: BTreeSet<String> = rows
        .iter()
        .filter(|row| row.is_implemented)
        .filter_map(|row| Some(anonymous(row.operation.split_once(' ')?.1)))
        .collect();
    let routes = ROUTER.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    for path in routes.filter(|path| *path != "/v1/agents/{*rest}") {
        assert!(told.contains(&anonymous(path)), "{path} is not in docs/endpoints.md");
    }
}

#[test]
fn every_test_of_the_table_exists() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for row in rows() {
        assert!(!row.is_implemented || !row.tests.is_empty(), "{}: no test", row.operation);
        for test in &row.tests {
            let (module, name) = test.rsplit_once("::").unwrap_or_else(|| panic!("{test}"));
            let file: PathBuf = here.join(module.replace("::", "/")).with_extension("rs");
            let text =
                std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{test}: {error}"));
            let declaration = format!("fn {name}(");
            let before = text.split(&declaration).next().unwrap();
            let is_test = before.len() < text.len()
                && before.trim_end().lines().rev().take(3).any(|line| line.contains("test"));
            assert!(is_test, "{}: there is no test {test}", row.operation);
        }
    }
}
