//! The App Store Server API: what is asked, what is believed of the answers, and what an app's backend may show.

use super::samples::sample;
use super::signing::{Chain, Oddities};
use super::{APP, BUNDLE};
use crate::{
    Ask, Claim, Claimed, Lookup, ProvenAnswer, Reading, Rejection, RejectionKind, Source, Upstreams, Wanted,
    looked_up_id,
};
use bytes::Bytes;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{Environment, Hint, Kind, Origin, Standing};
use paidup_lifecycle::time::Timestamp;
use serde_json::{Value, json};

const STATUS: &str = "status/production/2000000000000001";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-02-10T00:00:00Z")
}

/// A source with a key, which believes in this chain.
fn asking(chain: &Chain, more: Value) -> Box<dyn Source> {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let mut settings = json!({
        "bundle_id": BUNDLE, "app_apple_id": APP, "root_certificates": [chain.root_pem],
        "api": {"issuer_id": "issuer", "key_id": "KEY1", "private_key": key},
    });
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    let settings = serde_json::value::to_raw_value(&settings).unwrap();
    (super::DEFINITION.open)(SourceId([7; 16]), &settings, &Upstreams::default()).unwrap()
}

/// The renewal of the sample, signed again when it was asked for.
fn renewal() -> (Value, Value) {
    let sample = sample("did_renew");
    let (mut transaction, mut renewal) = (sample["transaction"].clone(), sample["renewal"].clone());
    for part in [&mut transaction, &mut renewal] {
        part["signedDate"] = json!(now().as_millis());
    }
    (transaction, renewal)
}

fn id_of(transaction: &Value) -> String {
    transaction["originalTransactionId"].as_str().unwrap().to_owned()
}

fn status(chain: &Chain, status: i64, transaction: &Value, renewal: &Value) -> Value {
    json!({
        "environment": "Production", "bundleId": BUNDLE, "appAppleId": APP,
        "data": [{"subscriptionGroupIdentifier": "1", "lastTransactions": [{
            "status": status, "originalTransactionId": transaction["originalTransactionId"],
            "signedTransactionInfo": chain.sign(transaction), "signedRenewalInfo": chain.sign(renewal),
        }]}],
    })
}

fn prove(source: &dyn Source, name: &str, body: &Value) -> Result<ProvenAnswer, Rejection> {
    source.prove_answer(&Wanted::Lookup(name, ""), body.to_string().into(), now())
}

fn read(source: &dyn Source, name: &str, context: &str, body: &[u8]) -> Reading {
    source.read_kept(&looked_up_id(now(), name, context), body).unwrap()
}

fn uri(source: &dyn Source, lookup: &Lookup) -> (String, String, String) {
    let request = source.look_up(lookup, now()).unwrap();
    let body = String::from_utf8(request.body().to_vec()).unwrap();
    (request.method().to_string(), request.uri().to_string(), body)
}

#[test]
fn a_subscription_and_a_one_time_purchase_are_asked_for_where_they_were_bought() {
    let chain = Chain::new();
    let source = asking(&chain, json!({}));
    for (environment, kind, expected) in [
        (
            Environment::Production,
            Some(Kind::Subscription),
            "https://api.storekit.apple.com/inApps/v1/subscriptions/77",
        ),
        (Environment::Sandbox, None, "https://api.storekit-sandbox.apple.com/inApps/v1/subscriptions/77"),
        (
            Environment::Sandbox,
            Some(Kind::NonConsumable),
            "https://api.storekit-sandbox.apple.com/inApps/v1/transactions/77",
        ),
    ] {
        let ask = Ask { store_purchase_id: "77".to_owned(), ask_with: None, environment: Some(environment), kind };
        let lookup = source.ask_by(&ask).unwrap();
        assert_eq!(uri(&*source, &lookup), ("GET".to_owned(), expected.to_owned(), String::new()));
    }
    let ask = Ask {
        store_purchase_id: "77".to_owned(),
        ask_with: None,
        environment: Some(Environment::Production),
        kind: None,
    };
    let deaf = super::open_with_root(&chain.root_pem);
    assert_eq!(deaf.ask_by(&ask), None, "without a key nobody is asked");
    assert!(deaf.can_ask(), "and yet dates alone end nothing");
    assert_eq!(deaf.reconcile(now().minus(std::time::Duration::from_secs(60)), now()), []);
}

#[test]
fn a_status_is_read_as_a_notification_of_that_moment_would_be() {
    let chain = Chain::new();
    let source = asking(&chain, json!({}));
    let (transaction, renewal) = renewal();
    let name = format!("status/production/{}", id_of(&transaction));
    let body = status(&chain, 1, &transaction, &renewal);
    let proven = prove(&*source, &name, &body).unwrap();
    assert_eq!((proven.notifications.len(), proven.body.as_ref()), (0, body.to_string().as_bytes()));
    let reading = read(&*source, &name, "", &proven.body);
    let observation = &reading.observations[0];
    assert_eq!((observation.origin, observation.hint), (Origin::Answer, Hint::Answered));
    assert_eq!(observation.observed_at, now());
    let facets = &observation.facets;
    assert_eq!(facets.standing.as_ref().unwrap().value, Standing::Active);
    let period = &facets.period.as_ref().unwrap().value;
    assert_eq!(period.ends_at.unwrap().as_millis(), transaction["expiresDate"]);
    assert!(facets.will_renew.as_ref().unwrap().value);
    assert_eq!(facets.period.as_ref().unwrap().stamp.origin, Origin::Answer);
    // Of a customer's other subscriptions nothing is said.
    let mut wide = body;
    let mut other = wide["data"][0].clone();
    other["lastTransactions"][0]["originalTransactionId"] = json!("1");
    wide["data"].as_array_mut().unwrap().insert(0, other);
    let proven = prove(&*source, &name, &wide).unwrap();
    assert_eq!(read(&*source, &name, "", &proven.body).observations, reading.observations);
}

/// The same with another value.
fn with(part: &Value, name: &str, value: Value) -> Value {
    let mut part = part.clone();
    part[name] = value;
    part
}

/// Statuses that are not to be believed, each with the reason.
fn forged_statuses(chain: &Chain) -> Vec<(&'static str, Value, &'static str)> {
    let stranger = Chain::new();
    let (transaction, renewal) = renewal();
    let genuine = status(chain, 1, &transaction, &renewal);
    let item = |name: &str, value: Value| {
        let mut body = genuine.clone();
        body["data"][0]["lastTransactions"][0][name] = value;
        body
    };
    let of = |transaction: &Value| item("signedTransactionInfo", json!(chain.sign(transaction)));
    let signed = genuine["data"][0]["lastTransactions"][0]["signedTransactionInfo"].as_str().unwrap();
    let truncated = json!(signed.rsplit_once('.').unwrap().0);
    let none = chain.sign_with_header(&json!({"alg": "none", "x5c": chain.x5c()}), &transaction);
    let other_purchase = with(&transaction, "originalTransactionId", json!("999"));
    let other_renewal = with(&renewal, "originalTransactionId", json!("999"));
    let refunded = with(&transaction, "revocationDate", json!(now().as_millis()));
    let empty = json!({"environment": "Production", "bundleId": BUNDLE, "appAppleId": APP, "data": []});
    vec![
        ("another chain", status(&stranger, 1, &transaction, &renewal), "untrusted_root"),
        ("the renewal by another", item("signedRenewalInfo", json!(stranger.sign(&renewal))), "untrusted_root"),
        ("alg none", item("signedTransactionInfo", json!(none)), "wrong_algorithm"),
        ("truncated", item("signedTransactionInfo", truncated), "not_a_jws"),
        ("no transaction", item("signedTransactionInfo", Value::Null), "unreadable_answer"),
        ("another bundle", with(&genuine, "bundleId", json!("com.example.other")), "wrong_bundle"),
        ("another app", with(&genuine, "appAppleId", json!(5)), "wrong_app"),
        ("another environment", with(&genuine, "environment", json!("Sandbox")), "wrong_environment"),
        ("Xcode", with(&genuine, "environment", json!("Xcode")), "wrong_environment"),
        ("signed for another bundle", of(&with(&transaction, "bundleId", json!("com.example.other"))), "wrong_bundle"),
        ("signed for the sandbox", of(&with(&transaction, "environment", json!("Sandbox"))), "wrong_environment"),
        ("another purchase", status(chain, 1, &other_purchase, &other_renewal), "not_about"),
        ("another purchase in its place", of(&other_purchase), "not_about"),
        ("another renewal in its place", item("signedRenewalInfo", json!(chain.sign(&other_renewal))), "not_about"),
        ("nothing", empty, "not_about"),
        ("no JSON object", json!("<html>"), "unreadable_answer"),
        ("running, but refunded", status(chain, 1, &refunded, &renewal), "contradicts_itself"),
        ("over, but running", status(chain, 2, &transaction, &renewal), "contradicts_itself"),
        ("revoked, but not refunded", status(chain, 5, &transaction, &renewal), "contradicts_itself"),
    ]
}

#[test]
fn what_apple_did_not_sign_for_us_and_for_this_purchase_is_not_believed() {
    let chain = Chain::new();
    let source = asking(&chain, json!({}));
    let (transaction, renewal) = renewal();
    let name = format!("status/production/{}", id_of(&transaction));
    for (case, body, reason) in forged_statuses(&chain) {
        assert_eq!(prove(&*source, &name, &body).err().map(|error| error.reason), Some(reason), "{case}");
    }
    let genuine = status(&chain, 1, &transaction, &renewal);
    assert!(prove(&*source, &name, &genuine).is_ok());
    assert_eq!(prove(&*source, "stat/production/1", &genuine).unwrap_err().reason, "unknown_lookup");
    let old = Chain::odd(Oddities { old_leaf: true, ..Oddities::default() });
    let stale = status(&old, 1, &transaction, &renewal);
    assert_eq!(prove(&*asking(&old, json!({})), &name, &stale).unwrap_err().reason, "certificate_expired");
    // The cut body of an answer that was too long.
    let cut = Bytes::from(genuine.to_string()).slice(..2_000);
    let error = source.prove_answer(&Wanted::Lookup(&name, ""), cut, now()).unwrap_err();
    assert_eq!(error.reason, "unreadable_answer");
}

#[test]
fn a_one_time_purchase_is_read_from_its_transaction() {
    let (chain, stranger) = (Chain::new(), Chain::new());
    let source = asking(&chain, json!({}));
    let mut transaction = sample("one_time_non_consumable")["transaction"].clone();
    transaction["signedDate"] = json!(now().as_millis());
    let name = format!("transaction/production/{}", id_of(&transaction));
    let standing = |transaction: &Value| {
        let body = json!({"signedTransactionInfo": chain.sign(transaction)});
        let proven = prove(&*source, &name, &body).unwrap();
        read(&*source, &name, "", &proven.body).observations[0].facets.standing.as_ref().unwrap().value
    };
    assert_eq!(standing(&transaction), Standing::Active);
    let forged = json!({"signedTransactionInfo": stranger.sign(&transaction)});
    assert_eq!(prove(&*source, &name, &forged).unwrap_err().reason, "untrusted_root");
    let other = name.replace("transaction/production/", "transaction/production/9");
    let body = json!({"signedTransactionInfo": chain.sign(&transaction)});
    assert_eq!(prove(&*source, &other, &body).unwrap_err().reason, "not_about");
    transaction["revocationDate"] = json!(now().as_millis());
    assert_eq!(standing(&transaction), Standing::Revoked);
}

/// A notification of the sample as a row of history.
fn row(chain: &Chain, name: &str) -> Value {
    let body: Value = serde_json::from_slice(&chain.sign_sample(&sample(name))).unwrap();
    let attempts = json!([{"attemptDate": 1_700_000_000_000_i64, "sendAttemptResult": "NO_RESPONSE"}]);
    json!({"signedPayload": body["signedPayload"], "sendAttempts": attempts})
}

const HISTORY: &str = "history/production/failures/1000/2000/0.0";

#[test]
fn the_notifications_of_a_page_are_proven_and_taken_out_and_the_next_page_is_asked_for() {
    let chain = Chain::new();
    let source = asking(&chain, json!({}));
    let page = json!({"hasMore": true, "paginationToken": "57715481-805a", "notificationHistory":
        [row(&chain, "subscribed_initial_buy"), row(&chain, "did_renew")]});
    let ProvenAnswer { body, notifications } = prove(&*source, HISTORY, &page).unwrap();
    for (notification, name) in notifications.iter().zip(["subscribed_initial_buy", "did_renew"]) {
        let sample = sample(name);
        assert_eq!(*notification.external_id, *sample["payload"]["notificationUUID"].as_str().unwrap());
        let sent = super::verify(&*source, chain.sign_sample(&sample)).unwrap();
        assert_eq!(
            (&notification.label, &notification.reading),
            (&sent.label, &sent.reading),
            "as if it had been sent"
        );
        assert_eq!(source.read_kept(&notification.external_id, &notification.body).unwrap(), sent.reading);
    }
    assert!(body.len() < 1_000, "what is kept beside is not kept twice: {}", body.len());
    let reading = read(&*source, HISTORY, "", &body);
    assert_eq!(reading.observations, []);
    let next = &reading.lookups[0];
    let place = "https://api.storekit.apple.com/inApps/v1/notifications/history";
    let (method, uri, sent) = uri(&*source, next);
    assert_eq!((method.as_str(), uri.as_str()), ("POST", format!("{place}?paginationToken=57715481-805a").as_str()));
    assert_eq!(
        serde_json::from_str::<Value>(&sent).unwrap(),
        json!({"startDate": 1000, "endDate": 2000, "onlyFailures": true})
    );
    // The last page, and one that names itself as the next.
    let last = json!({"hasMore": false, "paginationToken": "x", "notificationHistory": []});
    let kept = prove(&*source, HISTORY, &last).unwrap().body;
    assert_eq!(read(&*source, HISTORY, "", &kept).lookups, []);
    assert_eq!(read(&*source, HISTORY, "57715481-805a", &body).lookups, []);
}

#[test]
fn a_forged_row_refuses_its_page_and_one_of_the_future_is_left_out() {
    let (chain, stranger) = (Chain::new(), Chain::new());
    let source = asking(&chain, json!({}));
    let good = row(&chain, "did_renew");
    let page = |rows: Vec<Value>| json!({"hasMore": false, "notificationHistory": rows});
    let signed = |payload: &Value| json!({"signedPayload": chain.sign(payload), "sendAttempts": []});
    let other = |name: &str, value: Value| {
        let mut sample = sample("did_renew");
        sample["payload"]["data"][name] = value;
        sample
    };
    let of = |sample: &Value| {
        let body: Value = serde_json::from_slice(&chain.sign_sample(sample)).unwrap();
        json!({"signedPayload": body["signedPayload"]})
    };
    for (case, rows, reason) in [
        ("another chain", vec![good.clone(), row(&stranger, "did_renew")], "untrusted_root"),
        ("too many", vec![good.clone(); 101], "too_many"),
        ("the sandbox's", vec![signed(&super::samples::test_payload())], "not_about"),
    ] {
        assert_eq!(prove(&*source, HISTORY, &page(rows)).unwrap_err().reason, reason, "{case}");
    }
    let future =
        signed(&json!({"notificationType": "NEW", "notificationUUID": "u", "signedDate": 1_769_846_400_000_i64}));
    let misdirected = of(&other("bundleId", json!("com.example.other")));
    let proven = prove(&*source, HISTORY, &page(vec![future, misdirected, good])).unwrap();
    assert_eq!(proven.notifications.len(), 1);
    let kept: Value = serde_json::from_slice(&proven.body).unwrap();
    let left_out = kept["items"].as_array().unwrap().iter().filter(|item| item["refused"].is_string()).count();
    assert_eq!(left_out, 2, "{kept}");
}

#[test]
fn a_walk_whose_token_went_stale_begins_anew() {
    let chain = Chain::new();
    let source = asking(&chain, json!({}));
    let name = "history/production/failures/1000/2000/0.7";
    let error = json!({"errorCode": 4_000_017, "errorMessage": "expired"}).to_string();
    let refusal = source.refused(&Wanted::Lookup(name, "t"), http::StatusCode::BAD_REQUEST, error.as_bytes());
    let crate::Refusal::Answer(body) = refusal else { panic!("{refusal:?}") };
    let proven = source.prove_answer(&Wanted::Lookup(name, "t"), body, now()).unwrap();
    let reading = read(&*source, name, "t", &proven.body);
    let names: Vec<&str> = reading.lookups.iter().map(|lookup| lookup.name.as_str()).collect();
    assert_eq!(names, ["history/production/failures/1000/2000/1.0"]);
}

#[test]
fn a_request_for_consumption_is_answered_with_consent_only_and_in_time() {
    let chain = Chain::new();
    let sample = sample("one_time_consumption_request");
    let body = chain.sign_sample(&sample);
    let asked_at = Timestamp::from_millis(sample["payload"]["signedDate"].as_i64().unwrap()).unwrap();
    let silent = asking(&chain, json!({}));
    let refusing = asking(&chain, json!({"consumption": {"consent": false, "refund_preference": "DECLINE"}}));
    for source in [&silent, &refusing] {
        let reading = super::verify(&**source, body.clone()).unwrap().reading;
        assert_eq!((reading.lookups, reading.clues), (Vec::new(), Vec::new()));
    }
    let source = asking(&chain, json!({"consumption": {"consent": true, "refund_preference": "DECLINE"}}));
    let notification = super::verify(&*source, body.clone()).unwrap();
    let lookup = &notification.reading.lookups[0];
    let request = source.look_up(lookup, asked_at).unwrap();
    let id = sample["transaction"]["transactionId"].as_str().unwrap();
    let path = format!("https://api.storekit.apple.com/inApps/v2/transactions/consumption/{id}");
    assert_eq!((request.method().as_str(), request.uri().to_string()), ("PUT", path));
    let expected = json!({"customerConsented": true, "deliveryStatus": "DELIVERED", "sampleContentProvided": false,
        "refundPreference": "DECLINE"});
    assert_eq!(serde_json::from_slice::<Value>(request.body()).unwrap(), expected);
    let late = asked_at.plus(std::time::Duration::from_secs(12 * 3600));
    assert!(source.look_up(lookup, late).is_none(), "Apple does not wait longer");
    assert_eq!(notification.reading.clues[0].name, lookup.name, "then it is over");
    // Apple answers 202 without a body.
    let proven = source.prove_answer(&Wanted::Lookup(&lookup.name, &lookup.context), Bytes::new(), now()).unwrap();
    assert_eq!(read(&*source, &lookup.name, &lookup.context, &proven.body).observations, []);
    // A rebuild reads it as it was read then, whatever the settings are now.
    let policy = source.policy().unwrap();
    let again = silent.read_kept_under(&policy, &notification.external_id, &body).unwrap();
    assert_eq!(again, notification.reading);
    assert_eq!(source.read_kept(&notification.external_id, &body).unwrap().lookups, []);
}

#[test]
fn the_state_of_an_extension_is_asked_for() {
    let chain = Chain::new();
    let source = asking(&chain, json!({}));
    let reading = super::verify(&*source, chain.sign_sample(&sample("renewal_extension_summary"))).unwrap().reading;
    assert_eq!(reading.lookups.len(), 1, "{:?}", reading.lookups);
    let (method, uri, _) = uri(&*source, &reading.lookups[0]);
    assert_eq!(method, "GET");
    assert!(uri.contains("/inApps/v1/subscriptions/extend/mass/"), "{uri}");
    let answer = json!({"requestIdentifier": "r", "complete": true, "succeededCount": 5, "failedCount": 2});
    let name = &reading.lookups[0].name;
    let proven = prove(&*source, name, &answer).unwrap();
    assert_eq!(read(&*source, name, "", &proven.body).note, Some(crate::Note::Informative));
}

fn claim(source: &dyn Source, signed: &str) -> Result<Claimed, Rejection> {
    source.claim(&Claim { signed_transaction: Some(signed.to_owned()), ..Claim::default() }, now())
}

#[test]
fn a_signed_transaction_is_a_claim_and_apple_is_asked_besides() {
    let chain = Chain::new();
    let source = asking(&chain, json!({}));
    let sample = sample("subscribed_initial_buy");
    let transaction = &sample["transaction"];
    let Claimed::Notification(claimed) = claim(&*source, &chain.sign(transaction)).unwrap() else { panic!() };
    let observation = &claimed.reading.observations[0];
    assert_eq!((observation.origin, observation.hint), (Origin::Notification, Hint::Purchased));
    assert_eq!(observation.facets.standing.as_ref().unwrap().value, Standing::Active);
    assert_eq!(
        observation.facets.period.as_ref().unwrap().value.ends_at.unwrap().as_millis(),
        transaction["expiresDate"]
    );
    assert_eq!(claimed.reading.lookups[0].name, format!("status/production/{}", id_of(transaction)));
    assert_eq!(source.read_kept(&claimed.external_id, &claimed.body).unwrap(), claimed.reading);
    let deaf = super::open_with_root(&chain.root_pem);
    let Claimed::Notification(claimed) = claim(&*deaf, &chain.sign(transaction)).unwrap() else { panic!() };
    assert_eq!(claimed.reading.lookups, [], "without a key it counts by itself");
}

#[test]
fn an_old_transaction_says_nothing_about_the_running_period() {
    let chain = Chain::new();
    let source = asking(&chain, json!({}));
    let mut over = sample("subscribed_initial_buy")["transaction"].clone();
    over["signedDate"] = json!(over["expiresDate"].as_i64().unwrap() + 1);
    let mut upgraded = sample("subscribed_initial_buy")["transaction"].clone();
    upgraded["isUpgraded"] = json!(true);
    for (case, transaction) in [("over", over), ("upgraded", upgraded)] {
        let Claimed::Notification(claimed) = claim(&*source, &chain.sign(&transaction)).unwrap() else { panic!() };
        let facets = &claimed.reading.observations[0].facets;
        assert_eq!((&facets.period, &facets.standing, &facets.product), (&None, &None, &None), "{case}");
        assert_eq!(facets.transactions.len(), 1, "{case}");
        assert_eq!(claimed.reading.lookups.len(), 1, "{case}: Apple knows");
    }
}

#[test]
fn forged_claims_are_refused_with_a_pointer_or_a_reason() {
    let (chain, stranger) = (Chain::new(), Chain::new());
    let source = asking(&chain, json!({"environment": "PRODUCTION"}));
    let transaction = sample("subscribed_initial_buy")["transaction"].clone();
    let with = |name: &str, value: Value| {
        let mut transaction = transaction.clone();
        transaction[name] = value;
        chain.sign(&transaction)
    };
    let none = chain.sign_with_header(&json!({"alg": "none", "x5c": chain.x5c()}), &transaction);
    let genuine = chain.sign(&transaction);
    for (case, signed, kind, reason) in [
        ("nothing", String::new(), RejectionKind::WrongAddress, "no_transaction"),
        ("too long", "x".repeat(70_000), RejectionKind::WrongAddress, "too_long"),
        ("another chain", stranger.sign(&transaction), RejectionKind::Forged, "untrusted_root"),
        ("alg none", none, RejectionKind::Forged, "wrong_algorithm"),
        ("truncated", genuine[..genuine.len() - 4].to_owned(), RejectionKind::Forged, "bad_signature"),
        ("another bundle", with("bundleId", json!("com.example.other")), RejectionKind::WrongAddress, "wrong_bundle"),
        ("the sandbox", with("environment", json!("Sandbox")), RejectionKind::WrongAddress, "wrong_environment"),
        ("Xcode", with("environment", json!("Xcode")), RejectionKind::WrongAddress, "wrong_environment"),
        ("no id", with("transactionId", Value::Null), RejectionKind::WrongAddress, "unreadable_payload"),
        (
            "no JSON",
            chain.sign_bytes(json!({"alg": "ES256", "x5c": chain.x5c()}).to_string().as_bytes(), b"{"),
            RejectionKind::Malformed,
            "unreadable_payload",
        ),
    ] {
        let error = claim(&*source, &signed).unwrap_err();
        assert_eq!((error.kind, error.reason), (kind, reason), "{case}");
    }
}

#[test]
fn nothing_of_the_key_is_in_what_is_asked_but_its_signature() {
    let chain = Chain::new();
    let source = asking(&chain, json!({}));
    let lookup = Lookup { name: STATUS.to_owned(), context: String::new(), why: "a test", unless_known: None };
    let request = source.look_up(&lookup, now()).unwrap();
    let authorization = request.headers()[http::header::AUTHORIZATION].clone();
    assert!(authorization.is_sensitive());
    assert!(!format!("{request:?}").contains(authorization.to_str().unwrap()), "Debug shows no token");
}
