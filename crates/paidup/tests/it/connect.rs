//! Connecting an Intercom workspace by OAuth, over real HTTP.

use crate::support::{Answer, TestHub, at};
use paidup_simulator::edge::Clock;
use paidup_simulator::standins::intercom::workspace::{CLIENT_ID, CLIENT_SECRET};
use paidup_simulator::standins::intercom::{Fault, Intercom, IntercomOptions};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

const FROM: &str = "2026-01-01T00:00:00Z";
const CALLBACK: &str = "https://hub.example/v1/destinations/intercom/callback";

struct Fixture {
    hub: TestHub,
    intercom: Intercom,
    clock: Clock,
}

impl Fixture {
    async fn new() -> Fixture {
        let clock = Clock::manual(at(FROM).as_millis());
        let options = IntercomOptions { clock: clock.clone(), region: "EU", ..IntercomOptions::default() };
        let intercom = Intercom::start(options).await.expect("a stand-in");
        intercom.register_redirects(&[CALLBACK]);
        let (api, oauth) = (intercom.api_url(), intercom.oauth_url());
        let settings = [
            ("PAIDUP_PUBLIC_URL", "https://hub.example"),
            ("PAIDUP_INTERCOM_API_URL", api.as_str()),
            ("PAIDUP_INTERCOM_OAUTH_URL", oauth.as_str()),
            ("PAIDUP_INTERCOM_CLIENT_ID", CLIENT_ID),
            ("PAIDUP_INTERCOM_CLIENT_SECRET", CLIENT_SECRET),
        ];
        Fixture { hub: TestHub::start_with(FROM, &settings).await, intercom, clock }
    }

    async fn begin(&self, what: &str, body: Value) -> Value {
        self.hub.api("POST", &format!("/v1/destinations/{what}/connect"), body).await.expect(200)
    }

    /// The person agrees: where the browser is sent back to, as a path of the hub.
    async fn agree(&self, begun: &Value) -> String {
        #[allow(clippy::disallowed_methods)] // a test is the outside
        let browser =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a browser");
        let page = browser.get(begun["url"].as_str().expect("a page")).send().await.expect("an answer");
        assert_eq!(page.status(), 302);
        let back = Url::parse(page.headers()["location"].to_str().expect("text")).expect("a URL");
        assert!(back.as_str().starts_with(CALLBACK), "{back}");
        format!("{}?{}", back.path(), back.query().expect("code and state"))
    }

    /// The browser comes back, without any key.
    async fn come_back(&self, path: &str) -> Answer {
        self.hub.call("GET", path, None, Vec::new(), &[]).await
    }
}

#[tokio::test]
async fn a_person_agrees_and_the_destination_works() {
    let f = Fixture::new().await;
    let config = json!({"missing_contact": "skip"});
    let begun = f.begin("intercom", json!({"name": "Support", "config": config})).await;
    assert_eq!((&begun["redirect_uri"], &begun["expires_at"]), (&json!(CALLBACK), &json!("2026-01-01T00:10:00Z")));
    let page = begun["url"].as_str().expect("a page");
    assert!(!page.contains(CLIENT_SECRET) && !page.contains("scope"), "{page}");
    let back = f.agree(&begun).await;
    assert!(back.contains("%3D&state="), "the code ends in an equals sign: {back}");
    let answer = f.come_back(&back).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let connected = answer.expect(200);
    assert!(connected["message"].as_str().expect("words").contains("Simulated workspace"), "{connected}");
    let made = &connected["destination"];
    let config = &made["config"];
    assert_eq!(
        (&made["name"], &config["region"], &config["missing_contact"]),
        (&json!("Support"), &json!("eu"), &json!("skip"))
    );
    assert!(!connected.to_string().contains("dG9rOm9hdXRo"), "the token is not shown: {connected}");
    let path = format!("/v1/destinations/{}", made["id"].as_str().expect("an id"));
    let test = f.hub.api("POST", &format!("{path}/test"), json!({})).await.expect(200);
    assert_eq!(test["delivered"], true, "{test}");
    assert!(test["findings"].as_array().is_some_and(|found| !found.is_empty()), "in words: {test}");
    let again = f.come_back(&back).await.expect(401);
    assert!(again["detail"].as_str().expect("words").contains("begin again"), "good once: {again}");

    // The app is uninstalled, and connected again.
    f.intercom.revoke_tokens();
    let test = f.hub.api("POST", &format!("{path}/test"), json!({})).await.expect(200);
    assert_eq!(test["delivered"], false, "{test}");
    let begun = f.begin(made["id"].as_str().expect("an id"), json!({})).await;
    let connected = f.come_back(&f.agree(&begun).await).await.expect(200);
    assert_eq!(connected["destination"]["config"]["missing_contact"], "skip", "other settings stay");
    let test = f.hub.api("POST", &format!("{path}/test"), json!({})).await.expect(200);
    assert_eq!(test["delivered"], true, "{test}");
    assert_eq!(f.hub.get("/v1/destinations").await["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(f.intercom.report().violations, Vec::<String>::new());
    f.hub.stop().await;
}

#[tokio::test]
async fn a_state_is_worth_nothing_to_others_and_later() {
    let f = Fixture::new().await;
    for path in [
        "/v1/destinations/intercom/callback".to_owned(),
        "/v1/destinations/intercom/callback?code=a&state=guessed".to_owned(),
        "/v1/destinations/webhook/callback?code=a&state=guessed".to_owned(),
    ] {
        f.come_back(&path).await.expect(401);
    }
    let late = f.agree(&f.begin("intercom", json!({})).await).await;
    f.clock.advance(Duration::from_secs(600));
    f.hub.clock.advance(Duration::from_secs(600));
    f.come_back(&late).await.expect(401);

    let elsewhere = f.agree(&f.begin("intercom", json!({})).await).await;
    f.come_back(&elsewhere.replace("/intercom/", "/webhook/")).await.expect(401);
    f.come_back(&elsewhere).await.expect(401);

    let key = json!({"name": "dashboard", "scopes": ["write"]});
    let key = f.hub.api("POST", "/v1/keys", key).await.expect(201);
    let held = key["key"].as_str().expect("a key");
    let begun =
        f.hub.call("POST", "/v1/destinations/intercom/connect", Some(held), b"{}".to_vec(), &[]).await.expect(200);
    let back = f.agree(&begun).await;
    f.hub.api("DELETE", &format!("/v1/keys/{}", key["id"].as_str().expect("an id")), Value::Null).await.expect(204);
    let refused = f.come_back(&back).await.expect(403);
    assert!(refused["detail"].as_str().expect("words").contains("revoked"), "{refused}");
    assert_eq!(f.hub.get("/v1/destinations").await["data"], json!([]), "nothing was made by any of it");
    f.hub.stop().await;
}

#[tokio::test]
async fn what_goes_wrong_is_said_in_words() {
    let f = Fixture::new().await;
    // (what the workspace does, part of the words)
    let table =
        [(Fault::Status(401), "begin again"), (Fault::Status(503), "busy or down"), (Fault::Nonsense, "no JSON")];
    for (fault, part) in table {
        let back = f.agree(&f.begin("intercom", json!({})).await).await;
        f.intercom.fail_next(1, fault);
        let refused = f.come_back(&back).await.expect(422);
        assert!(refused["detail"].as_str().expect("words").contains(part), "{fault:?}: {refused}");
    }
    let back = f.agree(&f.begin("intercom", json!({"config": {"access_tokn": "x"}})).await).await;
    assert!(f.come_back(&back).await.expect(422).to_string().contains("access_tokn"));
    let key = f.hub.api("POST", "/v1/keys", json!({"name": "r", "scopes": ["read"]})).await.expect(201);
    let read = key["key"].as_str();
    let begin = "/v1/destinations/intercom/connect";
    assert_eq!(f.hub.call("POST", begin, read, b"{}".to_vec(), &[]).await.status, 403);
    assert_eq!(f.hub.call("POST", begin, None, b"{}".to_vec(), &[]).await.status, 401);
    let webhook = f.hub.api("POST", "/v1/destinations/webhook/connect", json!({})).await.expect(404);
    assert!(webhook["detail"].as_str().expect("words").contains("not connected this way"), "{webhook}");
    f.hub.stop().await;

    let plain = TestHub::start(FROM).await;
    let missing = plain.api("POST", begin, json!({})).await.expect(409);
    let words = missing["detail"].as_str().expect("words");
    assert!(words.contains("PAIDUP_INTERCOM_CLIENT_ID") && words.contains("access token"), "{words}");
    plain.stop().await;
    let app = [("PAIDUP_INTERCOM_CLIENT_ID", CLIENT_ID), ("PAIDUP_INTERCOM_CLIENT_SECRET", CLIENT_SECRET)];
    let insecure = TestHub::start_with(FROM, &app).await;
    let refused = insecure.api("POST", begin, json!({})).await.expect(409);
    assert!(refused["detail"].as_str().expect("words").contains("PAIDUP_PUBLIC_URL"), "{refused}");
    insecure.stop().await;
}
