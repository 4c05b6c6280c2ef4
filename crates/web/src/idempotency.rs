//! `Idempotency-Key` on writes: the same request under the same key is done once and answered the same for 24 hours.
//!
//! Only successes are kept: a refused request changed nothing and may be sent again. Answers are kept encrypted, because
//! some hold a secret that is shown once.

use crate::extract::{MAX_API_BODY, read_bounded};
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_lifecycle::ids::digest16;
use paidup_store::records::IdempotentRecord;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// The longest key, in characters.
const MAX_KEY: usize = 200;
/// The largest answer that is kept, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// Keys whose requests are being done.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<String>>>);

struct Turn {
    in_flight: InFlight,
    key: String,
}

impl InFlight {
    fn begin(&self, key: &str) -> Option<Turn> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.to_owned()).then(|| Turn { in_flight: self.clone(), key: key.to_owned() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

fn wanted(method: &Method, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    if !matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
        return Ok(None);
    }
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(Problem::malformed("Idempotency-Key has 1 to 200 visible characters"));
    }
    // A key is the caller's own: another caller may use the same text.
    let caller = headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    Ok(Some(format!("{:032x}", u128::from_be_bytes(digest16(&[caller, key.as_bytes()])))))
}

fn fingerprint(method: &Method, path: &str, body: &[u8]) -> [u8; 32] {
    let mut request = [0; 32];
    request[..16].copy_from_slice(&digest16(&[method.as_str().as_bytes(), path.as_bytes(), body]));
    request[16..].copy_from_slice(&digest16(&[b"second half", method.as_str().as_bytes(), path.as_bytes(), body]));
    request
}

/// The layer for `/v1`.
pub(crate) async fn layer(
    State((hub, in_flight)): State<(Hub, InFlight)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(key) = wanted(request.method(), request.headers())? else { return Ok(next.run(request).await) };
    let (parts, body) = request.into_parts();
    let body = read_bounded(body, MAX_API_BODY).await?;
    let fingerprint = fingerprint(&parts.method, parts.uri.path(), &body);
    let Some(_turn) = in_flight.begin(&key) else {
        return Err(Problem::new(StatusCode::CONFLICT, "a request with this Idempotency-Key is being done; ask again"));
    };
    if let Some(known) = hub.store().idempotent(&key).await?
        && known.created_at.plus(KEPT) > hub.clock().now()
    {
        return replayed(&hub, known, fingerprint);
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    keep(&hub, key, fingerprint, response).await
}

fn replayed(hub: &Hub, known: IdempotentRecord, fingerprint: [u8; 32]) -> Result<Response, Problem> {
    if known.request != fingerprint {
        let detail = "this Idempotency-Key was used for another request; use a new key for each request";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let body = hub.secrets().unseal(&known.key, &known.body).map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the kept answer cannot be read with the present master key")
    })?;
    let status = StatusCode::from_u16(known.status).unwrap_or(StatusCode::OK);
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
    Ok(response)
}

async fn keep(hub: &Hub, key: String, fingerprint: [u8; 32], response: Response) -> Result<Response, Problem> {
    let (parts, body) = response.into_parts();
    let body = read_bounded(body, MAX_ANSWER).await?;
    let now = hub.clock().now();
    let record = IdempotentRecord {
        body: hub.secrets().seal(&**hub.chance(), &key, &body),
        key,
        request: fingerprint,
        status: parts.status.as_u16(),
        created_at: now,
    };
    hub.store().put_idempotent(record, now.minus(KEPT)).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}
