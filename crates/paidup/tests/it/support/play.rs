//! Google, as far as the tests need it: pushes with tokens of Google's, and an API that answers as Google documents: access
//! tokens for a signed grant, the keys that tokens are signed with, purchases by their paths. Written for itself: it shares
//! nothing with how pushes and answers are read.

use super::{Answer, TestHub, at};
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use paidup_hub::clock::Clock;
use paidup_lifecycle::time::Timestamp;
use paidup_simulator::rsa::{Holder, RsaKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const PACKAGE: &str = "com.example.app";
pub(crate) const AUDIENCE: &str = "https://hub.example.com/ingest/play";
pub(crate) const SENDER: &str = "push@example.iam.gserviceaccount.com";
const ACCOUNT: &str = "api@example.iam.gserviceaccount.com";
const ACCESS_TOKEN: &str = "ya29.secret-of-the-tests-0123456789";
pub(crate) const KID: &str = "test-key";

/// A token of that header and those claims, signed by that holder.
pub(crate) fn jwt(holder: Holder, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(RsaKey::of(holder).sign_sha256(signed.as_bytes())))
}

/// What Google says of whoever pushes.
pub(crate) fn claims(now: Timestamp) -> Value {
    let seconds = now.as_seconds();
    json!({"iss": "https://accounts.google.com", "aud": AUDIENCE, "azp": "1", "sub": "1", "email": SENDER,
        "email_verified": true, "iat": seconds, "exp": seconds + 3600})
}

/// What Pub/Sub pushes with that in it.
pub(crate) fn envelope(id: &str, notification: &Value) -> Vec<u8> {
    let data = STANDARD.encode(notification.to_string());
    json!({"message": {"data": data, "messageId": id, "message_id": id, "publishTime": "2026-01-01T00:00:00Z"},
        "subscription": "projects/p/subscriptions/s"})
    .to_string()
    .into_bytes()
}

/// A notification about a subscription.
pub(crate) fn about(when: &str, number: i64, token: &str) -> Value {
    let told = json!({"version": "1.0", "notificationType": number, "purchaseToken": token, "subscriptionId": "pro"});
    notification(when, "subscriptionNotification", told)
}

pub(crate) fn notification(when: &str, member: &str, told: Value) -> Value {
    let mut all =
        json!({"version": "1.0", "packageName": PACKAGE, "eventTimeMillis": at(when).as_millis().to_string()});
    all[member] = told;
    all
}

/// A product of a subscription, at its regular price.
pub(crate) fn item(product: &str, order: &str, ends: &str) -> Value {
    let price = json!({"currencyCode": "USD", "units": "9", "nanos": 990_000_000});
    json!({"productId": product, "expiryTime": ends, "latestSuccessfulOrderId": order, "offerPhase": {"basePrice": {}},
        "autoRenewingPlan": {"autoRenewEnabled": true, "recurringPrice": price}})
}

/// The same with renewal off: Google leaves the flag out then.
pub(crate) fn ending(mut item: Value) -> Value {
    item["autoRenewingPlan"].as_object_mut().expect("a plan").remove("autoRenewEnabled");
    item
}

/// How a subscription stands; `more` goes into it.
pub(crate) fn subscription(state: &str, starts: &str, items: Value, more: Value) -> Value {
    let mut all = json!({"kind": "androidpublisher#subscriptionPurchaseV2", "startTime": starts, "regionCode": "US",
        "subscriptionState": format!("SUBSCRIPTION_STATE_{state}"), "lineItems": items,
        "acknowledgementState": "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED",
        "externalAccountIdentifiers": {"obfuscatedExternalAccountId": "user-1"}});
    if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    all
}

/// How a one-time purchase stands.
pub(crate) fn product(state: &str, product: &str, order: &str) -> Value {
    json!({"kind": "androidpublisher#productPurchaseV2", "orderId": order, "regionCode": "US",
        "purchaseStateContext": {"purchaseState": state}, "purchaseCompletionTime": "2026-01-01T00:00:00Z",
        "obfuscatedExternalAccountId": "user-1", "acknowledgementState": "ACKNOWLEDGEMENT_STATE_ACKNOWLEDGED",
        "productLineItem": [{"productId": product, "productOfferDetails": {"quantity": 1}}]})
}

/// An order of one product.
pub(crate) fn order(id: &str, token: &str, product: &str, units: &str) -> Value {
    let total = json!({"currencyCode": "USD", "units": units, "nanos": 0});
    json!({"orderId": id, "purchaseToken": token, "state": "PROCESSED", "total": total,
        "lineItems": [{"productId": product, "total": total}]})
}

/// A hub with one Play source, and Google beside it.
pub(crate) struct Shop {
    pub(crate) hub: TestHub,
    pub(crate) source: String,
    pub(crate) google: Google,
    sent: std::cell::Cell<u32>,
}

impl Shop {
    pub(crate) async fn open(now: &str) -> Shop {
        Shop::open_with(now, json!({})).await
    }

    /// `more` goes into the source's config.
    pub(crate) async fn open_with(now: &str, more: Value) -> Shop {
        let google = Google::start().await;
        let settings = google.settings();
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let hub = TestHub::start_with(now, &settings).await;
        Shop::around(hub, google, more).await
    }

    /// In a hub that was started with Google's settings.
    pub(crate) async fn around(hub: TestHub, google: Google, more: Value) -> Shop {
        let mut config = json!({"package_name": PACKAGE, "audience": AUDIENCE, "service_account_email": SENDER,
            "credentials": key_file()});
        if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
            config.extend(more.clone());
        }
        let source = hub.source("play", config).await;
        Shop { hub, source, google, sent: std::cell::Cell::new(0) }
    }

    /// A body as it comes, with that token.
    pub(crate) async fn post(&self, token: Option<&str>, body: &[u8]) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        self.hub.call("POST", &format!("/ingest/{}", self.source), None, body.to_vec(), &headers).await
    }

    /// Pushes a notification as Google does, each under an id of its own.
    pub(crate) async fn push(&self, notification: &Value) -> Answer {
        self.sent.set(self.sent.get() + 1);
        self.push_as(&format!("message-{}", self.sent.get()), notification).await
    }

    pub(crate) async fn push_as(&self, id: &str, notification: &Value) -> Answer {
        let header = json!({"alg": "RS256", "kid": KID, "typ": "JWT"});
        let token = jwt(Holder::Google, &header, &claims(self.hub.clock.now()));
        self.post(Some(&token), &envelope(id, notification)).await
    }

    /// Moves the clock to that moment, never back.
    pub(crate) async fn to(&self, when: &str) {
        let when = at(when);
        if when > self.hub.clock.now() {
            self.hub.clock.advance(when.since(self.hub.clock.now()));
        }
    }

    /// At that moment Google knows this of a subscription and pushes its number; answers what was told since, once all was
    /// looked up.
    pub(crate) async fn tell(&self, when: &str, number: i64, token: &str, answer: Value) -> Vec<String> {
        self.google.put(&subscription_path(token), answer);
        self.told_by(when, &about(when, number, token)).await
    }

    /// At that moment Google pushes this; answers what was told since, once all was looked up.
    pub(crate) async fn told_by(&self, when: &str, notification: &Value) -> Vec<String> {
        let before = self.hub.types().await.len();
        self.to(when).await;
        self.push(notification).await.expect(200);
        self.looked_up().await;
        self.hub.types().await.split_off(before)
    }

    /// Waits until nothing waits for Google.
    pub(crate) async fn looked_up(&self) {
        let done = async |hub: &TestHub| {
            let waiting = hub.get("/v1/lookups").await;
            waiting["data"].as_array().is_some_and(Vec::is_empty).then_some(())
        };
        self.hub.until("all to be looked up", done).await;
    }

    /// The one lookup that waits, after a first try.
    pub(crate) async fn tried(&self) -> Value {
        let tried = async |hub: &TestHub| {
            let row = hub.get("/v1/lookups").await["data"][0].clone();
            (row["attempts"].as_i64() >= Some(1)).then_some(row)
        };
        self.hub.until("a first try", tried).await
    }

    /// Waits until `ready` answers something, while time passes.
    pub(crate) async fn in_time<T>(&self, what: &str, mut ready: impl AsyncFnMut(&TestHub) -> Option<T>) -> T {
        let clock = &self.hub.clock;
        let passing = async |hub: &TestHub| {
            clock.advance(std::time::Duration::from_secs(1));
            ready(hub).await
        };
        self.hub.until(what, passing).await
    }

    /// Waits, while time passes, until something was told since `before` events; answers it.
    pub(crate) async fn told_since(&self, before: usize, what: &str) -> Vec<String> {
        let ready = async |hub: &TestHub| {
            let types = hub.types().await;
            (types.len() > before).then(|| types[before..].to_vec())
        };
        self.in_time(what, ready).await
    }

    /// The purchases of the customer.
    pub(crate) async fn purchases(&self) -> Vec<Value> {
        self.hub.get("/v1/customers/user-1").await["purchases"].as_array().expect("purchases").clone()
    }

    /// Folds the journal into an empty database: the same bytes, and nobody is asked.
    pub(crate) async fn rebuilds(&self) {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("again.db").display());
        let into: Arc<dyn paidup_store::Store> =
            paidup_store::open(&url, paidup_store::OpenOptions::default()).await.expect("a database");
        let report = paidup_hub::rebuild::verify(&self.hub.hub, &into, &|_, _| {}).await.expect("a report");
        assert!(report.is_equal(), "{:#?}", report.mismatches);
    }

    pub(crate) async fn stop(self) {
        self.hub.stop().await;
        let pem = RsaKey::of(Holder::ServiceAccount).pem();
        let line = pem.lines().find(|line| !line.starts_with("-----") && line.len() > 40).expect("a key");
        super::log::check(&[ACCESS_TOKEN, line]);
    }
}

/// The key file of the service account.
pub(crate) fn key_file() -> Value {
    json!({"type": "service_account", "client_email": ACCOUNT, "private_key_id": "account-key",
        "private_key": RsaKey::of(Holder::ServiceAccount).pem(), "token_uri": "https://oauth2.googleapis.com/token"})
}

fn path(rest: &str) -> String {
    format!("/androidpublisher/v3/applications/{PACKAGE}/{rest}")
}

pub(crate) fn subscription_path(token: &str) -> String {
    path(&format!("purchases/subscriptionsv2/tokens/{token}"))
}

pub(crate) fn product_path(token: &str) -> String {
    path(&format!("purchases/productsv2/tokens/{token}"))
}

pub(crate) fn order_path(order: &str) -> String {
    path(&format!("orders/{order}"))
}

pub(crate) fn acknowledge_path(product: &str, token: &str) -> String {
    path(&format!("purchases/subscriptions/{product}/tokens/{token}:acknowledge"))
}

/// Google on loopback. It wants a token that it handed out, and answers 404 as Google does.
#[derive(Clone)]
pub(crate) struct Google {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    answers: BTreeMap<String, Value>,
    called: Vec<String>,
    trouble: Option<Trouble>,
    keys: KeyServer,
    keys_asked: usize,
    tokens: usize,
}

/// What the API does to every call.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// Answers with this status and body.
    Says(u16, String),
    /// Never answers.
    Hangs,
}

/// What the key server does.
#[derive(Debug, Clone, Default)]
pub(crate) enum KeyServer {
    /// Google's key.
    #[default]
    Right,
    /// This status and body.
    Says(u16, String),
}

impl Google {
    pub(crate) async fn start() -> Google {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let google = Google { address: listener.local_addr().expect("an address"), kept: Arc::default() };
        let answering = google.clone();
        let app = axum::Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let google = answering.clone();
            async move {
                match google.answer(&method, &uri, &headers, &body) {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
        });
        tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        google
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hub's settings that lead here.
    pub(crate) fn settings(&self) -> [(&'static str, String); 3] {
        let url = format!("http://{}", self.address);
        [
            ("PAIDUP_GOOGLE_OAUTH_URL", format!("{url}/token")),
            ("PAIDUP_PLAY_API_URL", url),
            ("PAIDUP_ALLOW_PRIVATE_TARGETS", "127.0.0.0/8".to_owned()),
        ]
    }

    fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<Response> {
        match (method.as_str(), uri.path()) {
            ("GET", "/oauth2/v3/certs") => {
                let mut kept = self.kept();
                kept.keys_asked += 1;
                Some(match &kept.keys {
                    KeyServer::Right => axum::Json(key_set()).into_response(),
                    KeyServer::Says(status, body) => (code(*status), body.clone()).into_response(),
                })
            }
            ("POST", "/token") => Some(self.token(headers, body)),
            _ => self.api(method, uri, headers),
        }
    }

    fn token(&self, headers: &HeaderMap, body: &[u8]) -> Response {
        let is_form = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/x-www-form-urlencoded");
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
        let grants = form.get("grant_type").is_some_and(|kind| kind == "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let assertion = form.get("assertion").cloned().unwrap_or_default();
        if !(is_form && grants && is_signed_grant(&assertion)) {
            return (StatusCode::BAD_REQUEST, axum::Json(json!({"error": "invalid_grant"}))).into_response();
        }
        self.kept().tokens += 1;
        axum::Json(json!({"access_token": ACCESS_TOKEN, "expires_in": 3599, "token_type": "Bearer"})).into_response()
    }

    fn api(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let mut kept = self.kept();
        if authorization != Some(format!("Bearer {ACCESS_TOKEN}").as_str()) {
            return Some(error(401, "UNAUTHENTICATED", "authError"));
        }
        kept.called.push(if method == Method::GET { uri.to_string() } else { format!("{method} {uri}") });
        match &kept.trouble {
            Some(Trouble::Hangs) => return None,
            Some(Trouble::Says(status, body)) => return Some((code(*status), body.clone()).into_response()),
            None => {}
        }
        if method == Method::POST {
            let is_acknowledging = uri.path().ends_with(":acknowledge");
            return Some(if is_acknowledging { StatusCode::OK.into_response() } else { error(405, "X", "method") });
        }
        Some(match kept.answers.get(&uri.to_string()) {
            Some(answer) => axum::Json(answer.clone()).into_response(),
            None => error(404, "NOT_FOUND", "purchaseTokenNotFound"),
        })
    }

    /// From now on this is answered.
    pub(crate) fn put(&self, path: &str, answer: Value) {
        self.kept().answers.insert(path.to_owned(), answer);
    }

    pub(crate) fn trouble(&self, trouble: Option<Trouble>) {
        self.kept().trouble = trouble;
    }

    pub(crate) fn key_server(&self, does: KeyServer) {
        self.kept().keys = does;
    }

    /// Calls of the API, in order.
    pub(crate) fn called(&self) -> Vec<String> {
        self.kept().called.clone()
    }

    pub(crate) fn keys_asked(&self) -> usize {
        self.kept().keys_asked
    }

    /// How many access tokens were handed out.
    pub(crate) fn tokens(&self) -> usize {
        self.kept().tokens
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status")
}

/// An error as Google writes it.
fn error(status: u16, kind: &str, reason: &str) -> Response {
    let body = json!({"error": {"code": status, "status": kind, "message": reason, "errors": [{"reason": reason}]}});
    (code(status), axum::Json(body)).into_response()
}

fn key_set() -> Value {
    let (n, e) = RsaKey::of(Holder::Google).public();
    let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
    json!({"keys": [{"kty": "RSA", "kid": KID, "alg": "RS256", "use": "sig", "n": n, "e": e}]})
}

fn is_signed_grant(assertion: &str) -> bool {
    let Some((signed, signature)) = assertion.rsplit_once('.') else { return false };
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    let claims = signed.split_once('.').and_then(|(_, claims)| URL_SAFE_NO_PAD.decode(claims).ok()).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
    let is_right = claims["iss"] == ACCOUNT
        && claims["aud"] == "https://oauth2.googleapis.com/token"
        && claims["scope"] == "https://www.googleapis.com/auth/androidpublisher"
        && claims["exp"].as_i64().zip(claims["iat"].as_i64()).is_some_and(|(exp, iat)| exp - iat <= 3600);
    is_right && RsaKey::of(Holder::ServiceAccount).verifies_sha256(signed.as_bytes(), &signature)
}
