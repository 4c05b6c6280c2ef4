//! `paidup serve`: the hub, until it is told to stop.

use anyhow::{Context, Result};
use paidup_hub::Hub;
use paidup_hub::clock::{SystemChance, SystemClock};
use paidup_hub::config::{Config, LogFormat};
use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// How long requests that are under way may take after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct Arguments {}

/// A hub that listens.
pub(crate) struct Running {
    /// The hub.
    pub(crate) hub: Hub,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    closing: CancellationToken,
}

/// Opens the database, the hub and the socket, and starts all loops.
pub(crate) async fn start(mut config: Config) -> Result<Running> {
    survive_file_limits()?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("cannot listen on {}; is another program there? Set PAIDUP_LISTEN to another address", config.listen)
    })?;
    let address = listener.local_addr()?;
    config.listen = address;
    let url = config.database_url.expose().clone();
    let store = paidup_store::open(&url, paidup_store::OpenOptions::default()).await?;
    let hub = Hub::open(config, store, Arc::new(SystemClock), Arc::new(SystemChance)).await?;
    hub.start().await?;
    let closing = CancellationToken::new();
    let server = tokio::spawn(paidup_web::serve(listener, hub.clone(), closing.clone().cancelled_owned()));
    Ok(Running { hub, address, server, closing })
}

/// A limit on the size of files ends a program by a signal. With a handler in place a write fails instead, which the
/// store takes as it takes a full disk.
fn survive_file_limits() -> Result<()> {
    // The handler stays for as long as the program runs; what it would tell is not needed.
    let _ = signal(SignalKind::from_raw(libc::SIGXFSZ))?;
    Ok(())
}

impl Running {
    /// Takes in nothing more, finishes what is under way, saves, closes.
    pub(crate) async fn stop(self) -> Result<()> {
        self.closing.cancel();
        if tokio::time::timeout(DRAIN, self.server).await.is_err() {
            tracing::warn!("requests were still open when the time for draining was over");
        }
        self.hub.stop().await?;
        Ok(())
    }
}

pub(crate) async fn run(config: Config, _arguments: Arguments) -> Result<ExitCode> {
    log_to_stderr(&config)?;
    let running = start(config).await?;
    println!("listening on http://{}", running.address);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), address = %running.address, "the hub is running");
    asked_to_stop()?.await;
    tracing::info!("stopping: what is under way is finished first");
    running.stop().await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Logs go to stderr, so that stdout holds what scripts read.
pub(crate) fn log_to_stderr(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log).context("PAIDUP_LOG cannot be read")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => {
            let colours =
                std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colours).init();
        }
    }
    Ok(())
}

/// Resolves on SIGTERM or SIGINT.
pub(crate) fn asked_to_stop() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
