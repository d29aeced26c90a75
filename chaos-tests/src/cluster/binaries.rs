//! Where the programs under test are.
//!
//! `AXP_BIN_DIR` names a folder with `axp-node` and `axp-gateway`, and `AXP_CHAOS_OTHER_BIN_DIR` one with
//! another version of both, where versions are mixed. Otherwise they lie in the folder
//! of the profile that this program was built with, `target/<profile>`. Cargo tells a test only of
//! its own package's programs (`CARGO_BIN_EXE_*`), so a test calls [`build_for_tests`] first, which
//! asks cargo for all that `cargo test --workspace` builds: nothing when that is what runs, and
//! otherwise a test never meets yesterday's program.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// Names the folder of the programs of another version.
pub const OTHER: &str = "AXP_CHAOS_OTHER_BIN_DIR";

/// The programs under test.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub node: PathBuf,
    pub gateway: PathBuf,
    /// Of another version.
    pub other: Option<Box<Self>>,
}

impl Binaries {
    /// Finds what is built.
    ///
    /// # Errors
    /// When something is missing; says how to build it.
    pub fn locate() -> anyhow::Result<Self> {
        let folder = match std::env::var_os("AXP_BIN_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => profile_folder()?,
        };
        let other = std::env::var_os(OTHER).map(|other| Self::in_folder(Path::new(&other)));
        let other = other.transpose()?.map(Box::new);
        Ok(Self { other, ..Self::in_folder(&folder)? })
    }

    /// Builds in the profile of this test, unless `AXP_BIN_DIR` says what to use.
    ///
    /// # Errors
    /// When the build fails.
    pub fn locate_or_build() -> anyhow::Result<Self> {
        if std::env::var_os("AXP_BIN_DIR").is_none() {
            build_for_tests()?;
        }
        Self::locate()
    }

    fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        let [node, gateway] = ["axp-node", "axp-gateway"].map(|name| folder.join(name));
        for binary in [&node, &gateway] {
            if !binary.is_file() {
                bail!(
                    "{} is missing: cargo build -p axp-node -p axp-gateway, in the same profile, \
                     or set AXP_BIN_DIR",
                    binary.display()
                );
            }
        }
        Ok(Self { node, gateway, other: None })
    }
}

/// `target/<profile>`: the folder of this program, or the one above for a test in `deps/`.
fn profile_folder() -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let folder = exe.parent().context("a program lies in a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    Ok(folder.context("deps lies in a profile's folder")?.to_owned())
}

/// Builds what belongs to the tests of the workspace, in the profile of this test.
///
/// # Errors
/// When the build fails.
pub fn build_for_tests() -> anyhow::Result<()> {
    // As the tests themselves are built: other choices are other features, and build everything anew.
    cargo(&["test", "--workspace", "--no-run"])
}

/// Builds an example program in the profile of this program.
///
/// # Errors
/// When the build fails.
pub fn build_example(name: &str) -> anyhow::Result<()> {
    cargo(&["build", "--workspace", "--example", name])
}

/// An example program in the profile of this program.
///
/// # Errors
/// When this program does not know where it lies.
pub fn example(name: &str) -> anyhow::Result<PathBuf> {
    Ok(profile_folder()?.join("examples").join(name))
}

fn cargo(what: &[&str]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace")?;
    let mut command = Command::new(cargo);
    command.current_dir(workspace).args(what).arg("--quiet");
    // The folder of the dev profile is called `debug`; all others are called like their profile.
    match profile_folder()?.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            command.args(["--profile", profile]);
        }
    }
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo {}: {status}", what.join(" "));
    }
    Ok(())
}
