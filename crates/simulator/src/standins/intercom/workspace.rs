//! The workspace: what every call must pass, which call is which, and what the caller did wrong.

use super::IntercomOptions;
use super::answer::Answer;
use super::attributes::Attribute;
use super::contacts::Contact;
use super::events::Noted;
pub use super::oauth::{CLIENT_ID, CLIENT_SECRET};
use super::windows::{WORKSPACE_LIMIT, Window};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The private token of the workspace.
const TOKEN: &str = "dG9rOnNpbXVsYXRlZC1pbnRlcmNvbQ==";
/// Violations that are kept in words.
const MAX_LISTED: usize = 100;
/// Times beyond this are milliseconds (the year 5138).
pub(super) const MAX_SECONDS: i64 = 100_000_000_000;
/// The versions of the OpenAPI document, 2.7 and up; `Preview` is newer than all.
const VERSIONS: std::ops::RangeInclusive<u32> = 7..=17;
const PREVIEW: u32 = 99;
/// The first version that finds contacts by their external id.
const FINDS_SINCE: u32 = 13;

/// What the stand-in saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Calls with a valid token.
    pub calls: u64,
    /// Contacts.
    pub contacts: u64,
    /// Different events.
    pub events: u64,
    /// Events that were ignored as repeats.
    pub repeats: u64,
    /// Answers 4xx but for those below.
    pub refused: u64,
    /// Answers 429 that a window gave.
    pub limited: u64,
    /// Calls made although `X-RateLimit-Remaining: 0` had been told for the window: 429s that nobody needed.
    pub avoidable: u64,
    /// The most calls that one window has seen.
    pub busiest_window: u32,
    /// Answers 401.
    pub unauthorized: u64,
    /// Calls that a well-behaved client never makes, in words. At most 100.
    pub violations: Vec<String>,
}

/// Something goes wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answers this status and does nothing.
    Status(u16),
    /// Does it, and answers late.
    Slow(Duration),
    /// Does it, and answers 200 with what is no JSON.
    Nonsense,
    /// Does nothing and never answers.
    Hang,
    /// Does it and never answers.
    Lost,
}

/// An answer as it is to be played.
#[derive(Debug)]
pub struct Played {
    /// `None`: never.
    pub response: Option<Response<Bytes>>,
    /// So late.
    pub after: Duration,
}

/// The workspace. Cloning it gives another handle to the same one.
#[derive(Debug, Clone)]
pub struct Workspace {
    inner: Arc<Mutex<Inner>>,
    options: Arc<IntercomOptions>,
}

#[derive(Debug)]
pub(super) struct Inner {
    /// Calls of the app, and of all apps.
    pub(super) windows: [Window; 2],
    faults: VecDeque<(u32, Fault)>,
    pub(super) made: u64,
    pub(super) contacts: BTreeMap<String, Contact>,
    pub(super) by_external_id: BTreeMap<String, String>,
    /// Where merged contacts went.
    pub(super) merged: BTreeMap<String, String>,
    pub(super) attributes: BTreeMap<String, Attribute>,
    pub(super) names: BTreeSet<String>,
    pub(super) known: HashSet<(String, String, i64)>,
    pub(super) events: VecDeque<Noted>,
    pub(super) tokens: BTreeSet<String>,
    /// Codes, and until when they are good.
    pub(super) codes: BTreeMap<String, i64>,
    /// Registered addresses to come back to; empty: any.
    pub(super) redirects: Vec<String>,
    pub(super) report: Report,
}

impl Workspace {
    /// An empty one.
    #[must_use]
    pub fn new(options: IntercomOptions) -> Workspace {
        let inner = Inner {
            windows: [Window::new(options.limit), Window::new(WORKSPACE_LIMIT)],
            faults: VecDeque::new(),
            made: 0,
            contacts: BTreeMap::new(),
            by_external_id: BTreeMap::new(),
            merged: BTreeMap::new(),
            attributes: BTreeMap::new(),
            names: BTreeSet::new(),
            known: HashSet::new(),
            events: VecDeque::new(),
            tokens: BTreeSet::from([TOKEN.to_owned()]),
            codes: BTreeMap::new(),
            redirects: Vec::new(),
            report: Report::default(),
        };
        Workspace { inner: Arc::new(Mutex::new(inner)), options: Arc::new(options) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The private token that opens it.
    #[must_use]
    pub const fn token(&self) -> &'static str {
        TOKEN
    }

    /// What it saw so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let inner = self.lock();
        Report { contacts: inner.contacts.len() as u64, ..inner.report.clone() }
    }

    /// The contact with this external id.
    #[must_use]
    pub fn contact(&self, external_id: &str) -> Option<Contact> {
        self.lock().contact(external_id).cloned()
    }

    /// Every contact, oldest first.
    #[must_use]
    pub fn contacts(&self) -> Vec<Contact> {
        self.lock().contacts.values().cloned().collect()
    }

    /// The last events, oldest first; at most 200.
    #[must_use]
    pub fn events(&self) -> Vec<Noted> {
        self.lock().events.iter().cloned().collect()
    }

    /// Somebody archives a contact in Intercom.
    pub fn archive(&self, external_id: &str) {
        let mut inner = self.lock();
        let id = inner.by_external_id.get(external_id).cloned();
        if let Some(contact) = id.and_then(|id| inner.contacts.get_mut(&id)) {
            contact.archived = true;
        }
    }

    /// Somebody archives a data attribute in Intercom.
    pub fn archive_attribute(&self, name: &str) {
        self.lock().archive_attribute(name);
    }

    /// Somebody uninstalls the app, or takes the token away: no token opens the workspace any more.
    pub fn revoke_tokens(&self) {
        self.lock().tokens.clear();
    }

    /// The private token opens it again.
    pub fn restore_token(&self) {
        self.lock().tokens.insert(TOKEN.to_owned());
    }

    /// Addresses that the consent page may send people back to; none: any.
    pub fn register_redirects(&self, redirects: &[&str]) {
        self.lock().redirects = redirects.iter().map(|one| (*one).to_owned()).collect();
    }

    /// Somebody agrees on the consent page: the code that comes back.
    #[must_use]
    pub fn agree(&self) -> String {
        let now = self.options.clock.now_ms();
        self.lock().agree(now)
    }

    /// The next `calls` calls go wrong, after those that were told before.
    pub fn fail_next(&self, calls: u32, fault: Fault) {
        self.lock().faults.push_back((calls, fault));
    }

    /// Other private apps of the workspace make calls.
    pub fn others_call(&self, calls: u32) {
        let now = self.options.clock.now_ms();
        let shared = &mut self.lock().windows[1];
        shared.turn(now);
        shared.calls = shared.calls.saturating_add(calls);
    }

    /// Answers a call.
    #[must_use]
    pub fn answer(&self, request: &Request<Bytes>) -> Played {
        let now = self.options.clock.now_ms();
        let mut inner = self.lock();
        let fault = inner.next_fault();
        let played = |response, after| Played { response, after };
        match fault {
            None => played(Some(inner.take_call(&self.options, request, now)), Duration::ZERO),
            Some(Fault::Slow(after)) => played(Some(inner.take_call(&self.options, request, now)), after),
            Some(Fault::Hang) => played(None, Duration::ZERO),
            Some(Fault::Lost) => {
                let _ = inner.take_call(&self.options, request, now);
                played(None, Duration::ZERO)
            }
            Some(Fault::Nonsense) => {
                let mut response = inner.take_call(&self.options, request, now);
                *response.status_mut() = StatusCode::OK;
                *response.body_mut() = Bytes::from_static(b"<html>\xff we are sorry");
                played(Some(response), Duration::ZERO)
            }
            Some(Fault::Status(status)) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                inner.report.unauthorized += u64::from(status == StatusCode::UNAUTHORIZED);
                played(Some(Answer::of_status(status).into_response()), Duration::ZERO)
            }
        }
    }
}

impl Inner {
    pub(super) fn contact(&self, external_id: &str) -> Option<&Contact> {
        self.contacts.get(self.by_external_id.get(external_id)?)
    }

    pub(super) fn violation(&mut self, text: &str) {
        if self.report.violations.len() < MAX_LISTED {
            self.report.violations.push(text.to_owned());
        }
    }

    /// 400, and a client that is well-behaved would not have asked.
    pub(super) fn refuse(&mut self, message: &str) -> Answer {
        self.violation(message);
        Answer::invalid(message)
    }

    /// The same for something that is missing.
    pub(super) fn refuse_missing(&mut self, message: &str) -> Answer {
        self.violation(message);
        Answer::missing(message)
    }

    fn next_fault(&mut self) -> Option<Fault> {
        let (left, fault) = self.faults.front_mut()?;
        let fault = *fault;
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.faults.pop_front();
        }
        Some(fault)
    }

    /// What every call passes: the token, the rate limit, the headers.
    fn take_call(&mut self, options: &IntercomOptions, request: &Request<Bytes>, now: i64) -> Response<Bytes> {
        let query = pairs(request.uri().query().unwrap_or_default());
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/oauth") => return self.consent(&query, now).into_response(),
            (&Method::POST, "/auth/eagle/token") => {
                let is_form =
                    header(request.headers(), CONTENT_TYPE.as_str()).starts_with("application/x-www-form-urlencoded");
                return self.exchange(is_form, request.body(), now).into_response();
            }
            _ => {}
        }
        let given = header(request.headers(), AUTHORIZATION.as_str());
        if !given.strip_prefix("Bearer ").is_some_and(|token| self.tokens.contains(token)) {
            self.report.unauthorized += 1;
            let refused = Answer::error(StatusCode::UNAUTHORIZED, "unauthorized", "Access Token Invalid");
            return refused.into_response();
        }
        self.report.calls += 1;
        let answer = match self.count_call(now) {
            Err(refused) => refused,
            Ok(()) => match self.checked(options, request) {
                Err(refused) => refused,
                Ok((version, body)) => self.route(options, request, &query, version, &body, now),
            },
        };
        if answer.status.is_client_error() && answer.status != StatusCode::TOO_MANY_REQUESTS {
            self.report.refused += 1;
        }
        let mut response = answer.into_response();
        let [app, _] = &self.windows;
        let told = [
            ("x-ratelimit-limit", i64::from(app.limit.calls)),
            ("x-ratelimit-remaining", i64::from(app.remaining())),
            ("x-ratelimit-reset", app.resets_at()),
        ];
        for (name, number) in told {
            response.headers_mut().insert(name, HeaderValue::from(number));
        }
        response
    }

    /// The version that holds, and the body; the refusal otherwise.
    fn checked(&mut self, options: &IntercomOptions, request: &Request<Bytes>) -> Result<(u32, Value), Answer> {
        let headers = request.headers();
        if !header(headers, ACCEPT.as_str()).contains("application/json") {
            let message = "The Accept header should send a media type of application/json";
            self.violation(message);
            return Err(Answer::error(StatusCode::NOT_ACCEPTABLE, "media_type_not_acceptable", message));
        }
        let mut asked = header(headers, "intercom-version");
        if asked.is_empty() {
            self.violation("a call without Intercom-Version is answered in the version that the app is set to");
            asked = options.app_version;
        }
        let Some(version) = version(asked) else {
            self.violation("Intercom-Version names a version that does not exist");
            // ASSUMPTION: the code is in Intercom's list, the status is not said.
            let message = "The requested version could not be found";
            return Err(Answer::error(StatusCode::BAD_REQUEST, "intercom_version_invalid", message));
        };
        if !matches!(*request.method(), Method::POST | Method::PUT) || request.body().is_empty() {
            return Ok((version, json!({})));
        }
        let bad = || Answer::error(StatusCode::BAD_REQUEST, "bad_request", "bad 'request body' parameter");
        if !header(headers, CONTENT_TYPE.as_str()).starts_with("application/json") {
            self.violation("a body without Content-Type: application/json is not read");
            return Err(bad());
        }
        match serde_json::from_slice::<Value>(request.body()) {
            Ok(body) if body.is_object() => Ok((version, body)),
            Ok(_) | Err(_) => {
                self.violation("the body is no JSON object");
                Err(bad())
            }
        }
    }

    fn route(
        &mut self,
        options: &IntercomOptions,
        request: &Request<Bytes>,
        query: &[(String, String)],
        version: u32,
        body: &Value,
        now: i64,
    ) -> Answer {
        let path: Vec<String> = request.uri().path().split('/').skip(1).map(decoded).collect();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (request.method().as_str(), path.as_slice()) {
            ("GET", ["me"]) => Answer::ok(me(options.region)),
            ("GET", ["contacts", "find_by_external_id", id]) if version >= FINDS_SINCE => self.find(id),
            ("POST", ["contacts", "search"]) => self.search(body, options.search_lag_ms, now),
            ("POST", ["contacts", "merge"]) => self.merge(body, version, now),
            ("POST", ["contacts"]) => self.create(body, now),
            ("GET", ["contacts", id]) => self.read(id, version),
            ("PUT", ["contacts", id]) => self.update(id, body, version, now),
            ("POST", ["contacts", id, "unarchive"]) => self.unarchive(id),
            ("GET", ["data_attributes"]) => self.list_attributes(query),
            ("POST", ["data_attributes"]) => self.add_attribute(body),
            ("PUT", ["data_attributes", number]) => self.change_attribute(number, body),
            ("POST", ["events"]) => self.track(body),
            ("GET", ["events"]) => self.list_events(query, now),
            _ => {
                self.violation("a path or method that this version does not have");
                Answer::not_found("The requested resource was not found")
            }
        }
    }
}

fn me(region: &str) -> Value {
    let app = json!({"type": "app", "id_code": "simulated", "name": "Simulated workspace", "region": region});
    json!({"type": "admin", "id": "1", "name": "Simulated admin", "email": "admin@example.com", "app": app})
}

fn version(text: &str) -> Option<u32> {
    if ["Preview", "Unstable"].contains(&text) {
        return Some(PREVIEW);
    }
    text.strip_prefix("2.")?.parse().ok().filter(|minor| VERSIONS.contains(minor))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// A part of a path, where `+` and `&` mean themselves.
fn decoded(part: &str) -> String {
    let query = format!("x={}", part.replace('+', "%2B").replace('&', "%26"));
    pairs(&query).pop().map(|(_, value)| value).unwrap_or_default()
}
