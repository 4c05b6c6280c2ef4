//! Settings, requests, refusals, lists, claims and chains: what no sample shows.

use super::{AUDIENCE, OTHER, SENDER, answered, at, key_file, open, pair, second_after, told};
use crate::play::DEFINITION;
use crate::play::ask::NOTHING;
use crate::{Ask, Claim, Claimed, Lookup, Note, Reading, Refusal, Wanted, answer_id, golden};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use paidup_lifecycle::engine::{Context, Input, advance};
use paidup_lifecycle::ids::{CustomerId, SourceId};
use paidup_lifecycle::observation::{Hint, Kind, Standing};
use paidup_lifecycle::purchase::Purchase;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

#[test]
fn settings_that_do_not_fit_say_where() {
    let base = json!({"package_name": "com.example.app", "audience": AUDIENCE, "service_account_email": SENDER});
    let mut no_key = key_file();
    no_key["private_key"] = json!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    for (more, pointer) in [
        (json!({"package_name": ""}), "/package_name"),
        (json!({"package_name": "com/../x"}), "/package_name"),
        (json!({"audience": "two words"}), "/audience"),
        (json!({"service_account_email": "nobody"}), "/service_account_email"),
        (json!({"subscription": "s"}), "/subscription"),
        (json!({"credentials": "no JSON"}), "/credentials"),
        (json!({"credentials": {"client_email": "a@b"}}), "/credentials"),
        (json!({"credentials": no_key}), "/credentials"),
        (json!({"calls_a_minute": 0}), "/calls_a_minute"),
        (json!({"calls_a_minute": 3001}), "/calls_a_minute"),
        (json!({"consumables": [""]}), "/consumables"),
        (json!({"trial_offers": ["a b"]}), "/trial_offers"),
        (json!({"acknowledges": true}), "/acknowledges"),
    ] {
        let mut settings = base.clone();
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let opened = (DEFINITION.open)(SourceId([7; 16]), &to_raw_value(&settings).unwrap(), &golden::upstreams());
        let error = opened.err().unwrap_or_else(|| panic!("{more} is taken"));
        assert_eq!(error.pointer, pointer, "{more}");
        assert!(!error.detail.contains("PRIVATE"), "no secret is repeated");
    }
}

fn ask_about(id: &str) -> Ask {
    Ask { store_purchase_id: id.to_owned(), ask_with: None, environment: None, kind: None }
}

fn lookup(name: &str, context: Value) -> Lookup {
    Lookup { name: name.to_owned(), context: context.to_string(), why: "a test", unless_known: None }
}

#[test]
fn requests_are_googles() {
    let source = open(json!({}));
    let now = at("2026-01-01T00:00:00Z");
    let app = "https://play.test/androidpublisher/v3/applications/com.example.app";
    for (name, context, expected) in [
        ("subscription/t.1-a_b", json!({}), format!("GET {app}/purchases/subscriptionsv2/tokens/t.1-a_b")),
        ("product/t", json!({}), format!("GET {app}/purchases/productsv2/tokens/t")),
        ("order/GPA.1-2..0", json!({}), format!("GET {app}/orders/GPA.1-2..0")),
        (
            "acknowledge/t",
            json!({"about": "acknowledge", "product": "pro", "renews": true}),
            format!("POST {app}/purchases/subscriptions/pro/tokens/t:acknowledge"),
        ),
        (
            "acknowledge/t",
            json!({"about": "acknowledge", "product": "coins", "renews": false}),
            format!("POST {app}/purchases/products/coins/tokens/t:acknowledge"),
        ),
        (
            "voided/17",
            json!({"about": "listed"}),
            format!("GET {app}/purchases/voidedpurchases?type=1&includeQuantityBasedPartialRefund=true&startTime=17"),
        ),
        (
            "voided/17/a+b/c==",
            json!({"about": "listed"}),
            format!(
                "GET {app}/purchases/voidedpurchases?type=1&includeQuantityBasedPartialRefund=true&startTime=17\
                 &token=a%2Bb%2Fc%3D%3D"
            ),
        ),
    ] {
        let request = source.look_up(&lookup(name, context), now).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(format!("{} {}", request.method(), request.uri()), expected);
    }
    for name in [
        "subscription/../secrets",
        "subscription/a/b",
        "subscription/a?b",
        "subscription/",
        "planet/x",
        "order/..",
        "voided/x",
    ] {
        assert!(source.look_up(&lookup(name, json!({})), now).is_none(), "{name}");
    }
    let ask = |id: &str, kind: Option<Kind>| {
        let ask = Ask { store_purchase_id: id.to_owned(), ask_with: None, environment: None, kind };
        let by = source.ask_by(&ask).and_then(|lookup| source.look_up(&lookup, now));
        by.or_else(|| source.ask(&ask, now)).unwrap().uri().to_string()
    };
    assert_eq!(ask("t", None), format!("{app}/purchases/subscriptionsv2/tokens/t"));
    assert_eq!(ask("t/video", None), format!("{app}/purchases/subscriptionsv2/tokens/t"), "an add-on's token");
    assert_eq!(ask("t", Some(Kind::NonConsumable)), format!("{app}/purchases/productsv2/tokens/t"));
    assert_eq!(source.calls_a_minute(), Some(3000));
    assert_eq!(open(json!({"calls_a_minute": 60})).calls_a_minute(), Some(60));
}

#[test]
fn a_grant_is_signed_and_its_token_read() {
    for credentials in [key_file(), json!(key_file().to_string())] {
        let source = open(json!({"credentials": credentials}));
        let now = at("2026-01-01T00:00:00Z");
        let request = source.token_request(now).unwrap();
        assert_eq!(
            (request.method().as_str(), request.uri().to_string().as_str()),
            ("POST", "https://oauth2.test/token")
        );
        assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
        let body = std::str::from_utf8(request.body()).unwrap().to_owned();
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
        let assertion = body.strip_prefix(grant).unwrap();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let public = pair(OTHER);
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.public())
            .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
        let decode = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        let (header, claims) = signed.split_once('.').unwrap();
        assert_eq!(decode(header), json!({"alg": "RS256", "typ": "JWT", "kid": "account-key"}));
        let seconds = now.as_seconds();
        assert_eq!(
            decode(claims),
            json!({"iss": "api@example.iam.gserviceaccount.com", "scope": "https://www.googleapis.com/auth/androidpublisher",
                "aud": "https://oauth2.test/token", "iat": seconds, "exp": seconds + 3600})
        );
        assert_eq!(source.token_request(now).unwrap().body(), request.body(), "the same second, the same request");
        let token = source.token(br#"{"access_token":"ya29.secret","expires_in":3599,"token_type":"Bearer"}"#).unwrap();
        assert_eq!((token.bearer.as_str(), token.valid_for.as_secs()), ("ya29.secret", 3539));
        assert!(!format!("{token:?}").contains("ya29"));
        for answer in ["", "{}", r#"{"access_token":"","expires_in":1}"#, r#"{"access_token":"a\nb","expires_in":1}"#] {
            assert!(source.token(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}

#[test]
fn without_credentials_nothing_is_asked() {
    let source = open(json!({"credentials": null}));
    let now = at("2026-01-01T00:00:00Z");
    assert!(source.look_up(&lookup("subscription/t", json!({})), now).is_none());
    assert!(source.ask(&ask_about("t"), now).is_none());
    assert!(source.token_request(now).is_none() && source.reconcile(now, now).is_empty());
    let claim = Claim { purchase_token: Some("t".to_owned()), ..Claim::default() };
    let Claimed::Known(keys) = source.claim(&claim, now).unwrap() else { panic!("known or not") };
    assert_eq!(keys.iter().map(|key| key.store_purchase_id.as_str()).collect::<Vec<_>>(), ["t", "t"]);
}

#[test]
fn refusals_say_what_to_do() {
    let source = open(json!({}));
    let told = json!({"about": "told", "number": 4, "at": "2026-01-01T00:00:00Z"}).to_string();
    let claimed = json!({"about": "claimed"}).to_string();
    let price = json!({"about": "price", "product": "p", "renews": true,
        "key": {"source_id": SourceId([7; 16]), "environment": "PRODUCTION", "store_purchase_id": "t"}})
    .to_string();
    let error = |status: &str, reason: &str| {
        json!({"error": {"code": 403, "status": status, "message": "no", "errors": [{"reason": reason}]}}).to_string()
    };
    let answer = Refusal::Answer(NOTHING.into());
    for (name, context, status, body, expected) in [
        ("subscription/t", &told, 404, String::new(), Refusal::Final),
        ("subscription/t", &told, 410, error("GONE", "purchaseTokenNoLongerValid"), Refusal::Final),
        ("subscription/t", &told, 400, error("INVALID_ARGUMENT", "invalid"), Refusal::Final),
        ("subscription/t", &claimed, 404, String::new(), answer.clone()),
        ("subscription/t", &claimed, 400, String::new(), answer.clone()),
        ("product/t", &claimed, 404, String::new(), Refusal::Final),
        ("order/t", &price, 404, String::new(), answer),
        ("subscription/t", &told, 401, String::new(), Refusal::Credentials),
        ("subscription/t", &told, 403, error("PERMISSION_DENIED", "permissionDenied"), Refusal::Credentials),
        ("subscription/t", &told, 403, error("PERMISSION_DENIED", "rateLimitExceeded"), Refusal::Later),
        ("subscription/t", &told, 403, error("RESOURCE_EXHAUSTED", "x"), Refusal::Later),
        ("subscription/t", &told, 403, "<html>".to_owned(), Refusal::Credentials),
        ("subscription/t", &told, 429, String::new(), Refusal::Later),
        ("subscription/t", &told, 500, String::new(), Refusal::Later),
        ("subscription/t", &told, 503, String::new(), Refusal::Later),
        ("acknowledge/t", &told, 409, String::new(), Refusal::Later),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let said = source.refused(&Wanted::Lookup(name, context), status, body.as_bytes());
        assert_eq!(said, expected, "{name} {context} {status} {body}");
    }
    let purchase = source.refused(&Wanted::Purchase("t"), StatusCode::GONE, b"");
    assert_eq!(purchase, Refusal::Final);
}

#[test]
fn a_claim_asks_for_a_subscription_then_for_a_one_time_purchase() {
    let source = open(json!({}));
    let now = at("2026-01-01T00:00:00Z");
    let claim = |token: &str, product: Option<&str>| {
        let (purchase_token, product_id) = (Some(token.to_owned()), product.map(str::to_owned));
        source.claim(&Claim { purchase_token, product_id, ..Claim::default() }, now)
    };
    let Claimed::LookUp(lookups) = claim("t", Some("coins")).unwrap() else { panic!("asked") };
    assert_eq!(lookups[0].name, "subscription/t");
    let next = answered(source.as_ref(), &lookups[0], now, NOTHING).unwrap().lookups.remove(0);
    assert_eq!(next.name, "product/t");
    let product = |id: &str| {
        json!({"productLineItem": [{"productId": id}], "purchaseStateContext": {"purchaseState": "PURCHASED"},
            "orderId": "GPA.1", "purchaseCompletionTime": "2026-01-01T00:00:00Z"})
        .to_string()
    };
    let found = answered(source.as_ref(), &next, now, product("coins").as_bytes()).unwrap();
    assert_eq!((found.observations.len(), found.observations[0].hint), (1, Hint::OneTimePurchased));
    let other = answered(source.as_ref(), &next, now, product("other").as_bytes()).unwrap();
    assert_eq!((other.observations.len(), other.note), (0, Some(Note::Informative)), "not what was claimed");
    assert_eq!(source.claim(&Claim::default(), now).unwrap_err().pointer.as_deref(), Some("/purchase_token"));
    assert_eq!(claim("a/b", None).unwrap_err().pointer.as_deref(), Some("/purchase_token"));
}

#[test]
fn what_was_voided_is_listed_page_by_page() {
    let source = open(json!({}));
    let now = at("2026-03-01T00:00:00Z");
    let since = |text: &str| source.reconcile(at(text), now).remove(0).name;
    assert_eq!(since("2026-02-28T00:00:00Z"), format!("voided/{}", at("2026-02-28T00:00:00Z").as_millis()));
    assert_eq!(since("2020-01-01T00:00:00Z"), format!("voided/{}", at("2026-01-30T00:10:00Z").as_millis()));
    let first = source.reconcile(at("2026-02-28T00:00:00Z"), now).remove(0);
    let page = json!({"tokenPagination": {"nextPageToken": "next=="}, "voidedPurchases": [
        {"purchaseToken": "t1", "orderId": "GPA.1", "voidedTimeMillis": "1772236800000", "purchaseTimeMillis": "1"},
        {"purchaseToken": "t2", "orderId": "GPA.2", "voidedTimeMillis": "1772236800000", "voidedQuantity": 2},
        {"purchaseToken": "../t3", "orderId": "GPA.3", "voidedTimeMillis": "1772236800000"},
        {"purchaseToken": "t4", "orderId": "GPA.4"}]});
    let read = answered(source.as_ref(), &first, now, page.to_string().as_bytes()).unwrap();
    let names: Vec<&str> = read.lookups.iter().map(|lookup| lookup.name.as_str()).collect();
    assert_eq!(names, ["subscription/t1", "product/t2", &format!("{}/next==", first.name)]);
    // What is of no subscription is of a one-time purchase.
    let next = answered(source.as_ref(), &read.lookups[0], now, NOTHING).unwrap().lookups.remove(0);
    assert_eq!(next.name, "product/t1");
    let last = answered(source.as_ref(), &read.lookups[2], now, b"{}").unwrap();
    assert_eq!((last.lookups.len(), last.note), (0, Some(Note::Informative)));
}

fn subscription(state: &str, product: &str, more: Value) -> Vec<u8> {
    let mut all = json!({"subscriptionState": format!("SUBSCRIPTION_STATE_{state}"), "startTime": "2026-01-01T00:00:00Z",
        "lineItems": [{"productId": product, "expiryTime": "2026-02-01T00:00:00Z", "latestSuccessfulOrderId": product,
            "autoRenewingPlan": {"autoRenewEnabled": true}}]});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all.to_string().into_bytes()
}

fn bought(token: &str) -> Value {
    json!({"packageName": "com.example.app", "eventTimeMillis": "1767225600000",
        "subscriptionNotification": {"notificationType": 4, "purchaseToken": token}})
}

/// From the newest token back to the root, and forward again: what was put aside is asked for again, oldest first.
#[test]
fn a_chain_of_unknown_tokens_is_walked_to_its_root() {
    let source = open(json!({}));
    let read =
        |lookup: &Lookup, body: Vec<u8>| answered(source.as_ref(), lookup, at("2026-01-01T00:00:05Z"), &body).unwrap();
    let replaced = |former: Option<&str>, product: &str| {
        subscription(
            "EXPIRED",
            product,
            json!({"linkedPurchaseToken": former, "canceledStateContext": {"replacementCancellation": {}}}),
        )
    };
    let newest = || subscription("ACTIVE", "gold", json!({"linkedPurchaseToken": "t2"}));
    let third = told(source.as_ref(), &bought("t3")).lookups.remove(0);
    let to_second = read(&third, newest()).first.expect("t2 is not known");
    assert_eq!(to_second.unless_known.as_ref().unwrap().store_purchase_id, "t2");
    let to_first = read(&to_second, replaced(Some("t1"), "silver")).first.expect("t1 is not known");
    let root = read(&to_first, replaced(None, "bronze"));
    assert!(root.first.is_none());
    assert_eq!(root.observations[0].key.store_purchase_id, "t1");
    let again = &root.lookups[0];
    assert_eq!(again.name, "subscription/t2");
    let second = read(again, replaced(Some("t1"), "silver"));
    assert_eq!((second.first, second.observations[0].replaces.as_deref()), (None, Some("t1")));
    let last = read(&second.lookups[0], newest());
    assert_eq!((last.first, last.observations[0].replaces.as_deref()), (None, Some("t2")));
    assert_eq!(last.observations[0].hint, Hint::ProductChanged, "no start: it was silver before");
    assert!(last.observations[0].facets.period.is_some());
    // A predecessor that is too old to be read ends the walk.
    let without = read(&to_first, NOTHING.to_vec());
    assert_eq!((without.observations.len(), without.lookups[0].name.as_str()), (0, "subscription/t2"));
    // One that never ends is given up.
    let mut lookup = third;
    let mut steps = 0;
    while let Some(next) = read(&lookup, replaced(Some(&format!("u{steps}")), "x")).first {
        assert!(next.fits());
        (lookup, steps) = (*next, steps + 1);
    }
    assert_eq!(steps, 7);
}

/// The answer to a question about an add-on that was taken out still speaks of it.
#[test]
fn an_item_that_is_gone_has_ended() {
    let source = open(json!({}));
    let id = answer_id(at("2026-02-01T00:05:00Z"), "t/video");
    let read = source.read_kept(&id, &subscription("ACTIVE", "pro", json!({}))).unwrap();
    let [main, gone] = read.observations.as_slice() else { panic!("{read:?}") };
    assert_eq!((main.key.store_purchase_id.as_str(), gone.key.store_purchase_id.as_str()), ("t", "t/video"));
    assert_eq!(gone.facets.standing.as_ref().unwrap().value, Standing::Expired);
}

#[test]
fn nonsense_is_no_answer() {
    let source = open(json!({}));
    let lookup = told(source.as_ref(), &bought("t")).lookups.remove(0);
    for body in [
        "",
        "<html>",
        "[]",
        "null",
        "{}",
        r#"{"error":{"code":500}}"#,
        r#"{"subscriptionState":7}"#,
        r#"{"subscriptionState":"SUBSCRIPTION_STATE_ACTIVE"}"#,
        r#"{"subscriptionState":"SUBSCRIPTION_STATE_ACTIVE","lineItems":[{"productId":[]}]}"#,
    ] {
        let refused = answered(source.as_ref(), &lookup, at("2026-01-01T00:00:05Z"), body.as_bytes());
        assert_eq!(refused.map_err(|refused| refused.reason), Err("no_answer"), "{body}");
    }
    // What cannot be is left out; the rest is read.
    let odd = json!({"subscriptionState": "SUBSCRIPTION_STATE_ACTIVE", "startTime": "yesterday", "regionCode": "Germany",
        "linkedPurchaseToken": "../x", "lineItems": [{"productId": "", "expiryTime": "9999999-01-01T00:00:00Z",
            "autoRenewingPlan": {"recurringPrice": {"currencyCode": "E", "units": "9223372036854775807"}}}]});
    let read = answered(source.as_ref(), &lookup, at("2026-01-01T00:00:05Z"), odd.to_string().as_bytes()).unwrap();
    let facets = &read.observations[0].facets;
    assert!(facets.period.is_none() && facets.product.is_none() && facets.country.is_none());
    assert!(read.observations[0].replaces.is_none() && read.first.is_none());
    assert_eq!(facets.standing.as_ref().unwrap().value, Standing::Active);
    let backwards = subscription("ACTIVE", "pro", json!({"startTime": "2027-01-01T00:00:00Z"}));
    let read = answered(source.as_ref(), &lookup, at("2026-01-01T00:00:05Z"), &backwards).unwrap();
    assert!(read.observations[0].facets.period.is_none(), "a period that ends before it starts");
}

#[test]
fn notifications_that_say_nothing_are_kept_and_shown() {
    let source = open(json!({}));
    let base = json!({"packageName": "com.example.app", "eventTimeMillis": "1767225600000"});
    let with = |member: &str, value: Value| {
        let mut all = base.clone();
        all[member] = value;
        told(source.as_ref(), &all)
    };
    let unknown = |reading: &Reading| reading.note == Some(Note::Unknown);
    assert!(unknown(&told(source.as_ref(), &base)), "no member");
    assert!(unknown(&with("somethingNewNotification", json!({}))));
    let odd = with("subscriptionNotification", json!({"notificationType": 4, "purchaseToken": "../x"}));
    assert!(unknown(&odd) && odd.lookups.is_empty());
    let future = with("subscriptionNotification", json!({"notificationType": 99, "purchaseToken": "t"}));
    assert!(unknown(&future) && future.lookups.len() == 1, "shown, and the purchase is looked at");
    let tested = with("testNotification", json!({"version": "1.0"}));
    assert!(matches!(tested.note, Some(Note::Test { .. })));
    let mut timeless = bought("t");
    timeless["eventTimeMillis"] = Value::Null;
    assert!(unknown(&told(source.as_ref(), &timeless)));
    let mut number = bought("t");
    number["eventTimeMillis"] = json!(1_767_225_600_000_i64);
    assert_eq!(told(source.as_ref(), &number).lookups.len(), 1, "a number will do");
}

#[test]
fn what_google_tells_of_persons_is_not_kept() {
    let source = open(json!({}));
    let wanted = Wanted::Purchase("t");
    let kept = |body: &str| {
        let proven = source.prove_answer(&wanted, body.to_owned().into(), at("2026-01-01T00:00:00Z")).unwrap();
        String::from_utf8(proven.body.to_vec()).unwrap()
    };
    let plain = r#"{ "subscriptionState": "X", "kind":1 }"#;
    assert_eq!(kept(plain), plain, "byte for byte");
    let told = r#"{"subscriptionState":"X","subscribeWithGoogleInfo":{"emailAddress":"a@b","givenName":"Ada"}}"#;
    assert_eq!(kept(told), r#"{"subscriptionState":"X"}"#);
    assert_eq!(kept(r#"{"orderId":"1","buyerAddress":{"buyerPostcode":"12345"}}"#), r#"{"orderId":"1"}"#);
    assert_eq!(kept("<html>"), "<html>");
}

/// The same life told in any order ends the same: answers are dated with their asking, numbers are only hints.
#[test]
fn order_of_arrival_does_not_matter() {
    let source = open(json!({}));
    let sample = |name: &str| -> Value {
        let path = golden::samples("play/samples").into_iter().find(|(found, _)| found == name).unwrap().1;
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let life = ["purchased", "cancelled", "restarted", "deferred", "renewed", "voided_of_an_earlier_period"];
    let observations: Vec<_> = life
        .iter()
        .flat_map(|name| {
            let sample = sample(name);
            let lookup = told(source.as_ref(), &sample["notification"]).lookups.remove(0);
            let asked_at = second_after(&sample["notification"]);
            answered(source.as_ref(), &lookup, asked_at, sample["answer"].to_string().as_bytes()).unwrap().observations
        })
        .collect();
    let state = |order: &[usize]| {
        let catalogue = paidup_lifecycle::catalogue::Catalogue::default();
        let first = &observations[0];
        let mut purchase = Purchase::new(first.key.clone(), first.store, CustomerId([1; 16]));
        for place in order {
            let context = Context {
                catalogue: &catalogue,
                can_ask: true,
                owner: None,
                price_follows: false,
                had_before: false,
                owner_ids: &[],
                new_owner_ids: &[],
                merges: false,
            };
            let input = Input::Observed(observations[*place].clone());
            purchase = advance(purchase, &input, &context, at("2026-03-01T00:00:00Z")).purchase;
        }
        (purchase.state, purchase.facets.clone(), purchase.periods, purchase.totals.clone())
    };
    let expected = state(&[0, 1, 2, 3, 4, 5]);
    for order in [[5, 4, 3, 2, 1, 0], [2, 0, 4, 1, 5, 3], [1, 0, 3, 2, 5, 4], [4, 5, 0, 1, 2, 3]] {
        assert_eq!(state(&order), expected, "{order:?}");
    }
}
