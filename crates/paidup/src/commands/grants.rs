//! `paidup grants`: entitlements given by hand, through the running hub.

use super::running_hub::RunningHub;
use anyhow::Result;
use clap::{ArgGroup, Subcommand};
use paidup_hub::config::Config;
use paidup_lifecycle::time::Timestamp;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// As JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Gives a customer an entitlement; for ever, unless an end is named. Both are made if unknown.
    Give {
        /// Any id of the customer.
        customer: String,
        /// What the customer may use.
        entitlement: String,
        #[command(flatten)]
        end: End,
        /// As a trial: it is told as one, and converts when the customer buys what it unlocks.
        #[arg(long)]
        trial: bool,
    },
    /// Moves a running grant's end.
    #[command(group(ArgGroup::new("new end").args(["span", "until", "lifetime"]).required(true)))]
    Extend {
        /// The grant's id, from `give` or `list`.
        grant: String,
        #[command(flatten)]
        end: End,
    },
    /// Takes a grant away now.
    Revoke {
        /// The grant's id, from `give` or `list`.
        grant: String,
    },
    /// Lists a customer's grants, newest first; those that are over too.
    List {
        /// Any id of the customer.
        customer: String,
    },
}

/// When a grant ends.
#[derive(clap::Args)]
#[group(multiple = false)]
struct End {
    /// For how long, as ISO 8601 (P30D, P1M for 30 days, PT12H); with `extend`: how much later than it would end.
    #[arg(long = "for", value_name = "DURATION")]
    span: Option<String>,
    /// Until when, as RFC 3339 (2026-12-31T00:00:00Z).
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// For ever.
    #[arg(long)]
    lifetime: bool,
}

impl End {
    /// As the API takes it.
    fn put_into(self, body: &mut Value) {
        if self.lifetime {
            body["expires_at"] = Value::Null;
        }
        if let Some(span) = self.span {
            body["duration"] = span.into();
        }
        if let Some(until) = self.until {
            body["expires_at"] = json!(until);
        }
    }
}

pub(crate) async fn run(config: Config, arguments: Arguments) -> Result<ExitCode> {
    let hub = RunningHub::find(&config)?;
    let answer = match arguments.action {
        Action::Give { customer, entitlement, end, trial } => {
            let mut body =
                json!({"entitlement": entitlement, "period_type": if trial { "trial" } else { "promotional" }});
            end.put_into(&mut body);
            hub.call("POST", &hub.path(&["v1", "customers", &customer, "grants"])?, Some(&body)).await?
        }
        Action::Extend { grant, end } => {
            let mut body = json!({});
            end.put_into(&mut body);
            hub.call("PATCH", &hub.path(&["v1", "grants", &grant])?, Some(&body)).await?
        }
        Action::Revoke { grant } => hub.call("DELETE", &hub.path(&["v1", "grants", &grant])?, None).await?,
        Action::List { customer } => {
            let customer = hub.call("GET", &hub.path(&["v1", "customers", &customer])?, None).await?;
            json!({ "data": grants_of(&customer) })
        }
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        print(&answer);
    }
    Ok(ExitCode::SUCCESS)
}

/// The grants among a customer's purchases, as the calls that change one answer it.
fn grants_of(customer: &Value) -> Vec<Value> {
    let grants = customer["purchases"].as_array().into_iter().flatten().filter(|purchase| purchase["kind"] == "grant");
    grants
        .map(|grant| {
            json!({
                "id": grant["store_purchase_id"], "customer_id": customer["id"], "entitlements": grant["entitlements"],
                "expires_at": grant["period"]["ends_at"], "purchase": grant,
            })
        })
        .collect()
}

fn print(answer: &Value) {
    match answer["data"].as_array() {
        Some(rows) if rows.is_empty() => println!("no grants"),
        Some(rows) => rows.iter().for_each(|row| println!("{}", line(row))),
        None => println!("{}", line(answer)),
    }
}

/// `grt_... pro active until 2026-12-31T00:00:00Z`
fn line(grant: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entitlements: Vec<&str> =
        grant["entitlements"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let end = grant["expires_at"].as_str().map_or_else(|| "for ever".to_owned(), |end| format!("until {end}"));
    let purchase = &grant["purchase"];
    let trial = if purchase["period_type"] == "trial" { "  trial" } else { "" };
    format!("{}  {}  {}  {end}{trial}", text(&grant["id"]), entitlements.join(","), text(&purchase["state"]))
}
