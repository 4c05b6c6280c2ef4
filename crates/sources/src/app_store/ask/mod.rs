//! Requests to the App Store Server API.
//!
//! Everything that is asked is a lookup. Its name says what and in which environment, so this file alone knows which
//! request it stands for; its context is what reading the answer needs besides (a page's token, a body to send). `answer.rs`
//! proves and reads what comes back, `refusal.rs` says what an error means, `history.rs` walks through what Apple sent,
//! `consumption.rs` answers what Apple asks, `line.rs` tests the line, `token.rs` holds the key.
//! <https://developer.apple.com/documentation/appstoreserverapi>

pub(super) mod answer;
pub(super) mod consumption;
pub(super) mod history;
pub(super) mod line;
pub(super) mod refusal;
pub(super) mod token;

use crate::Lookup;
use bytes::Bytes;
use consumption::Sending;
use history::Page;
use http::{HeaderValue, Method, header};
use paidup_lifecycle::observation::{Environment, Kind};
use paidup_lifecycle::time::Timestamp;
use token::ApiKey;

/// Apple's hosts, since 2026-05. The older `api.storekit.itunes.apple.com` still answers.
const PRODUCTION: &str = "https://api.storekit.apple.com";
const SANDBOX: &str = "https://api.storekit-sandbox.apple.com";

/// The longest id that goes into a path. Apple's have up to 36 characters, products up to 100 in App Store Connect.
const MAX_SEGMENT: usize = 128;

/// The App Store Server API, with a key.
pub(super) struct Api {
    production: String,
    sandbox: String,
    key: ApiKey,
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// How a subscription stands, by any of its transactions.
    Status(Environment, &'a str),
    /// A transaction as it stands: how one-time purchases are asked for.
    Transaction(Environment, &'a str),
    /// A page of what Apple sent, or tried to.
    History(Environment, Page),
    /// Not asked but told: how much of a transaction was used.
    Consumption(Environment, &'a str),
    /// How far an extension of all subscriptions to a product has come.
    Extension(Environment, &'a str, &'a str),
}

impl<'a> Wanted<'a> {
    /// What asks how a purchase stands. Of an unknown kind: as a subscription.
    pub(super) fn purchase(environment: Environment, kind: Option<Kind>, id: &'a str) -> Wanted<'a> {
        match kind {
            Some(Kind::NonConsumable | Kind::Consumable | Kind::NonRenewing) => Wanted::Transaction(environment, id),
            Some(Kind::Subscription | Kind::Grant | Kind::Temporary) | None => Wanted::Status(environment, id),
        }
    }

    pub(super) fn name(self) -> String {
        let place = self.environment().as_str().to_ascii_lowercase();
        match self {
            Wanted::Status(_, id) => format!("status/{place}/{id}"),
            Wanted::Transaction(_, id) => format!("transaction/{place}/{id}"),
            Wanted::History(_, page) => format!("history/{place}/{page}"),
            Wanted::Consumption(_, id) => format!("consumption/{place}/{id}"),
            Wanted::Extension(_, product, request) => format!("extension/{place}/{product}/{request}"),
        }
    }

    pub(super) fn of_name(name: &'a str) -> Option<Wanted<'a>> {
        let (kind, rest) = name.split_once('/')?;
        let (place, rest) = rest.split_once('/')?;
        let environment = match place {
            "production" => Environment::Production,
            "sandbox" => Environment::Sandbox,
            _ => return None,
        };
        Some(match kind {
            "status" => Wanted::Status(environment, rest),
            "transaction" => Wanted::Transaction(environment, rest),
            "history" => Wanted::History(environment, Page::parse(rest)?),
            "consumption" => Wanted::Consumption(environment, rest),
            "extension" => {
                let (product, request) = rest.split_once('/')?;
                Wanted::Extension(environment, product, request)
            }
            _ => return None,
        })
    }

    pub(super) const fn environment(self) -> Environment {
        match self {
            Wanted::Status(environment, _)
            | Wanted::Transaction(environment, _)
            | Wanted::History(environment, _)
            | Wanted::Consumption(environment, _)
            | Wanted::Extension(environment, _, _) => environment,
        }
    }

    /// As a lookup. `None`: an id that cannot stand in a path, which is none of Apple's.
    pub(super) fn lookup(self, context: String, why: &'static str) -> Option<Lookup> {
        self.is_sound().then(|| Lookup { name: self.name(), context, why, unless_known: None })
    }

    fn is_sound(self) -> bool {
        match self {
            Wanted::Status(_, id) | Wanted::Transaction(_, id) | Wanted::Consumption(_, id) => is_segment(id),
            Wanted::Extension(_, product, request) => is_segment(product) && is_segment(request),
            Wanted::History(_, _) => true,
        }
    }
}

/// What may stand between two slashes. Also when it was read from a name: those come from the database.
fn is_segment(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_SEGMENT).contains(&text.len()) && text.bytes().all(is_plain) && text.bytes().any(|byte| byte != b'.')
}

impl Api {
    /// `base` replaces both of Apple's hosts.
    pub(super) fn new(base: Option<&str>, key: ApiKey) -> Api {
        let place = |own: &str| base.unwrap_or(own).trim_end_matches('/').to_owned();
        Api { production: place(PRODUCTION), sandbox: place(SANDBOX), key }
    }

    /// The request that a lookup stands for. `None`: none of ours, or one that it is too late for.
    pub(super) fn look_up(&self, name: &str, context: &str, now: Timestamp) -> Option<http::Request<Bytes>> {
        let wanted = Wanted::of_name(name).filter(|wanted| wanted.is_sound())?;
        let (method, path, body) = match wanted {
            Wanted::Status(_, id) => (Method::GET, format!("/inApps/v1/subscriptions/{id}"), None),
            Wanted::Transaction(_, id) => (Method::GET, format!("/inApps/v1/transactions/{id}"), None),
            Wanted::History(_, page) => (Method::POST, page.path(context), Some(page.body())),
            Wanted::Consumption(_, id) => {
                let sending = Sending::parse(context).filter(|sending| now.as_millis() < sending.until)?;
                let path = format!("/inApps/v2/transactions/consumption/{id}");
                (Method::PUT, path, Some(sending.body.to_string()))
            }
            Wanted::Extension(_, product, request) => {
                (Method::GET, format!("/inApps/v1/subscriptions/extend/mass/{product}/{request}"), None)
            }
        };
        self.request(wanted.environment(), method, &path, body, now)
    }

    fn request(
        &self,
        environment: Environment,
        method: Method,
        path: &str,
        body: Option<String>,
        now: Timestamp,
    ) -> Option<http::Request<Bytes>> {
        let host = match environment {
            Environment::Production => &self.production,
            Environment::Sandbox => &self.sandbox,
        };
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{host}{path}"))
            .header(header::AUTHORIZATION, self.key.authorization(now)?)
            .header(header::ACCEPT, HeaderValue::from_static("application/json"));
        match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.into_bytes().into())
                .ok(),
            None => request.body(Bytes::new()).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_asked() {
        let page = Page { only_failures: true, start: 1, end: 2, restarts: 0, number: 3 };
        for (wanted, name) in [
            (Wanted::Status(Environment::Production, "1"), "status/production/1"),
            (Wanted::Transaction(Environment::Sandbox, "1"), "transaction/sandbox/1"),
            (Wanted::History(Environment::Sandbox, page), "history/sandbox/failures/1/2/0.3"),
            (Wanted::Consumption(Environment::Production, "1"), "consumption/production/1"),
            (Wanted::Extension(Environment::Production, "pro", "a-b"), "extension/production/pro/a-b"),
        ] {
            assert_eq!(wanted.name(), name);
            assert_eq!(Wanted::of_name(name), Some(wanted));
        }
        for name in ["", "status/1", "status/xcode/1", "history/production/some/1/2/0.0", "secret/production/1"] {
            assert_eq!(Wanted::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn only_ids_that_can_stand_in_a_path_are_asked_for() {
        for id in ["", "..", "1/2", "1?x", "1#x", "1 2", "1%2f", "ü", &"1".repeat(129)] {
            assert_eq!(Wanted::Status(Environment::Production, id).lookup(String::new(), "a test"), None, "{id}");
        }
        assert!(Wanted::Status(Environment::Production, "2000000123").lookup(String::new(), "a test").is_some());
    }
}
