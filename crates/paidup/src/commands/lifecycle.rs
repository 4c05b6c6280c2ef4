//! `paidup lifecycle`: the table of transitions that the engine runs, for documents and for eyes.

use anyhow::Result;
use clap::ValueEnum;
use paidup_lifecycle::engine::transitions;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// In which form.
    #[arg(long, value_enum, default_value = "mermaid")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A state diagram that Markdown viewers draw.
    Mermaid,
    /// Every cell of the table, with the reason of those that change nothing.
    Json,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match arguments.format {
        Format::Mermaid => print!("{}", transitions::to_mermaid()),
        Format::Json => println!("{}", serde_json::to_string_pretty(&transitions::to_json())?),
    }
    Ok(ExitCode::SUCCESS)
}
