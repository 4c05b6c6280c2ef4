//! What is asked, with which secret, and what refusals mean.

use super::signing::message;
use super::*;
use crate::{Ask, Claim, Claimed, Lookup, Note, Refusal, Wanted};
use paidup_lifecycle::observation::{Environment, Kind, Standing};

const NOON: i64 = 1_767_268_800_000;

fn ask(receipt: &str, ask_with: Option<String>) -> Ask {
    let (environment, kind) = (Some(Environment::Production), Some(Kind::Subscription));
    Ask { store_purchase_id: receipt.to_owned(), ask_with, environment, kind }
}

fn uri(source: &dyn Source, lookup: &Lookup) -> String {
    source.look_up(lookup, at("2026-01-01T12:00:00Z")).unwrap().uri().to_string()
}

#[test]
fn the_secret_stands_in_the_request_and_nowhere_else() {
    let source = open(&json!({}));
    for (beta, path) in [(false, ""), (true, "/sandbox")] {
        let more = json!({"betaProductTransaction": beta, "appUserId": "a/b+c=", "receiptId": "r%?#=:3:11"});
        let reading = take(source.as_ref(), "m", &message("SUBSCRIPTION_RENEWED", NOON, &more)).reading;
        let lookup = &reading.lookups[0];
        assert!(!format!("{lookup:?}").contains("Secret"));
        assert!(lookup.fits());
        let secret = "2:shared-Secret_of-the:tests==";
        assert_eq!(
            uri(source.as_ref(), lookup),
            format!(
                "https://rvs.test{path}/version/1.0/verifyReceiptId/developer/{secret}/user/a%2Fb+c=/receiptId/r%25%3F%23=:3:11"
            )
        );
        let receipt = json!({"productType": "SUBSCRIPTION", "productId": "p", "termSku": "t"}).to_string();
        let read = answer(source.as_ref(), &reading, at("2026-01-01T12:00:01Z"), &receipt).unwrap();
        let key = &read.observations[0].key;
        assert_eq!(key.store_purchase_id, "r%?#=:3:11");
        assert_eq!(key.environment, if beta { Environment::Sandbox } else { Environment::Production });
        // The purchase keeps what is needed to ask again.
        let kept = read.observations[0].facets.ask_with.as_ref().unwrap().value.clone();
        let again = ask("a-newer:receipt", Some(kept));
        let asked = source.ask_by(&again).unwrap();
        assert!(uri(source.as_ref(), &asked).ends_with("/user/a%2Fb+c=/receiptId/a-newer:receipt"));
        let id = looked_up_id(at("2026-02-01T00:00:00Z"), &asked.name, &asked.context);
        let answered = source.read_kept(&id, receipt.as_bytes()).unwrap();
        assert_eq!(answered.observations[0].key.store_purchase_id, "a-newer:receipt");
        assert_eq!(answered.observations[0].key.environment, key.environment);
    }
    assert!(!source.policy().unwrap().contains("Secret"));
    let nothing = ask("r", None);
    assert!(source.ask_by(&nothing).is_none(), "a purchase whose user is not known cannot be asked about");
    let without = opened(&json!({"topic_arn": TOPIC}));
    let lookup =
        take(without.as_ref(), "m", &message("SUBSCRIPTION_RENEWED", NOON, &json!({}))).reading.lookups.remove(0);
    assert!(without.look_up(&lookup, at("2026-01-01T12:00:00Z")).is_none(), "without a secret it waits");
}

#[test]
fn segments_of_a_path_stay_one_segment() {
    let source = open(&json!({}));
    for id in ["..", ".", "../../x", "a/../b", "a?b", "a#b", "a%2e%2e", "a\\b", "a;b", "\"", "<>"] {
        let more = json!({"appUserId": id, "receiptId": id});
        let lookup =
            take(source.as_ref(), "m", &message("SUBSCRIPTION_RENEWED", NOON, &more)).reading.lookups.remove(0);
        let uri = uri(source.as_ref(), &lookup);
        let path = uri.strip_prefix("https://rvs.test/version/1.0/verifyReceiptId/developer/").unwrap();
        let parts: Vec<&str> = path.split('/').collect();
        assert_eq!((parts.len(), parts[1], parts[3]), (5, "user", "receiptId"), "{id}: {uri}");
        assert!(!uri.contains(['?', '#', '\\', '"', '<']), "{uri}");
        assert!(parts.iter().all(|part| !part.is_empty() && !part.bytes().all(|byte| byte == b'.')), "{uri}");
    }
}

#[test]
fn what_refusals_mean() {
    let source = open(&json!({}));
    let told = take(source.as_ref(), "m", &message("SUBSCRIPTION_RENEWED", NOON, &json!({}))).reading;
    let lookup = &told.lookups[0];
    let refused = |lookup: &Lookup, status: u16| {
        let wanted = Wanted::Lookup(&lookup.name, &lookup.context);
        source.refused(&wanted, http::StatusCode::from_u16(status).unwrap(), b"")
    };
    for (status, expected) in [
        (400, Refusal::Final),
        (429, Refusal::Later),
        (496, Refusal::Credentials),
        (497, Refusal::Final),
        (500, Refusal::Later),
        (503, Refusal::Later),
        (302, Refusal::Later),
    ] {
        assert_eq!(refused(lookup, status), expected, "{status}");
    }
    let Refusal::Answer(gone) = refused(lookup, 410) else { panic!("410 is an answer") };
    let gone = String::from_utf8(gone.to_vec()).unwrap();
    let read = answer(source.as_ref(), &told, at("2026-01-01T12:00:01Z"), &gone).unwrap();
    assert_eq!(read.observations[0].facets.standing.as_ref().unwrap().value, Standing::Expired);
    assert_eq!(source.refused(&Wanted::Purchase("x"), http::StatusCode::BAD_GATEWAY, b""), Refusal::Later);
    for odd in ["<html>", "[]", "{}", "null", "{\"message\":\"no\"}", "{\"productId\":1}"] {
        assert_eq!(
            answer(source.as_ref(), &told, at("2026-01-01T12:00:01Z"), odd).unwrap_err().reason,
            "no_receipt",
            "{odd}"
        );
    }
}

/// A receipt that is gone does not say what it was: whoever asks about a thing that was bought once knows.
#[test]
fn what_was_bought_once_and_is_gone_was_taken_back() {
    let source = open(&json!({}));
    let asked = |kind| {
        let question = Ask { kind, ..ask("r:3:11", Some("production/user".to_owned())) };
        let lookup = source.ask_by(&question).unwrap();
        let id = crate::looked_up_id(at("2026-01-02T00:00:00Z"), &lookup.name, &lookup.context);
        let facets = source.read_kept(&id, b"{\"status\":410}").unwrap().observations.remove(0).facets;
        (facets.kind.unwrap().value, facets.standing.unwrap().value)
    };
    for kind in [Kind::Consumable, Kind::NonConsumable] {
        assert_eq!(asked(Some(kind)), (kind, Standing::Revoked));
    }
    for kind in [Some(Kind::Subscription), None] {
        assert_eq!(asked(kind), (Kind::Subscription, Standing::Expired));
    }
}

#[test]
fn a_confirmation_is_confirmed_by_the_address_in_it() {
    for (more, confirms) in [(json!({}), true), (json!({"confirmation": "by_hand"}), false)] {
        let source = open(&more);
        for version in ["1", "2"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/amazon/tests/signed");
            let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
            let keys = certificate();
            let now = at("2026-01-01T00:00:02Z");
            let body = read(&format!("confirmation_v{version}.json"));
            let notification = verify(source.as_ref(), &body, &keys, now).unwrap();
            assert_eq!(notification.label, "SubscriptionConfirmation, token 2336412f37fb687f5d51e6e241d0");
            assert_eq!(notification.reading, source.read_kept(&notification.external_id, &body).unwrap());
            let asked: Vec<String> =
                notification.reading.lookups.iter().map(|lookup| uri(source.as_ref(), lookup)).collect();
            let address = format!(
                "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37fb687f5d51e6e241d0"
            );
            assert_eq!(asked, if confirms { vec![address] } else { vec![] });
            for lookup in &notification.reading.lookups {
                assert!(lookup.fits());
                let wanted = Wanted::Lookup(&lookup.name, &lookup.context);
                assert_eq!(source.refused(&wanted, http::StatusCode::NOT_FOUND, b""), Refusal::Final);
                assert_eq!(source.refused(&wanted, http::StatusCode::BAD_GATEWAY, b""), Refusal::Later);
                let id = looked_up_id(now, &lookup.name, &lookup.context);
                assert_eq!(
                    source.read_kept(&id, b"<ConfirmSubscriptionResponse/>").unwrap(),
                    Reading::noted(Note::Informative)
                );
            }
            let body = read(&format!("unsubscribe_v{version}.json"));
            let notification = verify(source.as_ref(), &body, &keys, now).unwrap();
            assert!(
                matches!(notification.reading.note, Some(Note::Warning(_))) && notification.reading.lookups.is_empty()
            );
        }
    }
}

#[test]
fn a_receipt_is_claimed_in_both_environments() {
    let claim = |more: Value| serde_json::from_value::<Claim>(more).unwrap();
    let now = at("2026-01-01T12:00:00Z");
    let source = open(&json!({}));
    let both = claim(json!({"receipt_id": "r:3:11", "user_id": "u"}));
    let Ok(Claimed::LookUp(lookups)) = source.claim(&both, now) else { panic!("it is looked up") };
    let [lookup] = lookups.as_slice() else { panic!("{lookups:?}") };
    assert_eq!(lookup.name, "receipt/production/u/r:3:11");
    let wanted = Wanted::Lookup(&lookup.name, &lookup.context);
    let Refusal::Answer(unknown) = source.refused(&wanted, http::StatusCode::BAD_REQUEST, b"") else {
        panic!("it may be a test's")
    };
    assert_eq!(source.refused(&wanted, http::StatusCode::GONE, b""), Refusal::Final);
    let id = looked_up_id(now, &lookup.name, &lookup.context);
    let next = source.read_kept(&id, &unknown).unwrap().lookups.remove(0);
    assert_eq!(next.name, "receipt/sandbox/u/r:3:11");
    let wanted = Wanted::Lookup(&next.name, &next.context);
    assert_eq!(source.refused(&wanted, http::StatusCode::BAD_REQUEST, b""), Refusal::Final);
    let receipt = json!({"productType": "SUBSCRIPTION", "productId": "p", "termSku": "t", "term": "1 Month",
        "purchaseDate": NOON, "renewalDate": null, "autoRenewing": false});
    let read = source.read_kept(&looked_up_id(now, &next.name, &next.context), receipt.to_string().as_bytes()).unwrap();
    assert_eq!(read.observations[0].key.environment, Environment::Sandbox);
    let strict = open(&json!({"environment": "PRODUCTION"}));
    let Ok(Claimed::LookUp(lookups)) = strict.claim(&both, now) else { panic!("it is looked up") };
    let wanted = Wanted::Lookup(&lookups[0].name, &lookups[0].context);
    assert_eq!(strict.refused(&wanted, http::StatusCode::BAD_REQUEST, b""), Refusal::Final);
    let Ok(Claimed::Known(keys)) = opened(&json!({"topic_arn": TOPIC})).claim(&both, now) else { panic!("no secret") };
    assert_eq!(keys.len(), 2);
    for (wrong, pointer) in [
        (json!({"receipt_id": "r"}), "/user_id"),
        (json!({"user_id": "u"}), "/receipt_id"),
        (json!({"user_id": "u", "receipt_id": "a b"}), "/receipt_id"),
        (json!({"user_id": "u", "receipt_id": "r", "purchase_token": "t"}), "/purchase_token"),
        (json!({"signed_transaction": "x"}), "/signed_transaction"),
    ] {
        let rejection = source.claim(&claim(wrong.clone()), now).unwrap_err();
        assert_eq!(rejection.pointer.as_deref(), Some(pointer), "{wrong}");
    }
}
