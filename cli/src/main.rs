//! The `axp` command: a development server, a load generator, user and operator commands.
//!
//! Owns the process: arguments, runtime, exit code. What a command does is in `command/`, one per
//! file. stdout carries results only, so that it can be piped; logs and messages go to stderr.

mod api;
mod clock;
mod command;
mod config;
mod exit;
mod failure;
mod history;
mod input;
mod load;
mod next_move;
mod output;
mod sse;
mod task;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::command::Cli;
use crate::exit::Exit;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.wants_json();
    match cli.run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = Exit::of(&error);
            // A reader that has seen enough (`| head`) is no failure, and nobody reads a message.
            if !matches!(exit, Exit::Success) {
                eprintln!("{}", failure::describe(&error, exit, json));
            }
            exit.into()
        }
    }
}
