//! Seeded bugs stay out of what ships: no manifest and no recipe enables the feature.

use std::fs;
use std::path::Path;

const FEATURE: &str = "mutants";

/// Lines of manifests that name the feature, as they may: the definition itself.
const DEFINITIONS: [&str; 2] = ["mutants = []", "mutants = [\"axp-proto/mutants\"]"];
/// What is built from, with the folders in which everything counts.
const RECIPES: [&str; 6] = ["Dockerfile", "Makefile", ".ci", "helm", "e2e", "examples"];
/// Larger files are no recipes.
const RECIPE_BYTES_MAX: u64 = 1024 * 1024;

/// What is wrong with a manifest.
pub(crate) fn check_manifest(name: &str, text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines
        .filter(|line| line.contains(FEATURE) && !DEFINITIONS.contains(line))
        .map(|line| format!("{name} enables seeded bugs: {line}"))
        .collect()
}

/// What is wrong with a recipe: it passes the feature to cargo, or all features.
pub(crate) fn check_recipe(name: &str, text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines
        .filter(|line| {
            let features = line.contains("--features") || line.contains(" -F");
            line.contains("--all-features")
                || (features && line.contains(FEATURE))
                || line.contains("AXP_MUTANT")
        })
        .map(|line| format!("{name} builds or runs with seeded bugs: {line}"))
        .collect()
}

/// Every recipe below `workspace`.
pub(crate) fn recipes(workspace: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<_> = RECIPES.iter().map(|name| workspace.join(name)).collect();
    while let Some(path) = open.pop() {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            let inside = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
            open.extend(inside.filter(|path| !path.ends_with("node_modules")));
        } else if path.metadata().is_ok_and(|it| it.len() <= RECIPE_BYTES_MAX)
            && let Ok(text) = fs::read_to_string(&path)
        {
            found.push((path.display().to_string(), text));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enabled_feature_is_found_in_each_way_of_writing() {
        for line in [
            "default = [\"mutants\"]",
            "axp-node = { workspace = true, features = [\"mutants\"] }",
            "mutants = [\"axp-proto/mutants\", \"dep:x\"]",
        ] {
            assert_eq!(check_manifest("x", line).len(), 1, "{line}");
        }
        assert_eq!(check_manifest("x", "# mutants\nmutants = []\n"), Vec::<String>::new());
        for line in [
            "cargo build --release --features axp-node/mutants",
            "cargo build -F mutants",
            "cargo build --all-features",
            "ENV AXP_MUTANT=M1",
        ] {
            assert_eq!(check_recipe("x", line).len(), 1, "{line}");
        }
        assert_eq!(check_recipe("x", "cargo build --release"), Vec::<String>::new());
    }
}
