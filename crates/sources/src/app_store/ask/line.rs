//! Testing the line: Apple is asked to send a test notification, and then what came of it.
//! <https://developer.apple.com/documentation/appstoreserverapi/request-a-test-notification>

use super::Api;
use super::answer::label_of;
use super::refusal::ApiError;
use crate::app_store::wire::{SendAttempt, TestRequested, TestStatus};
use crate::line::{Finding, Gravity, Heard, LineTest, Step};
use bytes::Bytes;
use http::{Method, StatusCode};
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::time::Timestamp;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long Apple is given before its first attempt is asked for, and between questions. It allows one a second.
const PAUSE: Duration = Duration::from_secs(2);
/// How often it is asked, for each environment: whoever tests waits for it.
const TRIES: u32 = 10;
/// The longest token of a test. Apple's have 50 characters.
const MAX_TOKEN: usize = 200;
/// The longest text of Apple's that is shown.
const MAX_SHOWN: usize = 200;

/// A test of every environment that a source takes.
pub(in crate::app_store) struct AppStoreTest {
    api: Arc<Api>,
    left: VecDeque<Environment>,
    doing: Doing,
    findings: Vec<Finding>,
}

enum Doing {
    Nothing,
    /// Apple was asked to send.
    Requested(Environment),
    /// Apple is asked what came of it.
    Waiting {
        environment: Environment,
        token: String,
        tries: u32,
    },
}

impl AppStoreTest {
    pub(in crate::app_store) fn new(api: Arc<Api>, environments: &[Environment]) -> AppStoreTest {
        AppStoreTest { api, left: environments.iter().copied().collect(), doing: Doing::Nothing, findings: Vec::new() }
    }

    fn find(&mut self, gravity: Gravity, environment: Environment, text: impl std::fmt::Display) {
        let text = format!("{}: {text}", place(environment));
        self.findings.push(Finding { gravity, text });
    }

    /// Begins with the next environment.
    fn begin(&mut self, now: Timestamp) -> Step {
        let Some(environment) = self.left.pop_front() else { return Step::Done(std::mem::take(&mut self.findings)) };
        let body = Some(String::new());
        match self.api.request(environment, Method::POST, "/inApps/v1/notifications/test", body, now) {
            Some(request) => {
                self.doing = Doing::Requested(environment);
                Step::Call { after: Duration::ZERO, request }
            }
            None => self.unsigned(environment, now),
        }
    }

    fn unsigned(&mut self, environment: Environment, now: Timestamp) -> Step {
        self.find(Gravity::Problem, environment, "no request could be signed: the system gives no randomness");
        self.doing = Doing::Nothing;
        self.begin(now)
    }

    fn ask(&mut self, environment: Environment, token: String, tries: u32, now: Timestamp) -> Step {
        let path = format!("/inApps/v1/notifications/test/{token}");
        match self.api.request(environment, Method::GET, &path, None, now) {
            Some(request) => {
                self.doing = Doing::Waiting { environment, token, tries };
                Step::Call { after: PAUSE, request }
            }
            None => self.unsigned(environment, now),
        }
    }

    fn requested(&mut self, environment: Environment, answer: &http::Response<Bytes>, now: Timestamp) -> Step {
        let token = serde_json::from_slice::<TestRequested>(answer.body()).map(|it| it.test_notification_token);
        let is_token = |token: &String| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(is_plain)
        };
        if let Some(token) = token.ok().filter(|token| answer.status().is_success() && is_token(token)) {
            return self.ask(environment, token, 1, now);
        }
        let (gravity, text) = refusal(environment, answer);
        self.find(gravity, environment, text);
        self.begin(now)
    }

    fn told(
        &mut self,
        environment: Environment,
        token: String,
        tries: u32,
        answer: &http::Response<Bytes>,
        now: Timestamp,
    ) -> Step {
        let status = serde_json::from_slice::<TestStatus>(answer.body()).ok().filter(|_| answer.status().is_success());
        let attempt = status.as_ref().and_then(|status| status.send_attempts.first());
        if let (Some(status), Some(attempt)) = (&status, attempt) {
            let (gravity, text) = outcome(attempt);
            self.find(gravity, environment, text);
            let signed = status.signed_payload.as_deref().unwrap_or_default();
            if label_of(json!({"signedPayload": signed}).to_string().as_bytes()).as_deref() != Some("TEST") {
                let text = "what Apple says that it sent is no test notification of version 2; choose version 2 in App \
                            Store Connect";
                self.find(Gravity::Warning, environment, text);
            }
            return self.begin(now);
        }
        let code = ApiError::parse(answer.body()).error_code;
        let is_not_yet = status.is_some() || code == Some(4_040_008) || answer.status().is_server_error();
        if is_not_yet && tries < TRIES {
            return self.ask(environment, token, tries + 1, now);
        }
        if is_not_yet {
            let text =
                "Apple accepted the test but has not said what came of it; look for a TEST event, and test again";
            self.find(Gravity::Warning, environment, text);
        } else {
            let (gravity, text) = refusal(environment, answer);
            self.find(gravity, environment, text);
        }
        self.begin(now)
    }
}

impl LineTest for AppStoreTest {
    fn next(&mut self, heard: Option<Heard>, now: Timestamp) -> Step {
        match (std::mem::replace(&mut self.doing, Doing::Nothing), heard) {
            (Doing::Requested(environment) | Doing::Waiting { environment, .. }, Some(Heard::Nothing(why))) => {
                let text = format!("Apple's API cannot be reached: {why}");
                self.find(Gravity::Problem, environment, text);
                self.begin(now)
            }
            (Doing::Requested(environment), Some(Heard::Answer(answer))) => self.requested(environment, &answer, now),
            (Doing::Waiting { environment, token, tries }, Some(Heard::Answer(answer))) => {
                self.told(environment, token, tries, &answer, now)
            }
            (Doing::Nothing, _) | (_, None) => self.begin(now),
        }
    }
}

const fn place(environment: Environment) -> &'static str {
    match environment {
        Environment::Production => "production",
        Environment::Sandbox => "sandbox",
    }
}

/// What Apple saw when it sent. <https://developer.apple.com/documentation/appstoreserverapi/sendattemptresult>
fn outcome(attempt: &SendAttempt) -> (Gravity, String) {
    let result = attempt.send_attempt_result.as_deref().unwrap_or("nothing");
    let what = match result {
        "SUCCESS" => return (Gravity::Fine, "Apple's test notification arrived".to_owned()),
        "TIMED_OUT" => "the server took too long to answer",
        "TLS_ISSUE" => {
            "the server's certificate or TLS version was refused: TLS 1.2 or newer and a whole chain are needed"
        }
        "CIRCULAR_REDIRECT" => "the URL redirects in a circle: enter the intake URL itself",
        "NO_RESPONSE" => "the server gave no answer: is the intake URL reachable from the internet?",
        "SOCKET_ISSUE" => "no connection, or it broke: is the port open?",
        "UNSUPPORTED_CHARSET" => {
            "the answer had a character set that Apple does not support: a proxy answers in Paidup's place"
        }
        "INVALID_RESPONSE" => "the answer could not be read: a proxy answers in Paidup's place",
        "PREMATURE_CLOSE" => "the connection was closed before the answer was over",
        "UNSUCCESSFUL_HTTP_RESPONSE_CODE" => {
            "the answer was no success: is it this source's intake URL, and for this bundle and app id? `GET /metrics` counts \
             refusals by reason"
        }
        _ => "Apple could not deliver it",
    };
    (Gravity::Problem, format!("{what} ({})", shown(result)))
}

/// What a refusal means for whoever sets up.
fn refusal(environment: Environment, answer: &http::Response<Bytes>) -> (Gravity, String) {
    let error = ApiError::parse(answer.body());
    let status = answer.status();
    let text = match (status, error.error_code) {
        (StatusCode::UNAUTHORIZED, _) => {
            "Apple refuses the key: check `api.issuer_id`, `api.key_id`, that `private_key` is that key's .p8 file (a key for \
             In-App Purchase, not for App Store Connect) and is not revoked, that `bundle_id` is the app's, and this \
             machine's clock. An app that was never in the store is refused in production too"
        }
        (StatusCode::FORBIDDEN, _) => "the key may not do this: make one for In-App Purchase in App Store Connect",
        (_, Some(4_040_007)) => {
            let text = "no server URL is set in App Store Connect (App Information, App Store Server Notifications): enter \
                        this source's intake URL, version 2";
            // Who tests in production only needs none in the sandbox.
            let is_sandbox = environment == Environment::Sandbox;
            return (if is_sandbox { Gravity::Warning } else { Gravity::Problem }, text.to_owned());
        }
        (_, Some(4_040_003 | 4_000_002)) => "Apple does not know the app: check `bundle_id`",
        (StatusCode::TOO_MANY_REQUESTS, _) => "Apple's limit of calls is used up; test again in an hour",
        _ if status.is_server_error() => "Apple's API is out of order; test again later",
        _ => "Apple refused the test",
    };
    let detail = error.error_message.as_deref().map(|message| format!(", {}", shown(message))).unwrap_or_default();
    (Gravity::Problem, format!("{text} (status {}{detail})", status.as_u16()))
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}
