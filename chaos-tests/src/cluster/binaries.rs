//! Where the programs under test are.
//!
//! `AXP_BIN_DIR` names a folder with `axp-node` and `axp-gateway`, and `AXP_CHAOS_OTHER_BIN_DIR` one with
//! another version of both, where versions are mixed. Otherwise they lie in the folder
//! of the profile that this program was built with, `target/<profile>`. Cargo does not build other
//! packages' binaries for a test (`CARGO_BIN_EXE_*` exists only for one's own), so a test calls
//! [`Binaries::locate_or_build`], which asks cargo for them in the same profile; that is quick when
//! they are up to date, and makes sure that a test never runs against yesterday's program.

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

    /// Builds in the profile of this program, unless `AXP_BIN_DIR` says what to use.
    ///
    /// # Errors
    /// When the build fails.
    pub fn locate_or_build() -> anyhow::Result<Self> {
        if std::env::var_os("AXP_BIN_DIR").is_none() {
            build(&profile_folder()?)?;
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

fn build(profile_folder: &Path) -> anyhow::Result<()> {
    cargo_build(profile_folder, &["--package", "axp-node", "--package", "axp-gateway"])
}

/// Builds an example program of one of our crates in the profile of this program.
///
/// # Errors
/// When the build fails.
pub fn build_example(package: &str, name: &str) -> anyhow::Result<PathBuf> {
    let folder = profile_folder()?;
    cargo_build(&folder, &["--package", package, "--example", name])?;
    Ok(folder.join("examples").join(name))
}

fn cargo_build(profile_folder: &Path, what: &[&str]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace")?;
    let mut command = Command::new(cargo);
    command.current_dir(workspace).args(["build", "--quiet"]).args(what);
    // The folder of the dev profile is called `debug`; all others are called like their profile.
    match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            command.args(["--profile", profile]);
        }
    }
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo build {}: {status}", what.join(" "));
    }
    Ok(())
}
