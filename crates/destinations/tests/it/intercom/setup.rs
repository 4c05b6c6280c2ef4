//! Settings, refreshing a customer, and the look at the set-up.

use super::*;
use paidup_destinations::{Gravity, LoggedEvent, Refresh};
use paidup_lifecycle::customer::{Customer, Holding};
use paidup_lifecycle::dialects::revenuecat::Status;
use paidup_lifecycle::ids::{CustomerId, PurchaseId};
use paidup_lifecycle::observation::{Environment, Kind, Store};
use paidup_lifecycle::purchase::State;

#[test]
fn a_customer_is_refreshed_without_an_event() {
    let mut customer = Customer::new(CustomerId([5; 16]), now());
    customer.aliases.push("sample-user".to_owned());
    let refresh = |customer: &Customer, settings: Value, script: Vec<Exchange>| {
        let destination = intercom(settings);
        let of = Refresh { customer, environment: Environment::Production };
        let conversation = destination.refresh(&of, &Memory::default(), at(0)).unwrap();
        let course = run_by(conversation, Memory::default(), |number, request| {
            check(request);
            assert_eq!(called(request), script[number].0);
            answer(script[number].1, &[], &script[number].2)
        });
        assert_eq!(course.requests.len(), script.len());
        course
    };
    let nothing = refresh(&customer, json!({}), vec![]);
    assert_eq!(words(&nothing.verdict), "skip: the customer has bought nothing");
    let holding = Holding {
        store: Store::PlayStore,
        environment: Environment::Production,
        kind: Kind::Subscription,
        product_id: Some("pro:monthly".to_owned()),
        period_type: None,
        state: State::Active,
        entitlements: vec!["pro".to_owned()],
        until: Some("2027-01-01T00:00:00Z".parse().unwrap()),
        status: Some(Status::Active),
    };
    customer.holdings.insert(PurchaseId([1; 16]), holding);
    let course = refresh(&customer, json!({}), vec![(FIND, 200, known()), (UPDATE, 200, known())]);
    assert_eq!(course.verdict, Verdict::Delivered);
    let url = format!("https://hub.example/customers/{}", customer.id);
    let expected = json!({
        "latest_store": "PLAY_STORE", "latest_entitlement": "pro", "expires_at": 1_798_761_600,
        "subscription_status": "active", "paidup_customer_url": url,
    });
    assert_eq!(body(&course.requests[1])["custom_attributes"], expected);
    let course = refresh(&customer, json!({}), vec![(FIND, 404, not_found()), (CREATE, 200, known())]);
    assert_eq!(body(&course.requests[1])["custom_attributes"], expected);
    for missing in ["wait", "skip"] {
        let course = refresh(&customer, json!({ "missing_contact": missing }), vec![(FIND, 404, not_found())]);
        assert!(words(&course.verdict).starts_with("skip:"), "{missing}: who looks through all waits for nobody");
    }
    let shows = contact(ID, Some("sample-user"), expected);
    let course = refresh(&customer, json!({}), vec![(FIND, 200, shows)]);
    assert_eq!(course.verdict, Verdict::Delivered, "looked up, and nothing to write");
    customer.aliases.clear();
    let course = refresh(&customer, json!({ "anonymous": "skip" }), vec![]);
    assert!(words(&course.verdict).starts_with("skip: anonymous"));
}

fn me(region: &str) -> Value {
    json!({ "type": "admin", "app": { "name": "Acme", "id_code": "abc", "region": region } })
}

fn attributes(change: impl Fn(&str) -> Value) -> Value {
    let all = [
        ("latest_store", "string"),
        ("latest_entitlement", "string"),
        ("expires_at", "date"),
        ("subscription_status", "string"),
        ("paidup_customer_url", "string"),
    ];
    let data = all.iter().map(|(name, data_type)| {
        let mut one = json!({ "name": name, "data_type": data_type, "custom": true, "archived": false });
        one.as_object_mut().unwrap().extend(change(name).as_object().unwrap().clone());
        one
    });
    json!({ "type": "list", "data": data.collect::<Vec<_>>() })
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn a_look_at_the_set_up_says_what_is_wrong() {
    const ME: &str = "GET /me";
    const NOBODY: &str = "GET /contacts/find_by_external_id/paidup-set-up-check";
    const NO_CONTACT: &str = "PUT /contacts/paidup-set-up-check";
    const LIST: &str = "GET /data_attributes";
    let exists = || error("parameter_invalid", "You already have 'x' in your People data.");
    let forbidden = || error("forbidden", "no");
    let looks = |me: Value, find: Exchange, tell: Exchange, list: Value| {
        let mut script = vec![(ME, 200, me), find, (NO_CONTACT, 404, not_found()), tell];
        script.extend((0..5).map(|_| (ADD, 400, exists())));
        script.push((LIST, 200, list));
        script
    };
    let find = || (NOBODY, 404, not_found());
    let tell = || (TELL, 404, not_found());
    let fine = || attributes(|_| json!({}));
    let typed =
        |wrong: &'static str, with: Value| attributes(move |name| if name == wrong { with.clone() } else { json!({}) });
    let made = {
        let mut script = looks(me("US"), find(), tell(), fine());
        script[4] = (ADD, 200, json!({}));
        script
    };
    // (what, script, verdict, a finding of this gravity, which contains this)
    for (name, script, verdict, gravity, finding) in [
        (
            "fine",
            looks(me("US"), find(), tell(), fine()),
            "delivered",
            Gravity::Fine,
            "workspace Acme (abc), region US",
        ),
        ("made", made, "delivered", Gravity::Fine, "Data attributes made: latest_store."),
        ("names", looks(me("US"), find(), tell(), fine()), "delivered", Gravity::Fine, "10 event names will be used"),
        (
            "another region",
            looks(me("EU"), find(), tell(), fine()),
            "give up: The workspace's data is in the region EU",
            Gravity::Problem,
            "set it to `eu`",
        ),
        (
            "may not tell events",
            looks(me("US"), find(), (TELL, 403, forbidden()), fine()),
            "give up: Intercom answered 403 Forbidden to the event",
            Gravity::Problem,
            "lacks the permission \"Write events\"",
        ),
        (
            "may not look up",
            looks(me("US"), (NOBODY, 403, forbidden()), tell(), fine()),
            "give up: Intercom answered 403 Forbidden to looking up",
            Gravity::Problem,
            "lacks the permission \"Read one user and one company\"",
        ),
        (
            "an attribute of another type",
            looks(me("US"), find(), tell(), typed("expires_at", json!({ "data_type": "string" }))),
            "give up: The data attribute expires_at has the type string",
            Gravity::Problem,
            "must have date",
        ),
        (
            "an archived attribute",
            looks(me("US"), find(), tell(), typed("latest_store", json!({ "archived": true }))),
            "give up: The data attribute latest_store is archived",
            Gravity::Problem,
            "unarchive it",
        ),
        (
            "a list of options",
            looks(me("US"), find(), tell(), typed("subscription_status", json!({ "options": [{ "value": "a" }] }))),
            "delivered",
            Gravity::Warning,
            "is a list of options",
        ),
        (
            "an attribute that cannot be made",
            looks(me("US"), find(), tell(), json!({ "data": [] })),
            "give up: The data attribute latest_store is not there",
            Gravity::Problem,
            "paidup_customer_url is not there",
        ),
        (
            "a wrong token",
            vec![(ME, 401, error("unauthorized", "Access Token Invalid"))],
            "off: Intercom answered 401 Unauthorized",
            Gravity::Problem,
            "set a new `access_token`",
        ),
        (
            "somebody else",
            vec![(ME, 200, json!({ "hello": 1 }))],
            "retry: ",
            Gravity::Problem,
            "does not answer as Intercom",
        ),
        ("an outage", vec![(ME, 503, Value::Null)], "retry: Intercom answered 503", Gravity::Problem, "503"),
    ] {
        let destination = intercom(json!({}));
        let mut look = destination.check(moment()).unwrap();
        let (mut last, mut calls) = (None, 0);
        let found = loop {
            match look.next(last.as_ref()) {
                paidup_destinations::Step::Call { request, budgets } => {
                    let (expected, status, body) = &script[calls];
                    assert_eq!(&called(&request), expected, "{name}, call {calls}");
                    assert_eq!(budgets.len(), 1);
                    check(&request);
                    last = Some(answer(*status, &[], body));
                    calls += 1;
                }
                paidup_destinations::Step::Finish(verdict) => break words(&verdict),
                other => panic!("{name}: {other:?}"),
            }
        };
        assert_eq!(calls, script.len(), "{name}");
        assert!(found.starts_with(verdict), "{name}: {found}");
        let findings = look.findings();
        let matches = |one: &&paidup_destinations::Finding| one.gravity == gravity && one.text.contains(finding);
        assert!(findings.iter().any(|one| matches(&one)), "{name}: {findings:?}");
    }
}

#[test]
fn settings_that_do_not_fit_say_where_and_why() {
    let definition = paidup_destinations::definition("intercom").unwrap();
    for (settings, pointer, detail) in [
        (json!({ "access_token": "" }), "/access_token", "visible characters"),
        (json!({ "access_token": "a b" }), "/access_token", "visible characters"),
        (json!({ "access_token": "x", "region": "uk" }), "/region", "expected"),
        (json!({ "access_token": "x", "events": { "RENEWALS": {} } }), "/events/RENEWALS", "did you mean `RENEWAL`?"),
        (
            json!({ "access_token": "x", "events": { "RENEWAL": { "name": "x".repeat(256) } } }),
            "/events/RENEWAL/name",
            "255",
        ),
        (json!({ "access_token": "x", "events": { "RENEWAL": { "nmae": "" } } }), "/events/RENEWAL/nmae", "`name`"),
        (json!({ "access_token": "x", "match_by": "attribute" }), "/match_attribute", "needed"),
        (json!({ "access_token": "x", "match_attribute": "y" }), "/match_attribute", "only used"),
        (
            json!({ "access_token": "x", "match_by": "attribute", "match_attribute": "a.b" }),
            "/match_attribute",
            "no name of a custom attribute",
        ),
    ] {
        let error = (definition.prepare)(&crate::support::raw(&settings), &[0; 32]).unwrap_err();
        assert_eq!(error.pointer, pointer, "{settings}");
        assert!(error.detail.contains(detail), "{settings}: {}", error.detail);
    }
    for (region, host) in [("us", "api.intercom.io"), ("eu", "api.eu.intercom.io"), ("au", "api.au.intercom.io")] {
        let destination = intercom(json!({ "region": region }));
        let course = run_by(
            destination.deliver(&[logged(renewal())], &Memory::default(), moment()).unwrap(),
            Memory::default(),
            |_, request| destination.rehearsal(request),
        );
        assert!(course.requests.iter().all(|request| request.uri().host() == Some(host)), "{region}");
    }
}

/// The log's events are told one by one.
#[test]
fn nothing_coalesces() {
    let destination = intercom(json!({}));
    let two: Vec<LoggedEvent> = vec![logged(renewal()), logged(renewal())];
    assert_eq!(destination.pace().coalesces, 1);
    assert!(destination.deliver(&two, &Memory::default(), moment()).is_err());
}
