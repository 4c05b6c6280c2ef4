//! Bodies, queries and paths, bounded and read into types, with errors that point at the fault.

use crate::problem::Problem;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

/// The largest body of an API call, in bytes. Notifications have their source's own bound.
pub(crate) const MAX_API_BODY: usize = 256 * 1024;

/// The most characters of a body or query that a fault repeats.
const MAX_SHOWN: usize = 300;

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn read_bounded(body: axum::body::Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes")))
        }
        Err(_) => Err(Problem::malformed("the body ended early or could not be read")),
    }
}

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let is_json =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_none_or(|value| {
                let essence = value.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
                essence == "application/json" || essence.ends_with("+json")
            });
        if !is_json {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send the body as application/json"));
        }
        let body = read_bounded(request.into_body(), MAX_API_BODY).await?;
        parse(&body).map(Json)
    }
}

/// Reads JSON; an error points at the place in the body. An empty body reads as `{}`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let body = if body.is_empty() { b"{}" } else { body };
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer_of(error.path());
        let inner = error.into_inner();
        let detail = strip_position(&inner.to_string());
        match inner.classify() {
            serde_json::error::Category::Data => Problem::invalid(shortened(pointer), shortened(detail)),
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => Problem::malformed(format!(
                "the body is not valid JSON: {detail} (line {}, column {})",
                inner.line(),
                inner.column()
            )),
        }
    })?;
    reader.end().map_err(|_| Problem::malformed("something follows the JSON value"))?;
    Ok(value)
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            serde_path_to_error::Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            serde_path_to_error::Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            serde_path_to_error::Segment::Enum { variant } => {
                pointer.push('/');
                pointer.push_str(variant);
            }
            serde_path_to_error::Segment::Unknown => {}
        }
    }
    pointer
}

/// Names in the body are the sender's: an answer repeats their beginning only.
fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn strip_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(at) => message[..at].to_owned(),
        None => message.to_owned(),
    }
}

/// A query string.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(value)| Query(value)).map_err(
            |rejection| {
                let detail = rejection.body_text();
                let detail = detail.strip_prefix("Failed to deserialize query string: ").unwrap_or(&detail).to_owned();
                let detail = shortened(detail);
                Problem::new(StatusCode::BAD_REQUEST, format!("the query cannot be read: {detail}"))
            },
        )
    }
}

/// A part of the path, read into a type. What does not parse does not exist: 404.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Path(value))
            .map_err(|_| Problem::not_found("such thing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[allow(dead_code)]
        list: Vec<u8>,
    }

    #[test]
    fn faults_are_pointed_at() {
        let table: &[(&[u8], u16, &str)] = &[
            (b"{\"list\": [1, \"x\"]}", 422, "/list/1"),
            (b"{\"list\": [1], \"lost\": 1}", 422, "/lost"),
            (b"{\"list\": [1]", 400, ""),
            (b"{\"list\": [1]} x", 400, ""),
            (b"\xff", 400, ""),
        ];
        for (body, status, pointer) in table {
            let problem = parse::<Body>(body).unwrap_err();
            let name = String::from_utf8_lossy(body);
            assert_eq!(problem.status, *status, "{name}");
            assert_eq!(problem.errors.first().map_or("", |fault| fault.pointer.as_str()), *pointer, "{name}");
        }
    }
    #[test]
    fn an_answer_repeats_little_of_a_long_body() {
        let long = "x".repeat(100_000);
        for (name, body) in [
            ("an unknown field", format!("{{\"{long}\": 1}}")),
            ("a text for a list", format!("{{\"list\": \"{long}\"}}")),
            ("no JSON", format!("{{\"list\": {long}}}")),
        ] {
            let problem = parse::<Body>(body.as_bytes()).unwrap_err();
            let length = serde_json::to_string(&problem).unwrap().len();
            assert!(length < 2_000, "{name}: {length} bytes");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(512))]

        /// Whatever a body is: it is read, or the answer is short and points somewhere.
        #[test]
        fn any_body_is_read_or_refused_in_few_words(text in "[\\[\\]{}\":,a-z0-9\\\\ .-]{0,60}", bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            for body in [text.as_bytes(), &bytes] {
                if let Err(problem) = parse::<Body>(body) {
                    assert!([400, 422].contains(&problem.status));
                    assert!(problem.errors.iter().all(|fault| fault.pointer.is_empty() || fault.pointer.starts_with('/')));
                    assert!(serde_json::to_string(&problem).unwrap().len() < 2_000);
                }
            }
        }
    }
}
