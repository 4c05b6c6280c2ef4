//! API keys. A key is shown once, when it is made; only its hash is kept.

use crate::auth::{Admin, Authorized};
use crate::extract::{Json, Path};
use crate::paging::List;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_hub::keys::Scope;
use paidup_lifecycle::ids::ApiKeyId;
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::KeyRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRequest {
    /// For people.
    name: String,
    /// `read`, `write`, `admin`, `ingest`, `portal`.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// Until when; absent: for ever.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    expires_at: Option<Timestamp>,
}

/// A key, without the key unless it was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyAnswer {
    /// Its id.
    #[schema(value_type = String)]
    id: ApiKeyId,
    /// For people.
    name: String,
    /// What it may do.
    scopes: Vec<String>,
    /// Since when.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// Until when; null: for ever.
    #[schema(value_type = Option<String>)]
    expires_at: Option<Timestamp>,
    /// The key itself, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeyAnswer {
    fn of(record: KeyRecord, key: Option<String>) -> KeyAnswer {
        KeyAnswer {
            id: record.id,
            name: record.name,
            scopes: record.scopes,
            created_at: record.created_at,
            expires_at: record.expires_at,
            key,
        }
    }
}

/// Makes a key.
#[utoipa::path(post, path = "/v1/keys", tag = "keys", request_body = KeyRequest,
    responses((status = 201, body = KeyAnswer), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(hub): State<Hub>,
    _: Authorized<Admin>,
    Json(request): Json<KeyRequest>,
) -> Result<Response, Problem> {
    let made = hub.create_key(&request.name, &request.scopes, request.expires_at).await?;
    let body = KeyAnswer::of(made.record, Some(made.key.expose().clone()));
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}

/// Lists keys, oldest first.
#[utoipa::path(get, path = "/v1/keys", tag = "keys", responses((status = 200, body = List<KeyAnswer>)))]
pub(crate) async fn list(State(hub): State<Hub>, _: Authorized<Admin>) -> Result<axum::Json<List<KeyAnswer>>, Problem> {
    let keys = hub.list_keys().await?;
    Ok(axum::Json(List::whole(keys.into_iter().map(|record| KeyAnswer::of(record, None)).collect())))
}

/// Revokes a key at once.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = "keys", params(("id" = String, Path)),
    responses((status = 204, description = "Revoked"), (status = 404, body = Problem)))]
pub(crate) async fn revoke(
    State(hub): State<Hub>,
    _: Authorized<Admin>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id: ApiKeyId = id.parse().map_err(|_| Problem::not_found("key"))?;
    hub.revoke_key(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
