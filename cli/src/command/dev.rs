//! `axp dev`.
use crate::exit::Exit;
use clap::Args;
#[derive(Debug, Args)]
pub(crate) struct DevArgs {}
pub(crate) fn run(_args: DevArgs, _json: bool) -> anyhow::Result<Exit> {
    Ok(Exit::Success)
}
