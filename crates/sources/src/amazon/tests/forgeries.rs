//! What must not be believed. Each forgery has its name, its status and its reason.

use super::signing::{CERTIFICATE_URL, Signer, TOPIC, envelope, message, signed};
use super::{at, certificate, open, opened, verify};
use crate::RejectionKind::{self, Forged, Malformed, TooLarge, Unavailable, WrongAddress};
use crate::proof::sns::Envelope;
use crate::{Keys, RawRequest, Verification};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: &str = "2026-01-01T12:00:00Z";

fn renewed() -> String {
    message("SUBSCRIPTION_RENEWED", 1_767_268_800_000, &json!({})).to_string()
}

/// The genuine envelope with something changed before it is signed.
fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = envelope("m-1", &renewed(), NOW);
    change(&mut body);
    signed(body, Signer::Sns)
}

/// The same with something changed after it was signed.
fn tampered(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = changed(|_| {});
    change(&mut body);
    body
}

fn with(field: &'static str, value: impl Into<Value>) -> impl FnOnce(&mut Value) {
    let value = value.into();
    move |body| body[field] = value
}

fn check(name: &str, body: &[u8], keys: &Keys, kind: RejectionKind, reason: &str) {
    let raw = RawRequest { headers: http::HeaderMap::new(), body: body.to_vec().into() };
    match open(&json!({})).verify(&raw, keys, at(NOW)) {
        Err(rejection) => assert_eq!((rejection.kind, rejection.reason), (kind, reason), "{name}: {rejection}"),
        Ok(Verification::KeyNeeded(request)) => panic!("{name}: {} is fetched", request.uri()),
        Ok(Verification::Verified(_)) => panic!("{name}: believed"),
    }
}

#[test]
fn the_genuine_message_is_believed() {
    let source = open(&json!({}));
    let genuine = changed(|_| {}).to_string();
    assert_eq!(
        verify(source.as_ref(), genuine.as_bytes(), &certificate(), at(NOW)).unwrap().label,
        "SUBSCRIPTION_RENEWED"
    );
    // AWS writes the field either way, and more fields are none of ours.
    let mut other = changed(|_| {});
    let url = other.as_object_mut().unwrap().remove("SigningCertURL").unwrap();
    other["SigningCertUrl"] = url;
    other["MessageAttributes"] = json!({"x": {"Type": "String", "Value": "y"}});
    assert!(verify(source.as_ref(), other.to_string().as_bytes(), &certificate(), at(NOW)).is_ok());
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/amazon/tests/signed");
    for version in ["1", "2"] {
        let body = std::fs::read(folder.join(format!("notification_v{version}.json"))).unwrap();
        let taken = verify(source.as_ref(), &body, &certificate(), at("2026-01-01T00:00:02Z"));
        assert_eq!(taken.unwrap().label, "SUBSCRIPTION_RENEWED", "signature version {version}");
        let other = String::from_utf8(body).unwrap().replace("SUBSCRIPTION_RENEWED", "SUBSCRIPTION_EXPIRED");
        let taken = verify(source.as_ref(), other.as_bytes(), &certificate(), at("2026-01-01T00:00:02Z"));
        assert_eq!(taken.unwrap_err().reason, "wrong_signature", "signature version {version}");
    }
}

#[test]
fn what_is_no_envelope_is_malformed() {
    let genuine = changed(|_| {}).to_string();
    let keys = certificate();
    let twice = |field: &str| genuine.replacen('{', &format!("{{\"{field}\":\"x\","), 1);
    // As Amazon's page prints it: the quotes inside of Message are not escaped.
    let unescaped = genuine.replace(r#"\"relatedReceipts\":{}"#, r#""relatedReceipts":{"cancelledReceiptId":"x"}"#);
    assert_ne!(unescaped, genuine);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "unreadable_body"),
        ("no JSON", b"Type=Notification".to_vec(), "unreadable_body"),
        ("an array", b"[]".to_vec(), "unreadable_body"),
        ("no UTF-8", b"{\"Type\":\"\xff\"}".to_vec(), "unreadable_body"),
        ("deep", "[".repeat(100_000).into_bytes(), "unreadable_body"),
        ("cut", genuine.as_bytes()[..genuine.len() / 2].to_vec(), "unreadable_body"),
        ("unescaped quotes", unescaped.into_bytes(), "unreadable_body"),
        ("two messages", twice("Message").into_bytes(), "unreadable_body"),
        ("two topics", twice("TopicArn").into_bytes(), "unreadable_body"),
        ("two certificates", twice("SigningCertURL").into_bytes(), "unreadable_body"),
        ("two certificates in two spellings", twice("SigningCertUrl").into_bytes(), "unreadable_body"),
        ("two signatures", twice("Signature").into_bytes(), "unreadable_body"),
        ("no time", changed(with("Timestamp", "noon")).to_string().into_bytes(), "unreadable_body"),
        ("a number for a text", changed(with("SignatureVersion", 2)).to_string().into_bytes(), "unreadable_body"),
        ("an odd id", changed(with("MessageId", "a b")).to_string().into_bytes(), "unreadable_body"),
        ("no id", changed(with("MessageId", "")).to_string().into_bytes(), "unreadable_body"),
        ("an unknown type", changed(with("Type", "Rumour")).to_string().into_bytes(), "unknown_type"),
        (
            "a confirmation without a token",
            changed(with("Type", "SubscriptionConfirmation")).to_string().into_bytes(),
            "no_token",
        ),
        ("Message is no JSON", changed(with("Message", "Hello")).to_string().into_bytes(), "unreadable_message"),
        ("Message is an array", changed(with("Message", "[]")).to_string().into_bytes(), "unreadable_message"),
        (
            "a field of Message twice",
            changed(with("Message", renewed().replacen('{', "{\"receiptId\":\"x\",", 1))).to_string().into_bytes(),
            "unreadable_message",
        ),
        (
            "a field of Message twice, in two casings",
            changed(with("Message", renewed().replacen('{', "{\"ReceiptID\":\"x\",", 1))).to_string().into_bytes(),
            "unreadable_message",
        ),
        ("no type in Message", changed(with("Message", "{}")).to_string().into_bytes(), "no_type"),
        (
            "no receipt in Message",
            changed(with("Message", renewed().replace("receiptId", "receipt"))).to_string().into_bytes(),
            "no_receipt",
        ),
        (
            "a receipt that is none",
            changed(with("Message", renewed().replace("receipt-1", "receipt 1"))).to_string().into_bytes(),
            "no_receipt",
        ),
        (
            "an endless receipt",
            changed(with("Message", renewed().replace("receipt-1", &"x".repeat(300)))).to_string().into_bytes(),
            "no_receipt",
        ),
        (
            "ids that no lookup holds",
            changed(with("Message", renewed().replace("receipt-1", &"%".repeat(250)))).to_string().into_bytes(),
            "odd_ids",
        ),
    ];
    for (name, body, reason) in cases {
        check(name, &body, &keys, Malformed, reason);
    }
    check("too large", &vec![b' '; 600_000], &keys, TooLarge, "body_too_large");
}

#[test]
fn what_is_not_signed_by_sns_is_forged() {
    let keys = certificate();
    let somebody = signed(envelope("m-1", &renewed(), NOW), Signer::SomebodyElse);
    let short: Value = tampered(|body| {
        let signature = body["Signature"].as_str().unwrap().to_owned();
        body["Signature"] = json!(&signature[..signature.len() - 8]);
    });
    for (name, body) in [
        ("somebody else's key", somebody),
        ("another message", tampered(with("Message", renewed().replace("receipt-1", "receipt-2")))),
        ("another id", tampered(with("MessageId", "m-2"))),
        ("another moment", tampered(with("Timestamp", "2026-01-01T12:00:01Z"))),
        ("a subject added", tampered(with("Subject", "x"))),
        ("an empty subject added", tampered(with("Subject", ""))),
        ("another version of the signature", tampered(with("SignatureVersion", "1"))),
        ("no signature", tampered(with("Signature", ""))),
        ("no base64", tampered(with("Signature", "EXAMPLEab123..."))),
        ("a cut signature", short),
        ("zeroes", tampered(with("Signature", "A".repeat(344)))),
    ] {
        check(name, body.to_string().as_bytes(), &keys, Forged, "wrong_signature");
    }
    for version in ["3", "0", "", "1 ", "2.0", "sha256"] {
        let body = changed(with("SignatureVersion", version));
        check(version, body.to_string().as_bytes(), &keys, Forged, "signature_version");
    }
    for (at, reason) in [
        ("2026-01-01T10:54:59Z", "stale_message"),
        ("2016-01-01T12:00:00Z", "stale_message"),
        ("2026-01-01T12:05:01Z", "future_message"),
        ("2036-01-01T12:00:00Z", "future_message"),
    ] {
        check(at, changed(with("Timestamp", at)).to_string().as_bytes(), &keys, Forged, reason);
    }
    let source = open(&json!({}));
    for at_bound in ["2026-01-01T10:55:00Z", "2026-01-01T12:05:00Z"] {
        let body = changed(with("Timestamp", at_bound)).to_string();
        assert!(verify(source.as_ref(), body.as_bytes(), &keys, at(NOW)).is_ok(), "{at_bound}");
    }
}

#[test]
#[allow(clippy::too_many_lines)] // one table
fn certificates_come_from_sns_alone() {
    for url in [
        "http://sns.us-east-1.amazonaws.com/x.pem",
        "HTTPS://sns.us-east-1.amazonaws.com/x.pem",
        "//sns.us-east-1.amazonaws.com/x.pem",
        "https:/sns.us-east-1.amazonaws.com/x.pem",
        "https://evil.com/x.pem",
        "https://sns.us-east-1.amazonaws.com.evil.com/x.pem",
        "https://sns.us-east-1.amazonaws.com.cn.evil.com/x.pem",
        "https://sns.us-east-1.amazonaws.comx/x.pem",
        "https://sns.us-east-1.amazonaws.com./x.pem",
        "https://sns.us-east-1.amazonaws.com%2eevil.com/x.pem",
        "https://evil.com/sns.us-east-1.amazonaws.com/x.pem",
        "https://sns-us-east-1.amazonaws.com/x.pem",
        "https://xsns.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.evil.amazonaws.com/x.pem",
        "https://sns.evil.com/.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1@evil.com/.amazonaws.com/x.pem",
        "https://sns.s3-1.amazonaws.com/x.pem",
        "https://sns.bucket.amazonaws.com/x.pem",
        "https://sns..amazonaws.com/x.pem",
        "https://sns.amazonaws.com/x.pem",
        "https://sns.-1.amazonaws.com/x.pem",
        "https://SNS.us-east-1.amazonaws.com/x.pem",
        "https://sns.US-EAST-1.amazonaws.com/x.pem",
        "https://ѕns.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com:443/x.pem",
        "https://sns.us-east-1.amazonaws.com:8443/x.pem",
        "https://user@sns.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com@evil.com/x.pem",
        "https://user:pass@sns.us-east-1.amazonaws.com/x.pem",
        "https://sns.us-east-1.amazonaws.com\\@evil.com/x.pem",
        "https://sns.us-east-1.amazonaws.com#@evil.com/x.pem",
        "https://sns.us-east-1.amazonaws.com?x=/x.pem",
        "https://sns.us-east-1.amazonaws.com/x.pem?y",
        "https://sns.us-east-1.amazonaws.com/?Action=x.pem",
        "https://sns.us-east-1.amazonaws.com/x.pem#y",
        "https://sns.us-east-1.amazonaws.com/x#.pem",
        "https://sns.us-east-1.amazonaws.com/../x.pem",
        "https://sns.us-east-1.amazonaws.com/a/../../x.pem",
        "https://sns.us-east-1.amazonaws.com/%2e%2e/x.pem",
        "https://sns.us-east-1.amazonaws.com//x.pem",
        "https://sns.us-east-1.amazonaws.com/.pem",
        "https://sns.us-east-1.amazonaws.com/x.pem/",
        "https://sns.us-east-1.amazonaws.com/x.PEM",
        "https://sns.us-east-1.amazonaws.com/x.txt",
        "https://sns.us-east-1.amazonaws.com/x\n.pem",
        "https://sns.us-east-1.amazonaws.com/x .pem",
        "https://sns.us-east-1.amazonaws.com",
        "https://169.254.169.254/latest/meta-data/x.pem",
        "file:///etc/ssl/x.pem",
        "",
    ] {
        let mut keys = certificate();
        keys.0.insert(url.to_owned(), Signer::Sns.certificate(2020, 2040).into());
        let body = changed(with("SigningCertURL", url)).to_string();
        check(url, body.as_bytes(), &keys, Forged, "foreign_certificate");
    }
    let long = format!("https://sns.us-east-1.amazonaws.com/{}.pem", "x".repeat(600));
    check(
        "long",
        changed(with("SigningCertURL", long)).to_string().as_bytes(),
        &Keys::default(),
        Forged,
        "foreign_certificate",
    );
    for url in [
        CERTIFICATE_URL,
        "https://sns.us-gov-west-1.amazonaws.com/SimpleNotificationService-1.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem",
        "https://sns.ap-southeast-3.amazonaws.com/folder/x.pem",
    ] {
        let raw = RawRequest {
            headers: http::HeaderMap::new(),
            body: changed(with("SigningCertURL", url)).to_string().into(),
        };
        match open(&json!({})).verify(&raw, &Keys::default(), at(NOW)) {
            Ok(Verification::KeyNeeded(request)) => {
                assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("GET", url));
            }
            other => panic!("{url}: {other:?}"),
        }
    }
}

/// Where the operator set an origin, it is that one and no other.
#[test]
fn an_origin_of_the_operators_is_the_only_one() {
    let upstreams =
        crate::Upstreams { amazon_sns: Some("http://127.0.0.1:9".to_owned()), ..crate::golden::upstreams() };
    let settings = serde_json::value::to_raw_value(&json!({"topic_arn": TOPIC})).unwrap();
    let source = (super::DEFINITION.open)(paidup_lifecycle::ids::SourceId([7; 16]), &settings, &upstreams).unwrap();
    for (url, is_taken) in [
        ("http://127.0.0.1:9/SimpleNotificationService-1.pem", true),
        (CERTIFICATE_URL, false),
        ("http://127.0.0.1:90/x.pem", false),
        ("http://127.0.0.1:9@evil.com/x.pem", false),
        ("http://127.0.0.1:9.evil.com/x.pem", false),
        ("https://127.0.0.1:9/x.pem", false),
        ("http://127.0.0.1:9/../x.pem", false),
    ] {
        let raw = RawRequest {
            headers: http::HeaderMap::new(),
            body: changed(with("SigningCertURL", url)).to_string().into(),
        };
        let needs = matches!(source.verify(&raw, &Keys::default(), at(NOW)), Ok(Verification::KeyNeeded(_)));
        assert_eq!(needs, is_taken, "{url}");
    }
}

#[test]
fn certificates_are_judged_at_the_messages_time() {
    let body = changed(|_| {}).to_string();
    for (name, from, to, kind, reason) in [
        ("expired", 2020, 2026, Forged, "certificate_expired"),
        ("not valid yet", 2027, 2030, Forged, "certificate_expired"),
    ] {
        let keys = Keys([(CERTIFICATE_URL.to_owned(), Signer::Sns.certificate(from, to).into())].into());
        check(name, body.as_bytes(), &keys, kind, reason);
    }
    // What a certificate's server gives instead is not the sender's fault.
    let pem = Signer::Sns.certificate(2020, 2040);
    let ec = rcgen::generate_simple_self_signed(vec!["sns.amazonaws.com".to_owned()]).unwrap().cert.pem();
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("a page", b"<html>captive portal</html>".to_vec()),
        ("a cut certificate", pem.as_bytes()[..pem.len() / 2].to_vec()),
        ("no certificate inside", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()),
        ("an elliptic key", ec.into_bytes()),
        ("a huge one", [pem.as_bytes(), vec![b'x'; 64 * 1024].as_slice()].concat()),
    ];
    for (name, given) in bad {
        let keys = Keys([(CERTIFICATE_URL.to_owned(), given.into())].into());
        check(name, body.as_bytes(), &keys, Unavailable, "certificate_unreadable");
    }
    // Another certificate of the right sort: whoever signed, it was not its key.
    let other = Signer::SomebodyElse.certificate(2020, 2040);
    let keys = Keys([(CERTIFICATE_URL.to_owned(), other.into())].into());
    check("another certificate", body.as_bytes(), &keys, Forged, "wrong_signature");
}

#[test]
fn what_is_for_somebody_else_is_refused_before_anything_is_fetched() {
    let other = "arn:aws:sns:us-east-1:999999999999:rtn-test";
    let none = Keys::default();
    check("another topic", changed(with("TopicArn", other)).to_string().as_bytes(), &none, WrongAddress, "wrong_topic");
    check(
        "the topic taken off",
        tampered(with("TopicArn", "")).to_string().as_bytes(),
        &none,
        WrongAddress,
        "wrong_topic",
    );
    let settings = json!({"topic_arn": TOPIC, "package_name": "com.example.app", "environment": "PRODUCTION"});
    let source = opened(&settings);
    for (more, reason) in [
        (json!({}), None),
        (json!({"appPackageName": "com.example.other"}), Some("wrong_package")),
        (json!({"betaProductTransaction": true}), Some("wrong_environment")),
    ] {
        let text = message("SUBSCRIPTION_RENEWED", 1_767_268_800_000, &more).to_string();
        let body = signed(envelope("m-1", &text, NOW), Signer::Sns).to_string();
        let rejection = verify(source.as_ref(), body.as_bytes(), &certificate(), at(NOW)).err();
        let expected = reason.map(|reason| (WrongAddress, reason));
        assert_eq!(rejection.map(|rejection| (rejection.kind, rejection.reason)), expected, "{more}");
    }
}

#[test]
fn a_confirmation_leads_to_sns_or_nowhere() {
    let confirmation = |url: &str| {
        let mut body = envelope("c-1", "You have chosen to subscribe", NOW);
        body["Type"] = json!("SubscriptionConfirmation");
        body["Token"] = json!("token");
        body["SubscribeURL"] = json!(url);
        signed(body, Signer::Sns).to_string()
    };
    for url in [
        "https://evil.com/?Action=ConfirmSubscription",
        "http://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.us-east-1.amazonaws.com.evil.com/?x",
        "https://sns.us-east-1.amazonaws.com:8443/?x",
        "https://a@sns.us-east-1.amazonaws.com/?x",
        "https://sns.us-east-1.amazonaws.com?x",
        "https://sns.us-east-1.amazonaws.com/?x y",
        "https://sns.us-east-1.amazonaws.com/?x#y",
        "http://169.254.169.254/",
        "",
    ] {
        check(url, confirmation(url).as_bytes(), &certificate(), Forged, "foreign_subscription");
    }
}

proptest! {
    /// Whatever arrives is refused or asked a key for, without a panic.
    #[test]
    fn garbage_is_refused(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        let raw = RawRequest { headers: http::HeaderMap::new(), body: body.into() };
        let answer = open(&json!({})).verify(&raw, &Keys::default(), at(NOW));
        prop_assert!(answer.is_err());
    }

    /// A byte of the genuine message changed anywhere is no genuine message, unless it is in what nobody signs.
    #[test]
    fn one_changed_byte_is_noticed(place in 0usize..2_000, bit in 0u8..8) {
        let mut body = changed(|_| {}).to_string().into_bytes();
        let place = place % body.len();
        body[place] ^= 1 << bit;
        let raw = RawRequest { headers: http::HeaderMap::new(), body: body.clone().into() };
        if let Ok(Verification::Verified(verified)) = open(&json!({})).verify(&raw, &certificate(), at(NOW)) {
            let (before, after) = (changed(|_| {}).to_string(), Envelope::parse(&body).ok().unwrap());
            let genuine = Envelope::parse(before.as_bytes()).ok().unwrap();
            prop_assert_eq!(&verified.notifications[0].external_id[..], genuine.message_id.as_str());
            prop_assert_eq!(after.message, genuine.message);
            prop_assert_eq!(after.topic_arn, genuine.topic_arn);
        }
    }

    /// Whatever RVS answers is read or refused, without a panic, and never about another receipt.
    #[test]
    fn odd_answers_are_read_or_refused(
        times in proptest::collection::vec(any::<i64>(), 8),
        reason in any::<i64>(),
        term in "([0-9]{1,20} )?[A-Za-z]{0,10}",
        kind in 0usize..18,
    ) {
        let kinds = [
            "SUBSCRIPTION_PURCHASED", "SUBSCRIPTION_CONVERTED_FREE_TRIAL_TO_PAID", "SUBSCRIPTION_RENEWED",
            "SUBSCRIPTION_AUTO_RENEWAL_OFF", "SUBSCRIPTION_AUTO_RENEWAL_ON", "SUBSCRIPTION_SCHEDULED_TO_END",
            "SUBSCRIPTION_IN_GRACE_PERIOD", "SUBSCRIPTION_OUT_OF_GRACE_PERIOD", "SUBSCRIPTION_MODIFIED_DEFERRED",
            "SUBSCRIPTION_MODIFIED_IMMEDIATE", "SUBSCRIPTION_CANCELLED", "SUBSCRIPTION_EXPIRED", "CONSUMABLE_PURCHASED",
            "CONSUMABLE_CANCELLED", "ENTITLEMENT_PURCHASED", "ENTITLEMENT_CANCELLED", "SOMETHING_NEW", "subscription",
        ];
        let source = open(&json!({}));
        let reading = super::take(source.as_ref(), "m", &message(kinds[kind], 1_767_268_800_000, &json!({}))).reading;
        let near = |time: i64| 1_767_268_800_000 + time % 100_000_000_000;
        let time = |index: usize| if index < 4 { json!(near(times[index])) } else { json!(times[index]) };
        let receipt = json!({"productType": "SUBSCRIPTION", "productId": "p", "termSku": "t", "term": term,
            "purchaseDate": time(0), "renewalDate": time(2), "cancelDate": times[1] % 3 * near(times[3]), "cancelReason": reason % 6,
            "freeTrialEndDate": time(4), "gracePeriodEndDate": time(5), "deferredDate": time(6), "deferredSku": "u"});
        let read = super::answer(source.as_ref(), &reading, at("2026-01-01T12:00:01Z"), &receipt.to_string()).unwrap();
        for observation in &read.observations {
            prop_assert_eq!(&observation.key.store_purchase_id, "receipt-1:3:11");
            if let Some(period) = &observation.facets.period {
                prop_assert!(period.value.ends_at.is_none_or(|ends_at| ends_at > period.value.starts_at));
            }
        }
    }
}
