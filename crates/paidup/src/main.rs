//! Paidup: a self-hosted subscription event hub. One program; `commands` has a file for each of its commands.

// A program prints: that is what its user reads.
#![allow(clippy::print_stdout)]

mod commands;

use clap::Parser;
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A notification is some hundreds of small pieces, made on one thread and often dropped on another.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // clap answers --help and --version itself, and ends with 2 on wrong usage.
    let arguments = commands::Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("paidup: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(arguments)) {
        Ok(code) => code,
        Err(error) => {
            // The chain is printed once, here.
            eprintln!("paidup: {error:#}");
            ExitCode::FAILURE
        }
    }
}
