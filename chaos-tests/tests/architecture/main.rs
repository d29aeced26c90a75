//! The walls between the crates and inside the node, kept by reading manifests and paths in code.
//!
//! Which crate may know which is decided in `docs/architecture.md`. A rule here says what is
//! forbidden and why; `source` finds the paths that a file uses. Each rule is also run against planted
//! text, so that this test is known to be able to fail.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says where it failed")]

mod manifests;
mod mutants;
mod rules;
mod source;

use std::path::{Path, PathBuf};

use rules::Rule;
use source::SourceFile;

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate lies in the workspace").to_owned()
}

fn report(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn paths_in_code_stay_behind_the_walls() {
    let files = source::read_all(&workspace());
    assert!(files.len() > 50, "only {} source files found", files.len());
    report(&files.iter().flat_map(rules::check).collect::<Vec<_>>());
}

#[test]
fn every_rule_applies_to_some_file() {
    let files = source::read_all(&workspace());
    for rule in rules::ALL {
        let applies = files.iter().any(|file| rule.applies_to(&file.path));
        assert!(applies, "no file is under the rule on {:?}: moved or renamed?", rule.within);
    }
}

#[test]
fn manifests_stay_behind_the_walls() {
    report(&manifests::check(&manifests::read_all(&workspace())));
}

#[test]
fn nothing_that_ships_has_seeded_bugs() {
    let folders = ["", "proto", "raft-store", "node", "gateway", "cli", "chaos-tests"];
    let manifests = folders.map(|folder| workspace().join(folder).join("Cargo.toml"));
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let in_manifests = manifests
        .iter()
        .flat_map(|path| mutants::check_manifest(&path.display().to_string(), &read(path)));
    let recipes = mutants::recipes(&workspace());
    assert!(recipes.iter().any(|(name, _)| name.ends_with("Dockerfile")), "no Dockerfile found");
    let in_recipes = recipes.iter().flat_map(|(name, text)| mutants::check_recipe(name, text));
    report(&in_manifests.chain(in_recipes).collect::<Vec<_>>());
}

#[test]
fn every_rule_can_fail() {
    for rule in rules::ALL {
        let path = rule.planted_path();
        let file = SourceFile::parse(&path, &format!("use std::fmt;\n{};\n", rule.planted_use()));
        let found = rules::check(&file);
        assert!(!found.is_empty(), "nothing found in {path}: {}", rule.planted_use());
        assert!(found.iter().any(|text| text.contains(rule.why)), "{found:?}");
    }
}

#[test]
fn a_rule_leaves_its_exceptions_alone() {
    let engine = SourceFile::parse("raft-store/src/engine/fjall.rs", "use fjall::Database;");
    assert_eq!(rules::check(&engine), Vec::<String>::new());
    let wrong_place = SourceFile::parse("raft-store/src/log_store.rs", "use fjall::Database;");
    assert_eq!(rules::check(&wrong_place).len(), 1);
    let inline = SourceFile::parse("gateway/src/http/intents.rs", "let x = openraft::Raft::new();");
    assert_eq!(rules::check(&inline).len(), 1);
}

/// Rules are data; this keeps the data in reach of the reader of a failure.
#[test]
fn every_rule_says_why() {
    let too_short = |rule: &&Rule| rule.why.len() < 20;
    assert!(rules::ALL.iter().find(too_short).is_none());
}
