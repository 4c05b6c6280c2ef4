//! Connecting a destination by OAuth: a key begins it, the person's browser finishes it.

use crate::api::destinations::DestinationAnswer;
use crate::auth::{Authorized, Write};
use crate::extract::{Json, Path, Query};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_lifecycle::ids::DestinationId;
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

/// What is to be connected.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectRequest {
    /// For people; of a new destination. Absent: the type's name.
    #[serde(default)]
    name: Option<String>,
    /// Settings of the type but for those that connecting brings; of a new destination.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    config: Option<Box<RawValue>>,
}

/// A connection that was begun.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectAnswer {
    /// Open this in a browser and agree.
    url: String,
    /// Until when.
    #[schema(value_type = String)]
    expires_at: Timestamp,
    /// Where the browser comes back to: register this with your app.
    redirect_uri: String,
}

/// Begins to connect a destination: a new one (`{id}` is the type, `intercom`), or one that there is (`{id}` is its id).
/// Open the answered `url` in a browser within ten minutes.
#[utoipa::path(post, path = "/v1/destinations/{id}/connect", tag = "destinations",
    params(("id" = String, Path, description = "A type that can be connected (`intercom`), or a destination's id")), request_body = ConnectRequest,
    responses((status = 200, body = ConnectAnswer), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "The app's settings are missing, or the public URL is not https")))]
pub(crate) async fn begin(
    State(hub): State<Hub>,
    caller: Authorized<Write>,
    Path(text): Path<String>,
    Json(request): Json<ConnectRequest>,
) -> Result<axum::Json<ConnectAnswer>, Problem> {
    let begun = match text.parse::<DestinationId>() {
        Ok(_) if request.name.is_some() || request.config.is_some() => {
            let detail = "a destination that there is keeps its name and settings; change them with PATCH";
            return Err(Problem::invalid(if request.name.is_some() { "/name" } else { "/config" }, detail));
        }
        Ok(id) => hub.begin_reconnect(&caller.0, id).await?,
        Err(_) => {
            let config = request.config.unwrap_or_else(super::sources::empty);
            hub.begin_connect(&caller.0, &text, request.name.as_deref().unwrap_or(&text), &config)?
        }
    };
    Ok(axum::Json(ConnectAnswer { url: begun.url, expires_at: begun.until, redirect_uri: begun.redirect_uri }))
}

/// What the vendor's page sends back with the browser.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct CallbackQuery {
    /// Ties it to what was begun.
    #[serde(default)]
    state: String,
    /// To be exchanged for a token.
    #[serde(default)]
    code: String,
}

/// A destination that was connected.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectedAnswer {
    /// What happened, in words.
    message: String,
    /// With whom.
    account: String,
    /// The destination.
    destination: DestinationAnswer,
}

/// Where the vendor's page sends the browser: finishes what was begun. The state is the caller's proof; it is good once.
#[utoipa::path(get, path = "/v1/destinations/{id}/callback", tag = "destinations", security(()),
    params(("id" = String, Path, description = "The type"), CallbackQuery),
    responses((status = 200, body = ConnectedAnswer), (status = 401, body = Problem, description = "The state is not good (any more)"),
        (status = 422, body = Problem, description = "The vendor did not give a token, with its reason")))]
pub(crate) async fn finish(
    State(hub): State<Hub>,
    Path(kind): Path<String>,
    Query(query): Query<CallbackQuery>,
) -> Result<Response, Problem> {
    let connected = hub.finish_connect(&kind, &query.state, &query.code).await?;
    let destination = DestinationAnswer::from(connected.view);
    let message = format!("{} is connected; this window can be closed", connected.account);
    let answer = ConnectedAnswer { message, account: connected.account, destination };
    let mut response = (StatusCode::OK, axum::Json(answer)).into_response();
    // The address of this page holds the code and the state.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}
