//! Apple's answers: JSON, and errors with a number and a sentence ("Error codes" of the App Store Server API).

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// 200 with JSON.
    Json(Value),
    /// 202 without a body.
    Accepted,
    /// `errorCode` and `errorMessage`; the status is the number's first three digits.
    Error(u32, &'static str),
    /// 429; there is room again at this moment, in milliseconds since 1970.
    Limited(i64),
    /// 401, which is text.
    Unauthenticated,
    /// No such path.
    NoRoute,
}

macro_rules! errors {
    ($($name:ident = $code:literal $message:literal)*) => {
        $(pub(super) const $name: Answer = Answer::Error($code, $message);)*
    };
}

errors! {
    BAD_REQUEST = 4_000_000 "Bad request."
    INVALID_REVISION = 4_000_005 "Invalid request revision."
    INVALID_TRANSACTION = 4_000_006 "Invalid transaction id."
    INVALID_IDENTIFIER = 4_000_011 "Invalid request identifier."
    START_TOO_EARLY = 4_000_012 "Invalid request. The start date is earlier than the allowed start date."
    START_AFTER_END = 4_000_013 "Invalid request. The end date precedes the start date or the dates are the same."
    INVALID_PAGE = 4_000_014 "Invalid request. The pagination token is invalid."
    INVALID_START = 4_000_015 "Invalid request. The start date is invalid."
    INVALID_END = 4_000_016 "Invalid request. The end date is invalid."
    INVALID_TYPE = 4_000_018 "Invalid request. The notification type or subtype is invalid."
    SEVERAL_FILTERS = 4_000_019 "Invalid request. Supply either a transaction id or a notification type, but not both."
    INVALID_TEST_TOKEN = 4_000_020 "Invalid request. The test notification token is invalid."
    INVALID_SORT = 4_000_021 "Invalid request. The sort is invalid."
    INVALID_STATUS = 4_000_031 "Invalid request. The status parameter is invalid."
    INVALID_CONSENT = 4_000_035 "Invalid request. The customer consented field is invalid and must indicate the customer consented."
    INVALID_DELIVERY = 4_000_036 "Invalid request. The delivery status field is invalid."
    INVALID_SAMPLE = 4_000_041 "Invalid request. The sample content provided field is invalid."
    NO_URL = 4_040_007 "No App Store Server Notification URL found for provided app. Check that a URL is configured in App Store Connect for this environment."
    NO_TEST = 4_040_008 "Either the test notification token is expired or the notification and status are not yet available."
    NO_EXTENSION = 4_040_009 "The server didn't find a subscription-renewal-date extension request for this requestIdentifier and productId combination."
    NO_TRANSACTION = 4_040_010 "Transaction id not found."
    INTERNAL = 5_000_001 "An unknown error occurred. Please try again."
}

impl Answer {
    /// The HTTP status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Answer::Json(_) => StatusCode::OK,
            Answer::Accepted => StatusCode::ACCEPTED,
            Answer::Error(code, _) => {
                let status = u16::try_from(code / 10_000).ok().and_then(|status| StatusCode::from_u16(status).ok());
                status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Answer::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            Answer::Unauthenticated => StatusCode::UNAUTHORIZED,
            Answer::NoRoute => StatusCode::NOT_FOUND,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = self.status();
        match self {
            Answer::Json(body) => (status, axum::Json(body)).into_response(),
            Answer::Accepted => status.into_response(),
            Answer::Error(code, message) => {
                (status, axum::Json(json!({"errorCode": code, "errorMessage": message}))).into_response()
            }
            Answer::Limited(until_ms) => {
                let body = json!({"errorCode": 4_290_000, "errorMessage": "Rate limit exceeded."});
                let mut response = (status, axum::Json(body)).into_response();
                // Apple's own use of this header: not seconds but a moment, in milliseconds since 1970 ("Identifying rate
                // limits").
                if let Ok(value) = HeaderValue::from_str(&until_ms.to_string()) {
                    response.headers_mut().insert(RETRY_AFTER, value);
                }
                response
            }
            Answer::Unauthenticated => {
                let mut response = (status, "Unauthenticated\n\nRequest ID: SIMULATED.0.0\n").into_response();
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                response
            }
            Answer::NoRoute => (status, "").into_response(),
        }
    }
}
