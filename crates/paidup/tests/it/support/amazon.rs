//! Amazon, as far as the tests need it: an SNS that signs messages and publishes its certificate, and a strict receipt
//! verification service. Written for itself: it shares nothing with how messages are read.

use super::{Answer, TestHub, at};
use axum::http::{Method, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use paidup_hub::clock::Clock;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const TOPIC: &str = "arn:aws:sns:us-east-1:033616359524:LT0XA";
pub(crate) const SECRET: &str = "2:secret-of-the-tests_smXBjZkWCxDMSBv:iEzHzPjJ==";
/// The buyer, as Amazon knows them.
pub(crate) const USER: &str = "io9oFdzmCSMuKk_pp9pYccoIHRfc6kSAAYaNo51xZrg=";
/// The first receipt of a story.
pub(crate) const RECEIPT: &str = "koxIn_LO2u7rc-_MF40hKz1vqSSJSlitfTNDeH_JAs8=:3:11";
/// The one that takes its place.
pub(crate) const NEXT_RECEIPT: &str = "q1YqVrJSSs7P1UvMTazKz9PLTCwoTswtyEktM9JL=:3:11";

/// Who signs. The keys were made for these tests and guard nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signer {
    Sns,
    SomebodyElse,
}

impl Signer {
    fn pem(self) -> &'static str {
        match self {
            Signer::Sns => include_str!("sns_test_key.pem"),
            Signer::SomebodyElse => include_str!("other_sns_test_key.pem"),
        }
    }

    fn sign(self, text: &str) -> String {
        let base64: String = self.pem().lines().filter(|line| !line.starts_with('-')).collect();
        let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(base64).expect("a key")).expect("a key");
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).expect("signed");
        STANDARD.encode(signature)
    }

    pub(crate) fn certificate(self, from: i32, to: i32) -> String {
        let key = rcgen::KeyPair::from_pem(self.pem()).expect("a key");
        let mut params = rcgen::CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        params.self_signed(&key).expect("a certificate").pem()
    }
}

/// Milliseconds of a time.
pub(crate) fn millis(text: &str) -> i64 {
    at(text).as_millis()
}

/// SNS and RVS on loopback. RVS wants the secret, the right path for the environment and a receipt of that user, and refuses as
/// Amazon documents; anything else is 404.
#[derive(Clone)]
pub(crate) struct Amazon {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    /// By environment (`""`, `"/sandbox"`), user and receipt: a status and a receipt.
    receipts: BTreeMap<(String, String, String), (u16, Value)>,
    /// What the certificate's address gives.
    certificate: Option<(u16, String)>,
    called: Vec<String>,
    /// Every call of RVS is answered with this status, when set.
    always: Option<u16>,
}

impl Amazon {
    pub(crate) async fn start() -> Amazon {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let amazon = Amazon { address, kept: Arc::default() };
        amazon.publishes(200, Signer::Sns.certificate(2020, 2040));
        let answering = amazon.clone();
        let app = axum::Router::new().fallback(move |method: Method, uri: Uri| {
            let amazon = answering.clone();
            async move { amazon.answer(&method, &uri) }
        });
        tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        amazon
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, method: &Method, uri: &Uri) -> (StatusCode, String) {
        let path = uri.path().to_owned();
        let mut kept = self.kept();
        // The secret is checked and not kept: what was called is compared by the tests.
        kept.called.push(uri.to_string().replace(SECRET, "<secret>"));
        let status = |status: u16| StatusCode::from_u16(status).expect("a status");
        if method != Method::GET {
            return (status(405), String::new());
        }
        if path.ends_with(".pem") {
            let (code, pem) = kept.certificate.clone().unwrap_or_default();
            return (status(code), pem);
        }
        if uri.query().is_some_and(|query| query.starts_with("Action=ConfirmSubscription&")) && path == "/" {
            return (
                status(200),
                "<ConfirmSubscriptionResponse><ConfirmSubscriptionResult/></ConfirmSubscriptionResponse>".to_owned(),
            );
        }
        let parts: Vec<&str> = path.split('/').collect();
        let (sandbox, rest) = match parts.as_slice() {
            ["", "sandbox", rest @ ..] => ("/sandbox", rest),
            ["", rest @ ..] => ("", rest),
            _ => return (status(404), String::new()),
        };
        let ["version", "1.0", "verifyReceiptId", "developer", secret, "user", user, "receiptId", receipt] = rest
        else {
            return (status(404), String::new());
        };
        if let Some(always) = kept.always {
            return (status(always), r#"{"message":"later","status":false}"#.to_owned());
        }
        if *secret != SECRET {
            return (status(496), r#"{"message":"Invalid sharedSecret","status":false}"#.to_owned());
        }
        let refuse = |code: u16| (status(code), json!({"message": "refused", "status": false}).to_string());
        let receipts = &kept.receipts;
        match receipts.get(&(sandbox.to_owned(), (*user).to_owned(), (*receipt).to_owned())) {
            Some((200, receipt)) => (status(200), receipt.to_string()),
            Some((code, _)) => refuse(*code),
            None if receipts.keys().any(|(_, _, known)| known == receipt) => refuse(497),
            None => refuse(400),
        }
    }

    /// `name` of the settings that point the hub here.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is published where the certificate is.
    pub(crate) fn publishes(&self, status: u16, body: String) {
        self.kept().certificate = Some((status, body));
    }

    /// From now on RVS answers with this receipt.
    pub(crate) fn put(&self, sandbox: bool, receipt: &str, answer: Value) {
        self.put_status(sandbox, receipt, 200, answer);
    }

    pub(crate) fn put_status(&self, sandbox: bool, receipt: &str, status: u16, answer: Value) {
        let environment = if sandbox { "/sandbox" } else { "" };
        let key = (environment.to_owned(), USER.to_owned(), receipt.to_owned());
        self.kept().receipts.insert(key, (status, answer));
    }

    pub(crate) fn always(&self, status: Option<u16>) {
        self.kept().always = status;
    }

    pub(crate) fn called(&self) -> Vec<String> {
        self.kept().called.clone()
    }

    pub(crate) fn certificate_url(&self) -> String {
        format!("{}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem", self.url())
    }

    /// A message of SNS's, before it is signed.
    pub(crate) fn envelope(&self, id: &str, message: &Value, published_at: &str) -> Value {
        json!({
            "Type": "Notification", "MessageId": id, "TopicArn": TOPIC, "Message": message.to_string(),
            "Timestamp": published_at, "SignatureVersion": "2", "SigningCertURL": self.certificate_url(),
            "UnsubscribeURL": format!("{}/?Action=Unsubscribe", self.url())
        })
    }

    /// A confirmation or its opposite.
    pub(crate) fn confirmation(&self, kind: &str, published_at: &str) -> Value {
        let mut body = self.envelope(&format!("{kind}-1"), &json!("You have chosen"), published_at);
        body["Type"] = json!(kind);
        body["Token"] = json!("2336412f37fb687f5d51e6e241d0");
        body["SubscribeURL"] = json!(format!(
            "{}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37fb687f5d51e6e241d0",
            self.url()
        ));
        body
    }
}

/// Signed as SNS documents it.
pub(crate) fn signed(mut body: Value, signer: Signer) -> Value {
    let names: &[&str] = match body["Type"].as_str() {
        Some("Notification") => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        _ => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    };
    let mut text = String::new();
    for name in names {
        if let Some(value) = body[*name].as_str() {
            text.push_str(&format!("{name}\n{value}\n"));
        }
    }
    body["Signature"] = json!(signer.sign(&text));
    body
}

/// What the store writes about a receipt.
pub(crate) fn message(kind: &str, receipt: &str, at: &str, more: &Value) -> Value {
    merged(
        json!({
            "appPackageName": "com.example.app", "notificationType": kind, "appUserId": USER, "receiptId": receipt,
            "relatedReceipts": {}, "timestamp": millis(at), "betaProductTransaction": false
        }),
        more,
    )
}

/// A monthly subscription that renews, as RVS shows it.
pub(crate) fn receipt(bought: &str, renews: &str, more: &Value) -> Value {
    merged(
        json!({
            "autoRenewing": true, "betaProduct": false, "cancelDate": null, "cancelReason": null, "countryCode": "US",
            "deferredDate": null, "deferredSku": null, "freeTrialEndDate": null, "gracePeriodEndDate": null,
            "parentProductId": null, "productId": "pro", "productType": "SUBSCRIPTION", "promotions": null,
            "purchaseDate": millis(bought), "quantity": 1, "receiptId": RECEIPT, "renewalDate": millis(renews),
            "term": "1 Month", "termSku": "pro_monthly", "testTransaction": false
        }),
        more,
    )
}

fn merged(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

/// Sends messages to one source of a hub.
pub(crate) struct Appstore<'h> {
    pub(crate) hub: &'h TestHub,
    pub(crate) amazon: Amazon,
    pub(crate) source: String,
    sent: std::cell::Cell<u32>,
}

/// The settings that point a hub at the stand-in.
pub(crate) fn settings(url: &str) -> [(&'static str, &str); 2] {
    [("PAIDUP_AMAZON_RVS_URL", url), ("PAIDUP_AMAZON_SNS_URL", url)]
}

impl<'h> Appstore<'h> {
    pub(crate) async fn open(hub: &'h TestHub, amazon: Amazon, more: &Value) -> Appstore<'h> {
        let config = merged(json!({"topic_arn": TOPIC, "shared_secret": SECRET}), more);
        let source = hub.source("amazon", config).await;
        Appstore { hub, amazon, source, sent: std::cell::Cell::new(0) }
    }

    pub(crate) async fn post(&self, body: &Value) -> Answer {
        self.hub.call("POST", &format!("/ingest/{}", self.source), None, body.to_string().into_bytes(), &[]).await
    }

    /// Moves the clock to that moment (never back), and sends what Amazon writes then.
    pub(crate) async fn send(&self, kind: &str, receipt: &str, at: &str, more: &Value) {
        let moment = super::at(at);
        if moment > self.hub.clock.now() {
            self.hub.clock.advance(moment.since(self.hub.clock.now()));
        }
        self.sent.set(self.sent.get() + 1);
        let id = format!("b1c4d9bb-0fd9-54b2-8f74-{:012}", self.sent.get());
        let body = self.amazon.envelope(&id, &message(kind, receipt, at, more), at);
        self.post(&signed(body, Signer::Sns)).await.expect(200);
    }

    /// RVS knows the receipt like this from now on; then the message comes. Answers what was told once RVS was asked.
    pub(crate) async fn tell(&self, kind: &str, at: &str, answer: Value) -> Vec<String> {
        self.tell_of(kind, RECEIPT, at, answer, &json!({})).await
    }

    pub(crate) async fn tell_of(
        &self,
        kind: &str,
        receipt: &str,
        at: &str,
        answer: Value,
        more: &Value,
    ) -> Vec<String> {
        let before = self.hub.types().await.len();
        let is_test = more["betaProductTransaction"] == true;
        self.amazon.put(is_test, receipt, answer);
        self.send(kind, receipt, at, more).await;
        self.looked_up().await;
        self.hub.types().await.split_off(before)
    }

    /// Waits until nothing waits to be looked up.
    pub(crate) async fn looked_up(&self) {
        let done = async |hub: &TestHub| {
            let waiting = hub.get("/v1/lookups").await;
            let none = waiting["data"].as_array().is_some_and(|rows| rows.iter().all(|row| row["state"] != "waiting"));
            none.then_some(())
        };
        self.hub.until("RVS to be asked", done).await;
    }

    /// Waits until something was told since `before` events, while time passes.
    pub(crate) async fn told_since(&self, before: usize) -> Vec<String> {
        let ready = async |hub: &TestHub| {
            self.hub.clock.advance(std::time::Duration::from_secs(1));
            let types = hub.types().await;
            (types.len() > before).then(|| types[before..].to_vec())
        };
        self.hub.until("something to be told", ready).await
    }
}

/// Nothing that was logged holds the secret.
pub(crate) fn check_log() {
    super::log::check(&[SECRET, &SECRET[..20]]);
}
