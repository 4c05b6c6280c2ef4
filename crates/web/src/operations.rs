//! Is it alive, is it ready, how is it: for load balancers and monitoring. And what the API looks like.

use crate::problem::Problem;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use serde::Serialize;
use utoipa::ToSchema;

/// Alive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    /// `ok`
    status: &'static str,
    /// The program's version.
    version: &'static str,
}

/// The process runs.
#[utoipa::path(get, path = "/livez", tag = "operations", responses((status = 200, body = Alive)))]
pub(crate) async fn livez() -> axum::Json<Alive> {
    axum::Json(Alive { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// The hub can take in notifications: its database can be written and it is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses((status = 200, body = Alive), (status = 503, body = Problem)))]
pub(crate) async fn readyz(State(hub): State<Hub>) -> Result<axum::Json<Alive>, Problem> {
    match hub.ready().await {
        Ok(()) => Ok(axum::Json(Alive { status: "ok", version: env!("CARGO_PKG_VERSION") })),
        Err(why) => Err(Problem::unavailable(why.to_string())),
    }
}

/// Figures in the OpenMetrics text form. Without a key, so that a scraper needs none; they name no customer.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses((status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text")))]
pub(crate) async fn metrics(State(hub): State<Hub>) -> Response {
    let text = hub.metrics_text().await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text).into_response()
}
