//! A stand-in for the part of Intercom's REST API that a subscription hub uses: contacts, data attributes, events, and
//! the OAuth code exchange.
//!
//! Point the hub's `PAIDUP_INTERCOM_API_URL` at [`Intercom::api_url`] and give the destination [`Intercom::token`]. It
//! refuses what Intercom refuses, drops what Intercom drops, and says in its report what a well-behaved client would
//! not have sent. [`workspace::Workspace`] is the same without a socket: a test that needs a hundred thousand contacts
//! asks it directly. Companies, tags, conversations and webhooks are not played.
//! Pages: Intercom's API reference 2.14, "Setting up OAuth", "Rate Limiting", "HTTP Responses", "Error Codes".

mod answer;
mod attributes;
mod contacts;
mod events;
mod oauth;
mod search;
#[cfg(test)]
mod tests;
mod windows;
pub mod workspace;

pub use contacts::Contact;
pub use events::Noted;
pub use workspace::{Fault, Report, Workspace};

use crate::edge::Clock;
use crate::standins::Server;
use crate::standins::limits::Limit;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use std::ops::Deref;

/// How it is started.
#[derive(Debug, Clone)]
pub struct IntercomOptions {
    /// Calls of this app in a window. Intercom's default of 10,000 a minute, spread over windows of 10 s.
    pub limit: Limit,
    /// Where time comes from.
    pub clock: Clock,
    /// 0 for a free one.
    pub port: u16,
    /// What `/me` says: `US`, `EU`, `AU`.
    pub region: &'static str,
    /// The version that the app is set to: it holds for calls without `Intercom-Version`.
    pub app_version: &'static str,
    /// New contacts appear in search so much later, in milliseconds.
    pub search_lag_ms: i64,
}

impl Default for IntercomOptions {
    fn default() -> Self {
        IntercomOptions {
            limit: Limit { calls: 1_666, span_ms: 10_000 },
            clock: Clock::System,
            port: 0,
            region: "US",
            app_version: "2.11",
            search_lag_ms: 120_000,
        }
    }
}

/// The running stand-in. Everything that can be asked of its [`Workspace`] can be asked of it.
#[derive(Debug)]
pub struct Intercom {
    workspace: Workspace,
    server: Server,
}

/// Far above any request of a hub.
const MAX_BODY: usize = 1024 * 1024;

impl Intercom {
    /// Starts an empty workspace.
    pub async fn start(options: IntercomOptions) -> std::io::Result<Intercom> {
        let port = options.port;
        let workspace = Workspace::new(options);
        let router = Router::new().fallback(serve).with_state(workspace.clone());
        let server = Server::start(router, port).await?;
        Ok(Intercom { workspace, server })
    }

    /// What stands for `https://api.intercom.io`.
    #[must_use]
    pub fn api_url(&self) -> String {
        self.server.url()
    }

    /// What stands for `https://app.intercom.com/oauth`: whoever opens it has agreed already.
    #[must_use]
    pub fn oauth_url(&self) -> String {
        format!("{}/oauth", self.server.url())
    }
}

impl Deref for Intercom {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.workspace
    }
}

async fn serve(State(workspace): State<Workspace>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let played = workspace.answer(&http::Request::from_parts(parts, body));
    tokio::time::sleep(played.after).await;
    match played.response {
        Some(response) => response.map(Body::from),
        // Hangs: whoever asked gives up first.
        None => std::future::pending().await,
    }
}
