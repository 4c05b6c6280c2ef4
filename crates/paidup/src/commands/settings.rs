//! `paidup settings`: every setting with its default and meaning, from the table that reads them.

use anyhow::Result;
use paidup_hub::config::SETTINGS;
use serde_json::json;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.json {
        let list: Vec<_> = SETTINGS
            .iter()
            .map(|one| json!({"name": one.name, "default": one.default, "help": one.help, "secret": one.secret}))
            .collect();
        println!("{}", serde_json::to_string_pretty(&list)?);
        return Ok(ExitCode::SUCCESS);
    }
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { String::new() } else { format!(" [{}]", setting.default) };
        println!("{}{default}\n    {}", setting.name, setting.help);
    }
    Ok(ExitCode::SUCCESS)
}
