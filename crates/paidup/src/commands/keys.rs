//! `paidup keys`: makes, lists and revokes API keys; through the running hub when there is one.

use super::running_hub::RunningHub;
use anyhow::{Context, Result};
use clap::Subcommand;
use paidup_hub::Hub;
use paidup_hub::clock::{SystemChance, SystemClock};
use paidup_hub::config::Config;
use paidup_hub::keys::Scope;
use paidup_store::StoreError;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;

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
    /// Makes a key and shows it, this once.
    Create {
        /// For people.
        #[arg(long)]
        name: String,
        /// What it may do: read, write, admin, ingest, portal. Several by commas.
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
    },
    /// Lists keys, without the keys themselves.
    List,
    /// Makes a key worthless, at once.
    Revoke {
        /// The key's id, from `list`.
        id: String,
    },
}

pub(crate) async fn run(config: Config, arguments: Arguments) -> Result<ExitCode> {
    let url = config.database_url.expose().clone();
    let answer = match paidup_store::open(&url, paidup_store::OpenOptions::default()).await {
        Ok(store) => {
            let hub = Hub::open(config, store, Arc::new(SystemClock), Arc::new(SystemChance)).await?;
            let answer = by_ourselves(&hub, arguments.action).await;
            hub.stop().await?;
            answer?
        }
        Err(StoreError::InUse(_)) => by_running_hub(&RunningHub::find(&config)?, arguments.action)
            .await
            .context("another program uses this database, so it was asked")?,
        Err(error) => return Err(error.into()),
    };
    print(&answer, arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

async fn by_ourselves(hub: &Hub, action: Action) -> Result<Value> {
    Ok(match action {
        Action::Create { name, scopes } => {
            let made = hub.create_key(&name, &scopes, None).await?;
            json!({"id": made.record.id, "name": made.record.name, "scopes": made.record.scopes, "key": made.key.expose()})
        }
        Action::List => {
            let keys = hub.list_keys().await?;
            let rows: Vec<Value> = keys
                .iter()
                .map(|key| json!({"id": key.id, "name": key.name, "scopes": key.scopes, "created_at": key.created_at, "expires_at": key.expires_at}))
                .collect();
            json!({ "data": rows })
        }
        Action::Revoke { id } => {
            hub.revoke_key(id.parse()?).await?;
            json!({"revoked": id})
        }
    })
}

async fn by_running_hub(hub: &RunningHub, action: Action) -> Result<Value> {
    match action {
        Action::Create { name, scopes } => {
            let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            hub.call("POST", "/v1/keys", Some(&json!({"name": name, "scopes": scopes}))).await
        }
        Action::List => hub.call("GET", "/v1/keys", None).await,
        Action::Revoke { id } => {
            hub.call("DELETE", &format!("/v1/keys/{id}"), None).await?;
            Ok(json!({"revoked": id}))
        }
    }
}

fn print(answer: &Value, as_json: bool) -> Result<()> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(answer)?);
    } else if let Some(rows) = answer["data"].as_array() {
        if rows.is_empty() {
            println!("no keys yet; make one with: paidup keys create --name NAME --scopes read");
        }
        for row in rows {
            let scopes: Vec<&str> = row["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            println!("{}  {}  {}  since {}", text("id"), text("name"), scopes.join(","), text("created_at"));
        }
    } else if let Some(key) = answer["key"].as_str() {
        println!("{key}");
        eprintln!("{} was made; the key above is shown this once", answer["id"].as_str().unwrap_or_default());
    } else {
        println!("revoked {}", answer["revoked"].as_str().unwrap_or_default());
    }
    Ok(())
}
