//! `axp completion`.

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::command::Cli;
use crate::exit::Exit;
use crate::output;

/// Print a completion script.
///
/// bash: `axp completion bash > ~/.local/share/bash-completion/completions/axp`
/// zsh: `axp completion zsh > "${fpath[1]}/_axp"`
/// fish: `axp completion fish > ~/.config/fish/completions/axp.fish`
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct CompletionArgs {
    shell: Shell,
}

pub(super) fn run(args: &CompletionArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "axp", &mut script);
    output::line(String::from_utf8(script)?.trim_end())?;
    Ok(Exit::Success)
}
