//! `paidup explain`: why a customer has access or has not, asked of the running hub.

use super::running_hub::RunningHub;
use anyhow::Result;
use paidup_hub::config::Config;
use paidup_lifecycle::time::Timestamp;
use serde_json::Value;
use std::process::ExitCode;
use url::form_urlencoded::Serializer;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Any id of the customer.
    customer: String,
    /// About one entitlement; else about whatever the customer may use.
    #[arg(long)]
    entitlement: Option<String>,
    /// As of a time, as RFC 3339 (2026-12-31T00:00:00Z); else now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Of purchases that were tests.
    #[arg(long)]
    sandbox: bool,
    /// With what stores sent, byte for byte.
    #[arg(long)]
    bodies: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(config: Config, arguments: Arguments) -> Result<ExitCode> {
    let hub = RunningHub::find(&config)?;
    let mut query = Serializer::new(String::new());
    if let Some(entitlement) = &arguments.entitlement {
        query.append_pair("entitlement", entitlement);
    }
    if let Some(at) = arguments.at {
        query.append_pair("at", &at.to_string());
    }
    if arguments.sandbox {
        query.append_pair("environment", "SANDBOX");
    }
    if arguments.bodies {
        query.append_pair("bodies", "true");
    }
    let path = format!("{}?{}", hub.path(&["v1", "customers", &arguments.customer, "explain"])?, query.finish());
    let answer = hub.call("GET", &path, None).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        print(&answer);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(answer: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    println!("{}", text(&answer["summary"]));
    for note in all(&answer["notes"]) {
        println!("  {}", text(&note));
    }
    for purchase in all(&answer["purchases"]) {
        println!("\n{}  {}", text(&purchase["id"]), text(&purchase["summary"]));
        for turn in all(&purchase["turns"]) {
            println!("    {}", text(&turn["summary"]));
            for named in all(&turn["cause"]["notifications"]) {
                if let Some(body) = named["body"].as_str() {
                    println!("      {body}");
                }
            }
        }
    }
}
