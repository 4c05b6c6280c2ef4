//! Why a customer has access, or has not.

use crate::auth::{Authorized, Read};
use crate::extract::{Path, Query};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use paidup_hub::Hub;
use paidup_hub::explain::{Explanation, Question};
use paidup_hub::keys::Scope;
use paidup_lifecycle::time::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

/// The longest name of an entitlement that is asked about, in bytes.
const MAX_NAME: usize = 255;

/// What is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainQuery {
    /// Which entitlement; absent: whatever the customer may use.
    entitlement: Option<String>,
    /// As of this time; absent: now.
    #[param(value_type = Option<String>)]
    at: Option<Timestamp>,
    /// PRODUCTION (default) or SANDBOX.
    environment: Option<String>,
    /// `true`: with what was received, byte for byte. Needs the scope `admin`.
    bodies: Option<bool>,
}

/// Why there is access or not: each purchase that could give it, what turned it on and off, and what told that, back to the
/// notification. `summary` and `notes` say it in words.
#[utoipa::path(get, path = "/v1/customers/{id}/explain", tag = "customers",
    params(("id" = String, Path, description = "Our id or any alias"), ExplainQuery),
    responses((status = 200, description = "The chain of causes", body = Object), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn explain(
    State(hub): State<Hub>,
    Authorized(caller, _): Authorized<Read>,
    Path(id): Path<String>,
    Query(query): Query<ExplainQuery>,
) -> Result<axum::Json<Explanation>, Problem> {
    let bodies = query.bodies.unwrap_or(false);
    if bodies && !caller.may(Scope::Admin) {
        let detail = "what stores sent is shown to keys with the scope `admin` only; leave out bodies=true";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    if query.entitlement.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_NAME) {
        return Err(Problem::malformed(format!("entitlement has 1 to {MAX_NAME} bytes")));
    }
    let environment = super::events::word("environment", query.environment.as_deref())?;
    let question = Question { entitlement: query.entitlement, environment, at: query.at, bodies };
    Ok(axum::Json(hub.explain(&id, &question).await?))
}
