//! How Discord answers: status, headers and body of every kind.

use super::rules::Faults;
use crate::standins::limits::Window;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

/// An answer before it is written.
#[derive(Debug, Clone)]
pub(in crate::standins) struct Answer {
    pub(in crate::standins) status: StatusCode,
    pub(in crate::standins) headers: HeaderMap,
    pub(in crate::standins) body: Content,
}

/// What is in it.
#[derive(Debug, Clone)]
pub(in crate::standins) enum Content {
    Json(Value),
    Html(&'static str),
    None,
    /// The connection ends before the body does.
    Cut,
}

impl Answer {
    pub(in crate::standins) fn json(status: StatusCode, body: Value) -> Answer {
        Answer { status, headers: HeaderMap::new(), body: Content::Json(body) }
    }

    pub(in crate::standins) fn code((status, code, message): (StatusCode, u32, &str)) -> Answer {
        Answer::json(status, json!({"message": message, "code": code}))
    }

    pub(in crate::standins) fn empty() -> Answer {
        Answer { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: Content::None }
    }

    /// 50035, nested or as version 6 wrote it.
    pub(in crate::standins) fn form(faults: &Faults, versioned: bool) -> Answer {
        let body = if versioned {
            json!({"message": "Invalid Form Body", "code": 50_035, "errors": faults.tree()})
        } else {
            faults.flat()
        };
        Answer::json(StatusCode::BAD_REQUEST, body)
    }

    /// A body that Discord does not read because its type is not one it knows.
    pub(in crate::standins) fn content_type(found: &str) -> Answer {
        let message = format!("Expected \"Content-Type\" header to be one of {{'application/json'}}, not {found:?}.");
        let errors = json!({"_errors": [{"code": "CONTENT_TYPE_INVALID", "message": message}]});
        let body = json!({"message": "Invalid Form Body", "code": 50_035, "errors": errors});
        Answer::json(StatusCode::BAD_REQUEST, body)
    }

    /// 429 with its scope. Times are told in seconds with three decimals.
    pub(in crate::standins) fn limited(scope: &'static str, wait_ms: i64) -> Answer {
        let global = scope == "global";
        let message =
            if scope == "shared" { "The resource is being rate limited." } else { "You are being rate limited." };
        let body = json!({"message": message, "retry_after": seconds(wait_ms), "global": global});
        let mut answer = Answer::json(StatusCode::TOO_MANY_REQUESTS, body);
        // Discord's `Retry-After` is in whole seconds, rounded up; the body is exact.
        answer.set(RETRY_AFTER, &((wait_ms + 999) / 1000).to_string());
        answer.set(HeaderName::from_static("x-ratelimit-scope"), scope);
        if global {
            answer.set(HeaderName::from_static("x-ratelimit-global"), "true");
        }
        answer
    }

    /// 429 of the edits of old messages: it has a code. ASSUMPTION: its scope; the code and the status were seen.
    pub(in crate::standins) fn old_edits(wait_ms: i64) -> Answer {
        let mut answer = Answer::limited("shared", wait_ms);
        if let Content::Json(body) = &mut answer.body {
            body["code"] = json!(30_046);
            body["message"] = json!("Maximum number of edits to messages older than 1 hour reached. Try again later.");
        }
        answer
    }

    /// The block in front of Discord: no header at all.
    pub(in crate::standins) fn blocked() -> Answer {
        let message = "You are being blocked from accessing our API temporarily due to exceeding our rate limits frequently. \
             Please read our docs at https://discord.com/developers/docs/topics/rate-limits to prevent this moving forward.";
        Answer::json(StatusCode::TOO_MANY_REQUESTS, json!({"code": 0, "message": message}))
    }

    pub(in crate::standins) fn bad_gateway() -> Answer {
        let body =
            Content::Html("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>cloudflare</body></html>");
        Answer { status: StatusCode::BAD_GATEWAY, headers: HeaderMap::new(), body }
    }

    pub(in crate::standins) fn cut() -> Answer {
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Content::Cut }
    }

    /// Adds the headers of the webhook's bucket.
    pub(in crate::standins) fn with_bucket(mut self, window: &Window, remaining: u32, now: i64) -> Answer {
        let after = window.reset_after(now);
        let all = [
            ("x-ratelimit-limit", window.limit().to_string()),
            ("x-ratelimit-remaining", remaining.to_string()),
            ("x-ratelimit-reset", decimal(now + after)),
            ("x-ratelimit-reset-after", decimal(after)),
            ("x-ratelimit-bucket", "e1d5b2c7a4f8306998a1d03e7f52cb64".to_owned()),
        ];
        for (name, value) in all {
            self.set(HeaderName::from_static(name), &value);
        }
        self
    }

    /// Whole, for a caller without a network; `None`: the connection ends before the body does.
    pub(in crate::standins) fn into_http(self) -> Option<http::Response<bytes::Bytes>> {
        let (kind, body) = match self.body {
            Content::Json(value) => (Some("application/json"), bytes::Bytes::from(value.to_string())),
            Content::Html(text) => (Some("text/html; charset=UTF-8"), bytes::Bytes::from_static(text.as_bytes())),
            Content::None => (None, bytes::Bytes::new()),
            Content::Cut => return None,
        };
        let mut response = http::Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if let Some(kind) = kind {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        Some(response)
    }

    fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a wait in milliseconds is far below 2^53")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn decimal(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        if let Some(whole) = self.clone().into_http() {
            return whole.map(Body::from);
        }
        let end = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let pieces = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"{\"id\":")), Err(end)]);
        let mut response = Response::new(Body::from_stream(pieces));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
