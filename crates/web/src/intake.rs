//! Store notifications: bounds the body, hands it to the hub, answers in the vendor's own form.

use crate::auth::bearer;
use crate::extract::{Path, read_bounded};
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_hub::intake::{IntakeError, Sender};
use paidup_hub::keys::Scope;
use paidup_lifecycle::ids::SourceId;
use paidup_sources::{Proof, RawRequest};

/// Takes in a notification. The vendor's own success status comes only when it is durable; a repeat answers the same.
#[utoipa::path(
    post, path = "/ingest/{source_id}", tag = "ingest",
    params(("source_id" = String, Path, description = "The source's id, from its `ingest_url`")),
    request_body(content = serde_json::Value, description = "What the store sends; for a generic source one observation or an array of at most 1,000"),
    responses(
        (status = 200, description = "Durable, or a repeat of one that is"),
        (status = 400, description = "Malformed", body = Problem), (status = 401, description = "Forged", body = Problem),
        (status = 403, description = "Not allowed to send here", body = Problem), (status = 404, description = "No such source", body = Problem),
        (status = 413, description = "Too large", body = Problem), (status = 422, description = "For another app or environment, or facts that cannot be", body = Problem),
        (status = 503, description = "It cannot be kept now; send it again", body = Problem)
    )
)]
pub(crate) async fn ingest(
    State(hub): State<Hub>,
    Path(source_id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let source_id: SourceId = source_id.parse().map_err(|_| Problem::not_found("source"))?;
    let definition = hub.sources().get(source_id).ok_or_else(|| Problem::not_found("source"))?.definition;
    let (parts, body) = request.into_parts();
    let sender = match definition.proof {
        Proof::Store => Sender::Anonymous,
        Proof::Key => sender_by_key(&hub, &parts.headers).await?,
    };
    let body = read_bounded(body, definition.max_body).await?;
    let accepted = hub.intake(source_id, RawRequest { headers: parts.headers, body }, &sender).await?;
    let status = StatusCode::from_u16(accepted.status).unwrap_or(StatusCode::OK);
    let mut answer = (status, Body::empty()).into_response();
    if status == StatusCode::NO_CONTENT {
        // Discord wants a content type on its 204, although there is no content.
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(answer)
}

async fn sender_by_key(hub: &Hub, headers: &axum::http::HeaderMap) -> Result<Sender, Problem> {
    let Some(key) = bearer(headers) else {
        let detail = "send a key with scope `ingest`: `Authorization: Bearer <key>`";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    };
    match hub.authenticate(key).await? {
        None => Err(Problem::new(StatusCode::UNAUTHORIZED, "this key is not known, was revoked or has expired")),
        Some(principal) if !principal.may(Scope::Ingest) => {
            Err(Problem::new(StatusCode::FORBIDDEN, "this key lacks the scope `ingest`"))
        }
        Some(principal) => Ok(Sender::Key(principal)),
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Problem {
        match error {
            IntakeError::UnknownSource => Problem::not_found("source"),
            IntakeError::Rejected(rejection) => {
                let status = StatusCode::from_u16(rejection.kind.status()).unwrap_or(StatusCode::BAD_REQUEST);
                let problem = Problem::new(status, rejection.detail.clone());
                match rejection.pointer {
                    Some(pointer) => problem.at(pointer, rejection.detail),
                    None => problem,
                }
            }
            IntakeError::Unavailable(why) => {
                Problem::unavailable(format!("this cannot be kept now: {why}; nothing of it was kept; send it again"))
            }
            IntakeError::Failed => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the hub failed on this notification and kept nothing of it; its log says why",
            ),
        }
    }
}
