//! Errors as RFC 9457 `application/problem+json`: what failed, in words, and what to do.
//!
//! A handler returns a [`Problem`]; `finish` (the outermost layer) writes it with the request's id. Nothing that an
//! upstream or a database said goes out unseen: details are written here or where the failure is understood (of an
//! unavailable database in the store, where each cause has its words).

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use paidup_hub::HubError;
use paidup_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

/// One thing that is wrong with the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// JSON pointer into the body, or the name of the parameter.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// An error as RFC 9457 describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// A name for the kind of problem that stays the same: `about:blank#not-found`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Box<str>,
    /// The kind in words.
    #[schema(value_type = String)]
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened here and what to do.
    pub detail: String,
    /// What is wrong with the request, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// Names this request in our logs.
    pub request_id: String,
    /// Seconds to wait before trying again.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem with that status and detail.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        let title = status.canonical_reason().unwrap_or("Error");
        Problem {
            kind: format!("about:blank#{}", title.to_ascii_lowercase().replace(' ', "-")).into(),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            request_id: String::new(),
            retry_after: None,
        }
    }

    /// The same with one more fault.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Problem {
        self.errors.push(Fault { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// 400.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 422 about one field.
    #[must_use]
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail.clone()).at(pointer, detail)
    }

    /// 404.
    #[must_use]
    pub fn not_found(what: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, format!("there is no {what} here"))
    }

    /// 503, try again soon.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem { retry_after: Some(5), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::Unavailable(why) => {
                Problem::unavailable(format!("the database cannot be used now: {why}; nothing was changed; try again"))
            }
            StoreError::InUse(_) => {
                Problem::unavailable("another hub is using the database; nothing was changed; try again")
            }
            StoreError::Refused(refused) => Problem::new(
                StatusCode::from_u16(refused.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY),
                refused.detail,
            ),
            StoreError::Corrupt(_) | StoreError::Inconsistent { .. } => {
                tracing::error!(error = %error, "a request met a damaged part of the database");
                let detail = "the part of the database that this needs is damaged; the hub's log says more, and \
                              whatever does not need that part goes on";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
            }
            StoreError::DecisionPanicked(_) => {
                tracing::error!(error = %error, "a request failed inside");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this failed inside the hub; its log says why")
            }
        }
    }
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Problem {
        match error {
            HubError::Refused { status, pointer, detail } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
                let problem = Problem::new(status, detail.clone());
                if pointer.is_empty() { problem } else { problem.at(pointer, detail) }
            }
            HubError::Store(error) => error.into(),
            HubError::Secret(error) => {
                tracing::error!(%error, "a stored credential cannot be read");
                let detail = "a stored credential cannot be read with the present master key; the log says which";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
            }
        }
    }
}

/// Names a request: given by the caller's `X-Request-Id` when it is short and plain, else by us.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// The outermost layer: gives the request its id and writes problems as JSON.
pub(crate) async fn finish(id: RequestId, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id.clone_from(&id.0);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        response = (status, body).into_response();
        response.headers_mut().extend(headers);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = problem.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if problem.status == 401 {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}
