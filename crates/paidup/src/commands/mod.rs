//! The commands, one file each. Exit codes: 0 ok, 1 failed, 2 usage.

mod backfill;
mod demo;
mod explain;
mod faults;
mod grants;
mod keys;
mod lifecycle;
mod openapi;
mod rebuild;
mod reconcile;
mod replay;
mod running_hub;
mod serve;
mod settings;
mod simulate;

use anyhow::Result;
use clap::{Parser, Subcommand};
use paidup_hub::config::Config;
use std::path::PathBuf;
use std::process::ExitCode;

/// A self-hosted subscription event hub: stores tell it about purchases, it tells Discord and webhooks who is paid up.
#[derive(Parser)]
#[command(name = "paidup", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Settings file (TOML). Variables PAIDUP_* go over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the hub: API, intake, deliveries.
    Serve(serve::Arguments),
    /// Runs a hub with simulated stores and local stand-ins for Discord, Intercom and a webhook receiver.
    Demo(demo::Arguments),
    /// Sends signed store traffic of a simulated population to a running hub.
    Simulate(simulate::Arguments),
    /// Makes, lists and revokes API keys.
    Keys(keys::Arguments),
    /// Gives, extends, revokes and lists entitlements that are given by hand.
    Grants(grants::Arguments),
    /// Says why a customer has access, or has not.
    Explain(explain::Arguments),
    /// Tells events again: one, or a range by time, type, customer or destination.
    Replay(replay::Arguments),
    /// Brings a destination up to date for all customers.
    Backfill(backfill::Arguments),
    /// Compares what is known of a source with its store.
    Reconcile(reconcile::Arguments),
    /// Folds the journal into an empty database and compares.
    Rebuild(rebuild::Arguments),
    /// Prints the table of transitions that the engine runs.
    Lifecycle(lifecycle::Arguments),
    /// Prints the OpenAPI document.
    Openapi,
    /// Lists every setting with its default and meaning.
    Settings(settings::Arguments),
}

/// Runs one command.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let config = arguments.config;
    match arguments.command {
        Command::Serve(arguments) => serve::run(load(config)?, arguments).await,
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Simulate(arguments) => simulate::run(arguments).await,
        Command::Keys(arguments) => keys::run(load(config)?, arguments).await,
        Command::Grants(arguments) => grants::run(load(config)?, arguments).await,
        Command::Explain(arguments) => explain::run(load(config)?, arguments).await,
        Command::Replay(arguments) => replay::run(load(config)?, arguments).await,
        Command::Backfill(arguments) => backfill::run(load(config)?, arguments).await,
        Command::Reconcile(arguments) => reconcile::run(load(config)?, arguments).await,
        Command::Rebuild(arguments) => rebuild::run(load(config)?, arguments).await,
        Command::Lifecycle(arguments) => lifecycle::run(&arguments),
        Command::Openapi => openapi::run(),
        Command::Settings(arguments) => settings::run(&arguments),
    }
}

fn load(file: Option<PathBuf>) -> Result<Config> {
    Ok(Config::load(std::env::vars(), file.as_deref())?)
}
