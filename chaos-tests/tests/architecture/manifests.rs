//! Which crate may depend on which, by the manifests.

use std::fs;
use std::path::Path;

/// A crate: its folder and all dependencies, those of tests and builds included.
#[derive(Debug)]
pub(crate) struct Manifest {
    folder: &'static str,
    dependencies: Vec<String>,
}

const CHAOS: &str = "chaos-tests";
const SIM: &str = "chaos-tests/sim";

/// Dependencies that only the named folders may have.
const RESERVED: &[(&str, &[&str], &str)] = &[
    ("axp-proto", &["raft-store", "node", "gateway", "cli", CHAOS, SIM], "all build on proto"),
    ("axp-raft-store", &["node", CHAOS, SIM], "storage is reached through a node"),
    ("axp-node", &["cli", CHAOS, SIM], "a node is embedded only by `axp dev` and the simulation"),
    ("axp-gateway", &["cli", CHAOS, SIM], "and so is a gateway"),
    ("axp-cli", &[], "nobody builds on the command line"),
    ("axp-chaos-tests", &[SIM], "chaos-tests may see all, and nobody but its simulation sees it"),
    ("fjall", &["raft-store"], "engines live in raft-store"),
    ("sled", &["raft-store"], "engines live in raft-store"),
    ("openraft", &["raft-store", "node"], "openraft is an alpha: two crates follow its changes"),
    ("ractor", &["node"], "actors are the node's way of working"),
    ("fuser", &[CHAOS], "only tests mount file systems"),
    ("turmoil", &[SIM], "simulated time and sockets stay out of what ships"),
    (
        "mad-turmoil",
        &[SIM],
        "it takes the place of libc's clock and randomness in the whole program",
    ),
];

pub(crate) fn read_all(workspace: &Path) -> Vec<Manifest> {
    ["proto", "raft-store", "node", "gateway", "cli", CHAOS, SIM]
        .map(|folder| {
            let text = fs::read_to_string(workspace.join(folder).join("Cargo.toml")).unwrap();
            parse(folder, &text)
        })
        .into()
}

fn parse(folder: &'static str, text: &str) -> Manifest {
    let mut dependencies = Vec::new();
    let mut in_dependencies = false;
    for line in text.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            in_dependencies = table.ends_with("dependencies");
            // `[dependencies.name]`, also of a target.
            if let Some((_, name)) = table.split_once("dependencies.") {
                dependencies.push(name.to_owned());
            }
        } else if in_dependencies && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            if !name.is_empty() {
                dependencies.push(name.to_owned());
            }
        }
    }
    Manifest { folder, dependencies }
}

pub(crate) fn check(manifests: &[Manifest]) -> Vec<String> {
    let mut violations = Vec::new();
    for manifest in manifests {
        for (name, allowed, why) in RESERVED {
            let has = manifest.dependencies.iter().any(|dependency| dependency == name);
            // A crate's tests may ask for its own test features.
            let is_itself = name.strip_prefix("axp-") == Some(manifest.folder);
            if has && !is_itself && !allowed.contains(&manifest.folder) {
                violations.push(format!("{} depends on {name}: {why}", manifest.folder));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reservation_can_fail() {
        for (name, _, _) in RESERVED {
            let text =
                format!("[package]\nname = \"x\"\n[dev-dependencies]\n{name}.workspace = true\n");
            assert_eq!(check(&[parse("elsewhere", &text)]).len(), 1, "{name}");
        }
    }

    #[test]
    fn dependencies_are_found_in_each_way_of_writing() {
        let text = "[dependencies]\na = \"1\"\nb.workspace = true\n# c = \"1\"\n\
                    [target.'cfg(unix)'.dependencies.d]\nversion = \"1\"\n[lints]\ne = true\n";
        assert_eq!(parse("node", text).dependencies, ["a", "b", "d"]);
    }
}
