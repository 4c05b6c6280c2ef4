//! One suite that every destination passes: retry, rate limit, gone, slow, garbage, poison, and secrets kept.

use crate::support::{
    ACCESS_TOKEN, Course, SECRET, TOKEN, answered, every_kind, logged, moment, open, run, run_by, sample_of,
};
use paidup_destinations::{Answer, CallFailure, DEFINITIONS, Destination, LoggedEvent, Memory, Verdict};
use paidup_lifecycle::event::EventType;
use std::time::Duration;

/// An event that every kind and format has a message for.
fn told() -> LoggedEvent {
    logged(sample_of(EventType::SubscriptionRenewed))
}

fn course(destination: &dyn Destination, answer: impl Fn(usize) -> Answer) -> Course {
    let event = told();
    assert_eq!(destination.skips(&event), None);
    run(destination.deliver(&[event], &Memory::default(), moment()).unwrap(), Memory::default(), answer)
}

/// Runs `case` for every kind and format.
fn each(case: impl Fn(&str, &dyn Destination)) {
    for (kind, format, settings) in every_kind() {
        case(&format!("{kind}/{format}"), &*open(kind, &settings));
    }
}

/// How many calls an event takes when nothing is remembered.
fn calls(name: &str) -> usize {
    // The contact is found, its attributes are written, the event is told.
    if name.starts_with("intercom/") { 3 } else { 1 }
}

#[test]
fn a_success_is_delivered_with_the_fewest_calls_and_nothing_else_remembered() {
    each(|name, destination| {
        for status in [200, 204] {
            let last = calls(name) - 1;
            let conversation = destination.deliver(&[told()], &Memory::default(), moment()).unwrap();
            let course = run_by(conversation, Memory::default(), |number, request| {
                if number == last { answered(status, &[], "") } else { destination.rehearsal(request) }
            });
            assert_eq!(course.verdict, Verdict::Delivered, "{name} {status}");
            assert_eq!(course.requests.len(), calls(name), "{name}");
            assert_eq!(course.memory == Memory::default(), calls(name) == 1, "{name}");
        }
    });
}

#[test]
fn an_outage_is_retried_and_counts() {
    each(|name, destination| {
        for answer in [
            answered(500, &[], ""),
            answered(502, &[], "<html>bad gateway</html>"),
            answered(503, &[], ""),
            answered(504, &[], ""),
            answered(301, &[("location", "https://elsewhere.example/")], ""),
        ] {
            let course = course(destination, |_| answer.clone());
            assert!(matches!(course.verdict, Verdict::Retry { counts: true, .. }), "{name}: {:?}", course.verdict);
            assert_eq!(course.requests.len(), 1, "{name}: retrying is the hub's business");
        }
    });
}

#[test]
fn a_rate_limit_is_waited_for_and_is_no_failure() {
    each(|name, destination| {
        let limited = [("retry-after", "7"), ("x-ratelimit-scope", "user")];
        let course = course(destination, |_| answered(429, &limited, r#"{"retry_after":6.5,"message":"x"}"#));
        let Verdict::Retry { after, counts: false, .. } = course.verdict else {
            panic!("{name}: {:?}", course.verdict);
        };
        assert_eq!(after, Some(Duration::from_secs(7)), "{name}");
    });
}

#[test]
fn gone_switches_off() {
    each(|name, destination| {
        let unauthorized =
            r#"{"type":"error.list","errors":[{"code":"unauthorized","message":"Access Token Invalid"}]}"#;
        let gone = match name.split_once('/').unwrap().0 {
            "webhook" => answered(410, &[], ""),
            "discord_webhook" => answered(404, &[], r#"{"code":10015,"message":"Unknown Webhook"}"#),
            "intercom" => answered(401, &[], unauthorized),
            other => panic!("how does {other} say that it is gone?"),
        };
        let course = course(destination, |_| gone.clone());
        assert!(matches!(course.verdict, Verdict::SwitchOff(_)), "{name}: {:?}", course.verdict);
    });
}

#[test]
fn no_answer_is_retried_whatever_the_reason() {
    each(|name, destination| {
        for failure in [
            CallFailure::TimedOut,
            CallFailure::NotConnected,
            CallFailure::ConnectionLost,
            CallFailure::AddressRefused,
            CallFailure::NameNotFound,
            CallFailure::TlsFailed,
            CallFailure::BadAnswer,
        ] {
            let course = course(destination, |_| Answer::Failed(failure));
            assert!(matches!(course.verdict, Verdict::Retry { counts: true, .. }), "{name} {failure}");
        }
        assert!(destination.pace().timeout >= Duration::from_secs(5), "{name}");
        assert!(destination.pace().timeout <= Duration::from_secs(60), "{name}");
    });
}

/// Whatever comes back, a verdict comes out, and no wait is longer than a day.
#[test]
fn garbage_is_survived() {
    let headers: [&[(&str, &str)]; 4] = [
        &[],
        &[("retry-after", "-1e999"), ("x-ratelimit-reset-after", "NaN"), ("x-ratelimit-remaining", "1e99")],
        &[("retry-after", "99999999999999999999999"), ("x-ratelimit-scope", "\u{7f}?")],
        &[("x-ratelimit-reset-after", "1e300"), ("x-ratelimit-remaining", "-5"), ("x-ratelimit-scope", "shared")],
    ];
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        "[1]",
        "\"x\"",
        "{}",
        r#"{"code":"x"}"#,
        r#"{"errors":[],"retry_after":-1}"#,
        "\u{0}<html>",
    ];
    each(|name, destination| {
        for status in (100..=102).chain(200..=208).chain(300..=308).chain(400..=451).chain(500..=530).chain([999]) {
            for (headers, body) in headers.iter().flat_map(|headers| bodies.iter().map(move |body| (headers, body))) {
                let headers: Vec<_> =
                    headers.iter().filter(|(_, v)| v.bytes().all(|c| (32..127).contains(&c))).copied().collect();
                let course = course(destination, |_| answered(status, &headers, body));
                if let Verdict::Retry { after: Some(after), .. } = course.verdict {
                    assert!(after <= Duration::from_secs(86_400), "{name} {status} {body}");
                }
                for hint in &course.learned {
                    assert!(hint.resets_after <= Duration::from_secs(86_400), "{name} {status} {body}");
                }
            }
        }
    });
}

/// An event that makes no sense is told or given up with a reason; the destination lives on.
#[test]
fn odd_events_are_told_or_given_up() {
    each(|name, destination| {
        for event_type in EventType::ALL {
            let mut event = sample_of(*event_type);
            event.purchase.product_id = None;
            event.purchase.period = None;
            event.previous = None;
            event.transaction = None;
            event.customer.app_user_id = "\u{0}\u{202e}".repeat(5000);
            event.bundle.types.clear();
            event.details = paidup_lifecycle::event::Details::default();
            let event = logged(event);
            if destination.skips(&event).is_some() {
                continue;
            }
            match destination.deliver(&[event], &Memory::default(), moment()) {
                Ok(conversation) => {
                    let course = run_by(conversation, Memory::default(), |_, request| destination.rehearsal(request));
                    assert_eq!(course.verdict, Verdict::Delivered, "{name} {event_type}");
                }
                Err(poison) => assert!(!poison.0.is_empty(), "{name} {event_type}"),
            }
        }
    });
}

#[test]
fn no_secret_comes_out_again() {
    each(|name, destination| {
        for status in [200, 301, 400, 401, 403, 404, 410, 413, 429, 500] {
            let course = course(destination, |_| answered(status, &[], if status == 400 { "{}" } else { "" }));
            let text = format!("{:?} {:?} {:?} {:?}", course.verdict, course.memory, course.learned, course.budgets);
            for secret in
                [SECRET, &SECRET[6..20], TOKEN, ACCESS_TOKEN, "rc-secret", "purchasely-secret", "Bearer receiver"]
            {
                assert!(!text.contains(secret), "{name} {status}: {text}");
            }
        }
    });
}

/// A preview shows where a request goes and what it says, but nothing with which it could be sent.
#[test]
fn previews_hide_credentials() {
    each(|name, destination| {
        let conversation = destination.deliver(&[told()], &Memory::default(), moment()).unwrap();
        let course = run_by(conversation, Memory::default(), |_, request| destination.rehearsal(request));
        let shown: Vec<_> =
            course.requests.iter().map(|one| paidup_destinations::preview::shown(destination, one)).collect();
        let text = serde_json::to_string(&shown).unwrap();
        let secrets = [SECRET, TOKEN, ACCESS_TOKEN, "rc-secret", "purchasely-secret", "Bearer receiver", "growth"];
        for secret in secrets.into_iter().chain(["v1,", "v1="]) {
            assert!(!text.contains(secret), "{name}: {secret} in {text}");
        }
        let shown = shown.last().unwrap();
        assert_eq!(shown.method, "POST", "{name}");
        assert!(shown.url.starts_with("https://"), "{name}");
        let sent = course.requests.last().unwrap().body();
        assert_eq!(shown.body.as_bytes(), &sent[..], "{name}: the very bytes");
        assert!(shown.headers.iter().any(|(header, value)| header == "content-type" && value == "application/json"));
    });
}

#[test]
fn unknown_settings_name_the_nearest_known_one() {
    for definition in DEFINITIONS {
        let (written, meant) = match definition.kind {
            "intercom" => ("acces_token", "`access_token`"),
            _ => ("ulr", "`url`"),
        };
        let settings = serde_json::json!({ written: "https://a.example/" });
        let raw = crate::support::raw(&settings);
        let error = (definition.prepare)(&raw, &[0; 32]).unwrap_err();
        let pointer = format!("/{written}");
        assert_eq!((error.pointer, error.detail.contains(meant)), (pointer, true), "{}", definition.kind);
        let opened = (definition.open)(&raw, &crate::support::upstreams());
        assert!(opened.is_err(), "{}", definition.kind);
    }
}

/// What `prepare` keeps can be prepared and opened again, unchanged.
#[test]
fn prepared_settings_are_stable() {
    for (kind, format, settings) in every_kind() {
        let definition = paidup_destinations::definition(kind).unwrap();
        let once = (definition.prepare)(&crate::support::raw(&settings), &[1; 32]).unwrap();
        let twice = (definition.prepare)(&once, &[2; 32]).unwrap();
        assert_eq!(once.get(), twice.get(), "{kind}/{format}");
        assert!((definition.open)(&twice, &crate::support::upstreams()).is_ok(), "{kind}/{format}");
    }
}
