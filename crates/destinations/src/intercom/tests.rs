//! Tables of the private parts: who a customer is, and what an answer says.

use super::contact::{Anonymous, MatchBy, Person, Rules, contact_id};
use super::verdict::{Call, Reply, reply};
use crate::{Answer, Verdict};
use bytes::Bytes;
use paidup_lifecycle::event::{AttributeView, CustomerView, EventType};
use paidup_lifecycle::observation::Store;
use paidup_lifecycle::sample;
use paidup_lifecycle::time::Timestamp;

fn customer(app_user_id: &str, aliases: &[&str], email: Option<&str>) -> CustomerView {
    let mut customer = sample::event(EventType::Test, Store::AppStore).customer;
    app_user_id.clone_into(&mut customer.app_user_id);
    customer.aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
    customer.anonymous = aliases.is_empty();
    customer.attributes.clear();
    if let Some(email) = email {
        let told = AttributeView { value: email.to_owned(), updated_at: Timestamp::default() };
        customer.attributes.insert("$email".to_owned(), told);
    }
    customer
}

#[test]
fn who_a_customer_is() {
    let long = "x".repeat(256);
    let (made, ours) = ("$RCAnonymousID:1", "cus_00000000000000000000000001");
    let many = ["a", "b", "c", "d", "e"];
    use Anonymous as A;
    // (what, app user id, aliases, e-mail, anonymous, ids or why not)
    for (name, id, aliases, email, anonymous, expected) in [
        ("one id", "ada", &["ada"][..], None, A::Send, "ada"),
        ("a person's id first", made, &[made, "ada"], None, A::Send, "ada $RCAnonymousID:1"),
        ("the last seen first, then the newest", "b", &["a", "b", "c"], None, A::Send, "b c a"),
        ("at most four", "e", &many, None, A::Send, "e d c b"),
        ("a linked account is no id", "discord:1", &["ada", "discord:1"], None, A::Send, "ada"),
        ("unless there is no other", "discord:1", &["discord:1"], None, A::Send, "discord:1"),
        ("nobody", ours, &[], None, A::Send, ours),
        ("nobody, not told", ours, &[], None, A::Skip, "anonymous customers are not told of"),
        ("RevenueCat's nobody, not told", made, &[made], None, A::Skip, "anonymous customers are not told of"),
        ("nobody, by address", made, &[made], Some("a@b.c"), A::Email, ""),
        ("nobody, without", made, &[made], Some("no address"), A::Email, "the customer is anonymous and has no"),
        ("somebody, not by address", "ada", &["ada"], Some("a@b.c"), A::Email, "ada"),
        ("too long", &long, &[&long], None, A::Send, "the customer's id has more than 255"),
        ("too long, but known otherwise", &long, &[&long, "ada"], None, A::Send, "ada"),
        ("control characters", "a\u{0}", &["a\u{0}"], None, A::Send, "the customer's id has more than 255"),
        ("blank", " ", &[" "], None, A::Send, "the customer's id has more than 255"),
    ] {
        let rules = Rules { anonymous, match_by: MatchBy::ExternalId, attribute: String::new() };
        let found = match Person::of(&customer(id, aliases, email), &rules) {
            Ok(person) => person.ids.join(" "),
            Err(reason) => reason.0,
        };
        assert!(found.starts_with(expected) && found.is_empty() == expected.is_empty(), "{name}: {found}");
    }
    for (text, is_one) in [("5ba682d23d7cf92bef87bfd4", true), ("", false), ("../x", false), ("a/b", false)] {
        assert_eq!(contact_id(text).is_some(), is_one, "{text}");
    }
    assert_eq!(contact_id(&"a".repeat(65)), None);
}

/// Every row of Intercom's tables of statuses and codes (intercom.md B5 to B8).
#[test]
#[allow(clippy::too_many_lines)] // a table
fn what_an_answer_says() {
    let error = |code: &str, message: &str| {
        serde_json::json!({ "type": "error.list", "request_id": "r1", "errors": [{ "code": code, "message": message }] })
            .to_string()
    };
    let html = || "<html>".to_owned();
    use Call as C;
    for (call, status, body, expected) in [
        (C::Find, 200, r#"{"id":"1"}"#.to_owned(), "fine"),
        (C::Tell, 202, String::new(), "fine"),
        (C::Tell, 202, " \n".to_owned(), "fine"),
        (C::Tell, 200, html(), "retry Intercom answered 200 OK to the event, but the answer is not Intercom's"),
        (C::Tell, 200, "[]".to_owned(), "retry"),
        (C::Find, 302, String::new(), "retry Intercom answered 302 Found to looking up the contact: redirects"),
        (C::Update, 400, error("parameter_invalid", "Custom attribute 'x' does not exist"), "no attribute"),
        (C::AddAttribute, 400, error("parameter_invalid", "You already have 'x' in your People data."), "exists"),
        (C::Create, 400, error("parameter_invalid", "You already have 'x' in your People data."), "give up"),
        (
            C::Tell,
            400,
            error("type_mismatch", "bad"),
            "give up Intercom answered 400 Bad Request to the event (type_mismatch)",
        ),
        (C::Tell, 400, html(), "retry Intercom answered 400 Bad Request to the event without Intercom's error body"),
        (C::Me, 401, error("unauthorized", "Access Token Invalid"), "off Intercom answered 401 Unauthorized"),
        (C::Me, 401, String::new(), "off"),
        (C::Me, 401, html(), "retry"),
        (C::Tell, 403, error("action_forbidden", "x"), "off"),
        (C::Create, 403, error("api_plan_restricted", "x"), "off"),
        (C::Tell, 403, html(), "retry"),
        (C::Tell, 404, error("not_found", "User Not Found"), "not found"),
        (C::Tell, 404, html(), "retry"),
        (C::Tell, 405, error("action_forbidden", "x"), "give up"),
        (C::Tell, 406, error("media_type_not_acceptable", "x"), "give up"),
        (C::Tell, 408, error("request_timeout", "x"), "retry"),
        (
            C::Create,
            409,
            error("conflict", "A contact matching those details already exists with id=5ba6"),
            "taken 5ba6",
        ),
        (
            C::Create,
            409,
            error("conflict", "An archived contact matching those details already exists with id=5ba6."),
            "taken archived 5ba6",
        ),
        (C::Create, 409, error("resource_conflict", "try again"), "taken"),
        (C::Update, 410, error("contact_merged", "x"), "merged"),
        (C::Tell, 413, error("client_error", "x"), "give up"),
        (C::Tell, 422, error("422", "Cannot have more than 120 active event names"), "give up"),
        (C::Tell, 422, error("data_invalid", "x"), "give up"),
        (C::Tell, 429, error("rate_limit_exceeded", "x"), "wait"),
        (C::Tell, 429, html(), "wait"),
        (C::Tell, 500, error("server_error", "x"), "retry"),
        (C::Tell, 503, html(), "retry"),
        (C::Tell, 504, error("server_timeout", "x"), "retry"),
        (C::Tell, 418, error("new_code", "x"), "retry"),
        (C::Tell, 404, r#"{"type":"error.list","errors":[]}"#.to_owned(), "retry"),
        (C::Tell, 404, r#"{"errors":[{"code":7}]}"#.to_owned(), "retry"),
        (C::Tell, 404, r#"{"errors":[{"code":null,"message":null}]}"#.to_owned(), "not found"),
    ] {
        let response = http::Response::builder().status(status).body(Bytes::from(body.clone())).unwrap();
        let found = match reply(call, &Answer::Response(response), Timestamp::default()) {
            Reply::Fine(_) => "fine".to_owned(),
            Reply::NotFound(_) => "not found".to_owned(),
            Reply::Taken { id, is_archived, .. } => {
                let archived = if is_archived { " archived" } else { "" };
                format!("taken{archived} {}", id.unwrap_or_default())
            }
            Reply::Merged { .. } => "merged".to_owned(),
            Reply::NoAttribute(_) => "no attribute".to_owned(),
            Reply::Exists(_) => "exists".to_owned(),
            Reply::Over(Verdict::Retry { counts, reason, .. }) => {
                format!("{} {}", if counts { "retry" } else { "wait" }, reason.0)
            }
            Reply::Over(Verdict::GiveUp(reason)) => format!("give up {}", reason.0),
            Reply::Over(Verdict::SwitchOff(reason)) => format!("off {}", reason.0),
            Reply::Over(other) => format!("{other:?}"),
        };
        assert!(found.starts_with(expected), "{call:?} {status} {body}: {found}");
    }
}
