//! Connecting a workspace by OAuth: the consent page, the exchange of its code, and a look at whose token it is.
//! <https://developers.intercom.com/docs/build-an-integration/learn-more/authentication/setting-up-oauth>
//!
//! Intercom offers no PKCE and takes no scopes: permissions are ticked in the app. A private access token needs none of
//! this and is the usual way for one's own workspace.

use super::api::{self, Region};
use crate::connect::{App, Connection, Connector, Exchange, ExchangeStep};
use crate::{Answer, Reason, SettingsError, Upstreams};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use url::Url;

/// How Intercom is connected.
pub const CONNECTOR: Connector = Connector { kind: "intercom", consent, exchange };

/// Names of workspaces are short; what is longer is cut for people.
const MAX_NAME: usize = 100;

fn consent(app: &App, state: &str, redirect: &str) -> Result<Url, SettingsError> {
    let fault = |_| crate::settings::fault("", "PAIDUP_INTERCOM_OAUTH_URL is not a valid address");
    let mut page = Url::parse(&app.consent_page).map_err(fault)?;
    page.query_pairs_mut()
        .append_pair("client_id", &app.client_id)
        .append_pair("state", state)
        .append_pair("redirect_uri", redirect);
    Ok(page)
}

fn exchange(app: &App, code: &str, upstreams: &Upstreams) -> Box<dyn Exchange> {
    // `api.intercom.io` finds the right region by itself; which one it is, `/me` says.
    let base = upstreams.intercom_api.as_deref().unwrap_or(Region::Us.api()).trim_end_matches('/').to_owned();
    let body = json!({ "code": code, "client_id": app.client_id, "client_secret": app.client_secret });
    Box::new(Connecting { base, stage: Stage::Token(body) })
}

struct Connecting {
    base: String,
    stage: Stage,
}

enum Stage {
    /// To be asked for a token with this.
    Token(Value),
    /// The answer will hold the token.
    AwaitToken,
    /// The answer will say whose token this is.
    AwaitMe(String),
}

impl Exchange for Connecting {
    fn next(&mut self, answer: Option<&Answer>) -> ExchangeStep {
        match std::mem::replace(&mut self.stage, Stage::AwaitToken) {
            Stage::Token(body) => ExchangeStep::Call(self.token_request(&body)),
            Stage::AwaitToken => match answer.map(token) {
                Some(Ok(token)) => match api::Api::new(&token, Region::Us, Some(&self.base)) {
                    Ok(api) => {
                        self.stage = Stage::AwaitMe(token);
                        ExchangeStep::Call(api.me())
                    }
                    Err(_) => refused("Intercom answered with something that is no token"),
                },
                Some(Err(reason)) => ExchangeStep::Refused(reason),
                None => refused("Intercom was not asked"),
            },
            Stage::AwaitMe(token) => match answer.map(me) {
                Some(Ok((region, account))) => {
                    let mut settings = Map::new();
                    settings.insert("access_token".to_owned(), token.into());
                    settings.insert("region".to_owned(), region.setting().into());
                    ExchangeStep::Done(Connection { settings, account })
                }
                Some(Err(reason)) => ExchangeStep::Refused(reason),
                None => refused("Intercom was not asked"),
            },
        }
    }
}

impl Connecting {
    fn token_request(&self, body: &Value) -> Request<Bytes> {
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = http::Method::POST;
        // A base that is no address gives an address that cannot be called, and the hub says so.
        *request.uri_mut() = format!("{}/auth/eagle/token", self.base).parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("Paidup/", env!("CARGO_PKG_VERSION"))));
        request
    }
}

fn refused(words: &str) -> ExchangeStep {
    ExchangeStep::Refused(Reason(words.to_owned()))
}

/// The body of a success; else what is wrong. Never repeats what was answered: it may hold what was sent.
fn success(answer: &Answer, on_401: &str) -> Result<Value, Reason> {
    let response: &Response<Bytes> = match answer {
        Answer::Response(response) => response,
        Answer::Failed(failure) => return Err(Reason(format!("Intercom cannot be reached: {failure}"))),
    };
    match response.status() {
        status if status.is_success() => serde_json::from_slice(response.body())
            .map_err(|_| Reason("Intercom answered with something that is no JSON".to_owned())),
        StatusCode::UNAUTHORIZED => Err(Reason(on_401.to_owned())),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(Reason(format!("Intercom is busy or down ({}); begin again in a while", status.as_u16())))
        }
        status => Err(Reason(format!("Intercom refused with {}", crate::answers::status_words(status)))),
    }
}

fn token(answer: &Answer) -> Result<String, Reason> {
    let on_401 = "Intercom does not take the code: it is good for five minutes and once, so begin again; if it happens \
                  again, PAIDUP_INTERCOM_CLIENT_ID or PAIDUP_INTERCOM_CLIENT_SECRET is not that of the app";
    let body = success(answer, on_401)?;
    let told = body["access_token"].as_str().or(body["token"].as_str());
    told.map(str::to_owned).ok_or_else(|| Reason("Intercom answered without a token".to_owned()))
}

/// The region and the workspace's name.
fn me(answer: &Answer) -> Result<(Region, String), Reason> {
    let body = success(answer, "Intercom has given a token and does not take it; begin again")?;
    let app = &body["app"];
    let region = app["region"].as_str().and_then(Region::named);
    let region = region.ok_or_else(|| Reason("Intercom does not say in which region the workspace is".to_owned()))?;
    let text = |name: &str| app[name].as_str().unwrap_or_default().chars().filter(|one| !one.is_control());
    let name: String = text("name").take(MAX_NAME).collect();
    let code: String = text("id_code").take(MAX_NAME).collect();
    Ok((region, if name.is_empty() { code } else { format!("{name} ({code})") }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallFailure;

    fn app() -> App {
        App {
            consent_page: "https://app.intercom.com/oauth".to_owned(),
            client_id: "client".to_owned(),
            client_secret: "hunter2-hunter2".to_owned(),
        }
    }

    fn answer(status: u16, body: &str) -> Answer {
        let mut response = Response::new(Bytes::from(body.to_owned()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Answer::Response(response)
    }

    fn upstreams(intercom_api: Option<&str>) -> Upstreams {
        Upstreams {
            discord_api: String::new(),
            intercom_api: intercom_api.map(str::to_owned),
            public_url: String::new(),
        }
    }

    #[test]
    fn the_browser_goes_to_the_consent_page_without_scopes() {
        let page = consent(&app(), "a/b=", "https://hub.example/back?x=1").unwrap();
        let expected = "https://app.intercom.com/oauth?client_id=client&state=a%2Fb%3D&\
                        redirect_uri=https%3A%2F%2Fhub.example%2Fback%3Fx%3D1";
        assert_eq!(page.as_str(), expected);
    }

    #[test]
    fn a_code_becomes_settings() {
        let mut exchange = exchange(&app(), "abc=", &upstreams(None));
        let ExchangeStep::Call(request) = exchange.next(None) else { panic!("no call") };
        assert_eq!(request.uri(), "https://api.intercom.io/auth/eagle/token");
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let sent = json!({"code": "abc=", "client_id": "client", "client_secret": "hunter2-hunter2"});
        assert_eq!(body, sent, "the code as it came, with its equals sign");
        let token = answer(200, r#"{"token_type": "Bearer", "token": "dG9r=", "access_token": "dG9r="}"#);
        let ExchangeStep::Call(request) = exchange.next(Some(&token)) else { panic!("no call") };
        assert_eq!(
            (request.uri().path(), &request.headers()["authorization"]),
            ("/me", &HeaderValue::from_static("Bearer dG9r="))
        );
        let me = answer(200, r#"{"app": {"name": "Shop", "id_code": "abc123", "region": "EU"}}"#);
        let ExchangeStep::Done(connection) = exchange.next(Some(&me)) else { panic!("not done") };
        assert_eq!(connection.account, "Shop (abc123)");
        assert_eq!(Value::Object(connection.settings), json!({"access_token": "dG9r=", "region": "eu"}));
    }

    #[test]
    fn what_goes_wrong_is_said_in_words_and_without_secrets() {
        let token = || answer(200, r#"{"access_token": "dG9r="}"#);
        // (name, answers, part of the reason)
        let table = [
            ("code", vec![answer(401, "hunter2-hunter2")], "begin again"),
            ("busy", vec![answer(503, "")], "busy or down (503)"),
            ("limit", vec![answer(429, "")], "busy or down (429)"),
            ("refused", vec![answer(400, "hunter2-hunter2")], "400 Bad Request"),
            ("gone", vec![Answer::Failed(CallFailure::NotConnected)], "could not connect"),
            ("nonsense", vec![answer(200, "<html>")], "no JSON"),
            ("nothing", vec![answer(200, "{}")], "without a token"),
            ("odd token", vec![answer(200, r#"{"token": "a b"}"#)], "no token"),
            ("refused token", vec![token(), answer(401, "")], "does not take it"),
            ("no region", vec![token(), answer(200, r#"{"app": {"region": "MARS"}}"#)], "which region"),
        ];
        for (name, answers, part) in table {
            let mut exchange = exchange(&app(), "abc=", &upstreams(Some("http://127.0.0.1:9/")));
            let ExchangeStep::Call(request) = exchange.next(None) else { panic!("{name}: no call") };
            assert_eq!(request.uri(), "http://127.0.0.1:9/auth/eagle/token", "{name}");
            let steps: Vec<ExchangeStep> = answers.iter().map(|answer| exchange.next(Some(answer))).collect();
            let Some(ExchangeStep::Refused(reason)) = steps.last() else { panic!("{name}: not refused") };
            assert!(reason.0.contains(part) && !reason.0.contains("hunter2"), "{name}: {}", reason.0);
        }
    }
}
