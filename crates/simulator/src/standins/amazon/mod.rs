//! A stand-in for what a subscription hub asks Amazon: SNS's certificate and the confirmation of a subscription, and receipt
//! verification (RVS).
//!
//! Point the hub's `PAIDUP_AMAZON_SNS_URL` and `PAIDUP_AMAZON_RVS_URL` at [`AmazonApi::url`]. Starting it tells the simulated
//! [`Amazon`] where its certificate is served from then on. Receipts are answered as they stand at the moment of asking,
//! however late the notifications about it are, with Amazon's own status codes. Pages: "Receipt Verification for Appstore",
//! "Subscribing an HTTPS endpoint to a topic".

#[cfg(test)]
mod tests;

use crate::chance::Chance;
use crate::edge::Clock;
use crate::standins::Server;
use crate::standins::faults::Faults as ApiFaults;
use crate::standins::limits::{Limit, Window};
use crate::standins::path::decoded;
use crate::stores::amazon::{Amazon, CERTIFICATE_PATH};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How it is started.
#[derive(Debug, Clone)]
pub struct AmazonApiOptions {
    /// Verifications in a span. ASSUMPTION: Amazon throttles and says no number.
    pub limit: Limit,
    /// Where time comes from.
    pub clock: Clock,
    /// 0 for a free one.
    pub port: u16,
}

impl Default for AmazonApiOptions {
    fn default() -> Self {
        AmazonApiOptions { limit: Limit { calls: 100, span_ms: 1_000 }, clock: Clock::System, port: 0 }
    }
}

/// What goes wrong on demand, until it is set otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// What goes wrong at receipt verification; the delay is everywhere.
    pub api: ApiFaults,
    /// The certificate is answered 503.
    pub certificate_down: bool,
}

/// The account of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Verifications.
    pub calls: u64,
    /// Answered 200.
    pub answered: u64,
    /// Answered 410.
    pub gone: u64,
    /// Answered 429.
    pub limited: u64,
    /// Times that the certificate was fetched.
    pub certificates: u64,
    /// Times that a subscription was confirmed.
    pub confirmations: u64,
    /// Answered with a fault on demand.
    pub faults: u64,
    /// Calls that Amazon would refuse as wrong (400, 404, 405, 496, 497), with what is wrong: a hub must not make them.
    pub wrong: Vec<String>,
}

/// Wrong calls that are kept.
const MAX_WRONG: usize = 20;

/// The running stand-in.
#[derive(Debug)]
pub struct AmazonApi {
    shared: Shared,
    server: Server,
}

#[derive(Clone)]
struct Shared {
    amazon: Arc<Amazon>,
    inner: Arc<Mutex<Inner>>,
    clock: Clock,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

struct Inner {
    faults: Faults,
    chance: Chance,
    report: Report,
    window: Window,
}

/// What is answered: a status, and JSON or PEM.
enum Answer {
    Json(u16, Value),
    Pem(String),
    Xml(u16, String),
}

impl AmazonApi {
    /// Starts it over this app.
    pub async fn start(amazon: Arc<Amazon>, options: AmazonApiOptions) -> std::io::Result<AmazonApi> {
        let inner = Inner {
            faults: Faults::default(),
            chance: Chance::new(1, 0),
            report: Report::default(),
            window: Window::new(options.limit),
        };
        let shared = Shared { amazon, inner: Arc::new(Mutex::new(inner)), clock: options.clock };
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = Server::start(router, options.port).await?;
        shared.amazon.serve_at(&server.url());
        Ok(AmazonApi { shared, server })
    }

    /// What stands for `https://sns.us-east-1.amazonaws.com` and for `https://appstore-sdk.amazon.com`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// The account of calls so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.lock().report.clone()
    }
}

impl Inner {
    fn strikes(&mut self) -> bool {
        self.faults.api.strikes(&mut self.chance)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, method: &Method, uri: &Uri) -> Answer {
        if method != Method::GET {
            self.note(method, uri, 405);
            return Answer::Json(405, json!({"message": "GET only"}));
        }
        match uri.path() {
            CERTIFICATE_PATH => self.certificate(),
            "/" => self.confirm(uri),
            _ => self.verify(uri),
        }
    }

    fn certificate(&self) -> Answer {
        let mut inner = self.lock();
        if inner.faults.certificate_down {
            inner.report.faults += 1;
            return Answer::Json(503, Value::Null);
        }
        inner.report.certificates += 1;
        Answer::Pem(self.amazon.certificate().to_owned())
    }

    /// SNS answers in XML.
    fn confirm(&self, uri: &Uri) -> Answer {
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let value = |key: &str| query.get(key).map(String::as_str).unwrap_or_default();
        let is_right =
            value("Action") == "ConfirmSubscription" && self.amazon.confirm(value("TopicArn"), value("Token"));
        if !is_right {
            self.note(&Method::GET, uri, 400);
            return Answer::Xml(
                400,
                "<ErrorResponse><Error><Code>InvalidParameter</Code></Error></ErrorResponse>".to_owned(),
            );
        }
        self.lock().report.confirmations += 1;
        let arn = self.amazon.topic_arn();
        let body = format!(
            "<ConfirmSubscriptionResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><ConfirmSubscriptionResult><SubscriptionArn>{arn}:subscription</SubscriptionArn></ConfirmSubscriptionResult></ConfirmSubscriptionResponse>"
        );
        Answer::Xml(200, body)
    }

    fn verify(&self, uri: &Uri) -> Answer {
        let now = self.clock.now_ms();
        {
            let mut inner = self.lock();
            inner.report.calls += 1;
            if inner.strikes() {
                inner.report.faults += 1;
                return Answer::Json(500, json!({"message": "Internal Server Error"}));
            }
            if inner.faults.api.limited || inner.window.take(now).is_err() {
                inner.report.limited += 1;
                return Answer::Json(429, json!({"message": "Request throttled"}));
            }
        }
        let answer = self.receipt(uri, now);
        match &answer {
            Answer::Json(200, _) => self.lock().report.answered += 1,
            Answer::Json(410, _) => self.lock().report.gone += 1,
            Answer::Json(status, _) | Answer::Xml(status, _) => self.note(&Method::GET, uri, *status),
            Answer::Pem(_) => {}
        }
        answer
    }

    /// Secret, user and receipt are checked in this order. ASSUMPTION: no page says in which.
    fn receipt(&self, uri: &Uri, now: i64) -> Answer {
        let refuse = |status: u16, message: &str| Answer::Json(status, json!({"message": message, "status": false}));
        let path = uri.path();
        let (path, is_sandbox) = path.strip_prefix("/sandbox").map_or((path, false), |rest| (rest, true));
        let parts: Vec<String> = path.split('/').map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let ["", "version", "1.0", "verifyReceiptId", "developer", secret, "user", user, "receiptId", receipt] =
            parts.as_slice()
        else {
            return refuse(404, "no such operation");
        };
        if *secret != self.amazon.shared_secret() {
            return refuse(496, "Invalid sharedSecret");
        }
        let mut shelf = self.amazon.shelf();
        shelf.catch_up(now);
        let Some(found) = shelf.receipt(receipt).filter(|found| !is_sandbox || found.is_beta) else {
            return refuse(
                400,
                "The transaction represented by this receiptId is invalid, or no transaction was found",
            );
        };
        if *found.user != **user {
            return refuse(497, "Invalid User ID");
        }
        if found.is_gone {
            return refuse(410, "The transaction represented by this receiptId is no longer valid");
        }
        Answer::Json(200, found.json())
    }

    /// The path holds a secret, so it is not kept.
    fn note(&self, method: &Method, uri: &Uri, status: u16) {
        let operation: String = uri.path().split("/developer/").next().unwrap_or_default().to_owned();
        let mut inner = self.lock();
        if inner.report.wrong.len() < MAX_WRONG {
            inner.report.wrong.push(format!("{method} {operation}: {status}"));
        }
    }
}

async fn answer(State(shared): State<Shared>, method: Method, uri: Uri) -> Response {
    let delay = shared.lock().faults.api.delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let status = |code: u16| StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match shared.decide(&method, &uri) {
        Answer::Json(code, Value::Null) => status(code).into_response(),
        Answer::Json(code, body) => (status(code), axum::Json(body)).into_response(),
        Answer::Pem(text) => ([(CONTENT_TYPE, "application/x-pem-file")], text).into_response(),
        Answer::Xml(code, text) => (status(code), [(CONTENT_TYPE, "text/xml")], text).into_response(),
    }
}
