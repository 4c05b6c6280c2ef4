//! Errors as Discord writes them: `{"code", "message", "errors"?}`.
//! <https://discord.com/developers/docs/reference#error-messages>

use crate::problem::Problem;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use paidup_store::StoreError;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use utoipa::ToSchema;

/// A refusal in Discord's words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    status: StatusCode,
    retry_after: Option<u32>,
    body: DiscordError,
}

/// An error of Discord's API.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct DiscordError {
    /// Discord's number of the error; 0 where it has none.
    code: u32,
    /// In words.
    message: String,
    /// What is wrong with the request: for each parameter `{"_errors": [{"code", "message"}]}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    errors: Option<Value>,
}

impl Refusal {
    /// One of Discord's numbered errors.
    pub(super) fn new(status: StatusCode, code: u32, message: &str) -> Refusal {
        let body = DiscordError { code, message: message.to_owned(), errors: None };
        Refusal { status, retry_after: None, body }
    }

    /// An error that Discord gives no number: `401: Unauthorized`.
    pub(super) fn plain(status: StatusCode) -> Refusal {
        Refusal::new(status, 0, &format!("{}: {}", status.as_u16(), status.canonical_reason().unwrap_or("Error")))
    }

    /// Something that the answer depends on cannot be asked now.
    pub(super) fn unavailable(after: Duration) -> Refusal {
        let seconds = u32::try_from(after.as_secs().max(1)).unwrap_or(u32::MAX);
        Refusal { retry_after: Some(seconds), ..Refusal::plain(StatusCode::SERVICE_UNAVAILABLE) }
    }

    /// Parameters that do not fit.
    pub(super) fn form(errors: Value) -> Refusal {
        let mut refusal = Refusal::new(StatusCode::BAD_REQUEST, 50035, "Invalid Form Body");
        refusal.body.errors = Some(errors);
        refusal
    }

    /// No product has that id.
    pub(super) fn unknown_sku() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, 10027, "Unknown SKU")
    }

    /// ASSUMPTION: Discord publishes no number for it; 100003 is what lists of codes seen in the wild have.
    pub(super) fn unknown_subscription() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, 100_003, "Unknown Subscription")
    }

    /// No purchase gives that entitlement.
    pub(super) fn unknown_entitlement() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, 10029, "Unknown Entitlement")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What our own layers refused. Their words are for our API; Discord's clients know statuses.
impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Refusal { retry_after: problem.retry_after, ..Refusal::plain(status) }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Problem::from(error).into()
    }
}
