//! What Intercom answers: a status, a body, and errors in its words ("HTTP Responses", "Error Codes").

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LINK, LOCATION};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// An answer under construction.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Null: none.
    pub(super) body: Value,
    /// Where a merged contact went, or where the browser goes.
    pub(super) pointer: Option<String>,
}

impl Answer {
    pub(super) const fn ok(body: Value) -> Answer {
        Answer { status: StatusCode::OK, body, pointer: None }
    }

    pub(super) const fn accepted() -> Answer {
        Answer { status: StatusCode::ACCEPTED, body: Value::Null, pointer: None }
    }

    pub(super) const fn redirect(to: String) -> Answer {
        Answer { status: StatusCode::FOUND, body: Value::Null, pointer: Some(to) }
    }

    pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Answer {
        let errors = json!([{"code": code, "message": message, "field": null}]);
        let body = json!({"type": "error.list", "request_id": "simulated", "errors": errors});
        Answer { status, body, pointer: None }
    }

    pub(super) fn invalid(message: &str) -> Answer {
        Answer::error(StatusCode::BAD_REQUEST, "parameter_invalid", message)
    }

    pub(super) fn missing(message: &str) -> Answer {
        Answer::error(StatusCode::BAD_REQUEST, "parameter_not_found", message)
    }

    pub(super) fn conflict(message: &str) -> Answer {
        Answer::error(StatusCode::CONFLICT, "conflict", message)
    }

    pub(super) fn not_found(message: &str) -> Answer {
        Answer::error(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// An outage, with the code that Intercom's table gives to the status.
    pub(super) fn of_status(status: StatusCode) -> Answer {
        let code = match status.as_u16() {
            401 => "unauthorized",
            403 => "forbidden",
            404 => "not_found",
            408 => "request_timeout",
            409 => "resource_conflict",
            422 => "unprocessable_entity",
            // The other one, `rate_limit_exceeded`, is for windows.
            429 => "too_many_requests",
            503 => "service_unavailable",
            504 => "server_timeout",
            500.. => "server_error",
            _ => "client_error",
        };
        Answer::error(status, code, "the stand-in was told to answer this")
    }

    pub(super) fn into_response(self) -> http::Response<Bytes> {
        let mut response = http::Response::new(Bytes::new());
        *response.status_mut() = self.status;
        if !self.body.is_null() {
            *response.body_mut() = Bytes::from(self.body.to_string());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        }
        if let Some(pointer) = self.pointer.and_then(|text| HeaderValue::from_str(&text).ok()) {
            let name = if self.status.is_redirection() { LOCATION } else { LINK };
            response.headers_mut().insert(name, pointer);
        }
        response
    }
}
