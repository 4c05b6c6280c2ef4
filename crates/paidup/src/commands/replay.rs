//! `paidup replay`: tells one event again, through the running hub.

use super::running_hub::RunningHub;
use anyhow::Result;
use paidup_hub::config::Config;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The event's id.
    event: String,
    /// Only to this destination.
    #[arg(long)]
    destination: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(config: Config, arguments: Arguments) -> Result<ExitCode> {
    let hub = RunningHub::find(&config)?;
    let body = json!({ "destination": arguments.destination });
    let answer = hub.call("POST", &format!("/v1/events/{}/replay", arguments.event), Some(&body)).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        let told: Vec<&str> =
            answer["destinations"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        println!("{} is told again to: {}", arguments.event, told.join(" "));
    }
    Ok(ExitCode::SUCCESS)
}
