//! What is remembered, what is learned, and what is never told.

use super::*;
use paidup_lifecycle::ids::EventId;

#[test]
fn what_is_known_is_not_asked_and_what_is_shown_is_not_written() {
    let destination = intercom(json!({}));
    let memory = remembered(&*destination, &renewal());
    let again = Event { id: EventId([1; 16]), ..renewal() };
    let course = play("the same", &*destination, &again, memory.clone(), &[(TELL, 202, Value::Null)]);
    assert_eq!(course.verdict, Verdict::Delivered);
    let off = Event { id: EventId([2; 16]), ..sample_of(EventType::RenewalDisabled) };
    let script = [(UPDATE, 200, known()), (TELL, 202, Value::Null)];
    let course = play("changed", &*destination, &off, course.memory, &script);
    let written = body(&course.requests[0])["custom_attributes"].clone();
    assert_eq!(written["subscription_status"], "cancelled");
    assert!(written.get("latest_store").is_none(), "only what differs: {written}");
    // An event without a message of its own, and nothing that it changes: no call at all.
    let mut on = sample_of(EventType::RenewalEnabled);
    on.purchase = off.purchase.clone();
    let course = play("nothing new", &*destination, &on, course.memory, &[]);
    assert!(words(&course.verdict).starts_with("skip: the contact shows everything"), "{:?}", course.verdict);
    // One that changes something writes it and tells nothing.
    let on = sample_of(EventType::RenewalEnabled);
    let course = play("on again", &*destination, &on, course.memory, &[(UPDATE, 200, known())]);
    assert_eq!(course.verdict, Verdict::Delivered);
    // Nobody becomes a contact by it.
    let course = play("no contact", &*destination, &on, Memory::default(), &[(FIND, 404, not_found())]);
    assert!(words(&course.verdict).starts_with("skip: the customer has no contact"));
}

#[test]
fn events_of_one_name_and_second_are_moved_apart() {
    let destination = intercom(json!({}));
    let mut memory = remembered(&*destination, &renewal());
    let wanted = renewal().purchase.period.unwrap().starts_at.as_seconds();
    for number in 1..4 {
        let event = Event { id: EventId([number; 16]), ..renewal() };
        let course = play("another", &*destination, &event, memory.clone(), &[(TELL, 202, Value::Null)]);
        assert_eq!(body(&course.requests[0])["created_at"], wanted + i64::from(number));
        // Told again, because the answer was lost: the same second, so that Intercom knows the repeat.
        let course = play("again", &*destination, &event, course.memory, &[(TELL, 202, Value::Null)]);
        assert_eq!(body(&course.requests[0])["created_at"], wanted + i64::from(number));
        memory = course.memory;
    }
}

#[test]
fn what_arrived_of_an_event_is_not_told_again() {
    let destination = intercom(json!({}));
    let event = sample_of(EventType::EnteredBillingRetry);
    let outage = || json!({ "type": "error.list", "errors": [{ "code": "server_error", "message": "x" }] });
    let script = [
        (FIND, 200, known()),
        (UPDATE, 200, known()),
        (TELL, 202, Value::Null),
        (TELL, 202, Value::Null),
        (TELL, 503, outage()),
    ];
    let course = play("broken off", &*destination, &event, Memory::default(), &script);
    assert!(words(&course.verdict).starts_with("retry: Intercom answered 503"), "{:?}", course.verdict);
    let course = play("taken up", &*destination, &event, course.memory, &[(TELL, 202, Value::Null)]);
    assert_eq!(body(&course.requests[0])["event_name"], "rc_expiration_event");
    // One that is refused does not take the others along.
    let script = [
        (FIND, 200, known()),
        (UPDATE, 200, known()),
        (TELL, 422, error("422", "Cannot have more than 120 active event names")),
        (TELL, 202, Value::Null),
        (TELL, 202, Value::Null),
    ];
    let course = play("refused", &*destination, &event, Memory::default(), &script);
    assert!(words(&course.verdict).starts_with("give up: Intercom answered 422"), "{:?}", course.verdict);
}

/// Whatever call fails, the delivery is tried again, and a call that arrived is not repeated where that can be known.
#[test]
fn an_outage_at_any_call_is_survived() {
    let destination = intercom(json!({}));
    let steps = [(FIND, 404, not_found()), (CREATE, 200, known()), (TELL, 202, Value::Null)];
    for failing in 0..steps.len() {
        for status in [408, 500, 502, 503, 504] {
            let mut script = steps[..failing].to_vec();
            script.push((steps[failing].0, status, error("server_error", "x")));
            let course = play("outage", &*destination, &renewal(), Memory::default(), &script);
            assert!(matches!(course.verdict, Verdict::Retry { counts: true, .. }), "{failing} {status}");
        }
    }
}

#[test]
fn rate_limits_are_learned_from_every_answer_and_waited_for() {
    let destination = intercom(json!({}));
    let window = |left: &str, after: i64| {
        let reset = (now().as_seconds() + after).to_string();
        [
            ("x-ratelimit-limit", "1666".to_owned()),
            ("x-ratelimit-remaining", left.to_owned()),
            ("x-ratelimit-reset", reset),
        ]
    };
    let deliver = || destination.deliver(&[logged(renewal())], &Memory::default(), moment()).unwrap();
    let course = run_by(deliver(), Memory::default(), |number, request| {
        let Answer::Response(well) = destination.rehearsal(request) else { panic!("an answer") };
        let body = serde_json::from_slice(well.body()).unwrap_or(Value::Null);
        answer(well.status().as_u16(), &window(["9", "8", "7"][number], 4), &body)
    });
    let learned: Vec<_> = course.learned.iter().map(|hint| (hint.remaining, hint.resets_after.as_secs())).collect();
    assert_eq!(learned, [(Some(9), 4), (Some(8), 4), (Some(7), 4)]);
    assert_eq!(course.budgets[0], course.learned[0].key);
    assert_eq!(destination.budgets()[0].key, course.learned[0].key);
    let limited = error("rate_limit_exceeded", "Exceeded rate limit of 167 in 10_seconds");
    let busy = error("too_many_requests", "busy");
    // (body, headers, seconds to wait, seconds that the budget is empty)
    for (body, headers, after, empty) in [
        (&limited, window("0", 7).to_vec(), 7, 7),
        (&limited, window("0", -300).to_vec(), 1, 1),
        (&limited, window("0", 90_000).to_vec(), 10, 10),
        (&limited, vec![], 10, 10),
        (&busy, vec![], 10, 10),
    ] {
        let course = run_by(deliver(), Memory::default(), |_, _| answer(429, &headers, body));
        let Verdict::Retry { after: told, counts: false, .. } = course.verdict else { panic!("{:?}", course.verdict) };
        assert_eq!(told, Some(Duration::from_secs(after)));
        assert_eq!(course.learned.last().unwrap().remaining, Some(0));
        assert_eq!(course.learned.last().unwrap().resets_after, Duration::from_secs(empty));
    }
}

/// A proxy that repeats what it was sent must not make the token known.
#[test]
fn an_answer_that_repeats_the_token_is_masked() {
    let destination = intercom(json!({}));
    for status in [400, 401, 403, 404, 409, 422, 500] {
        let echo = error("x", &format!("Bearer {ACCESS_TOKEN} is wrong"));
        let deliver = destination.deliver(&[logged(renewal())], &Memory::default(), moment()).unwrap();
        let course = run_by(deliver, Memory::default(), |_, _| answer(status, &[], &echo));
        assert!(!format!("{:?} {:?}", course.verdict, course.memory).contains(ACCESS_TOKEN), "{status}");
        let mut check = destination.check(moment()).unwrap();
        let mut last = None;
        for _ in 0..32 {
            match check.next(last.as_ref()) {
                paidup_destinations::Step::Finish(verdict) => {
                    assert!(!format!("{verdict:?} {:?}", check.findings()).contains(ACCESS_TOKEN), "{status}");
                    break;
                }
                _ => last = Some(answer(status, &[], &echo)),
            }
        }
    }
}
