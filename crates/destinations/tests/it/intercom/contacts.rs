//! Who the contact is: found, made, waited for, taken over, followed.

use super::*;
use paidup_lifecycle::ids::EventId;

#[test]
#[allow(clippy::too_many_lines)] // a table
fn a_contact_is_found_or_made_before_its_event_is_told() {
    let script = |all: &[Exchange]| all.to_vec();
    let archived = || taken("An archived", ID);
    let unarchive = "POST /contacts/5ba682d23d7cf92bef87bfd4/unarchive";
    // (what, settings, script, verdict)
    for (name, settings, script, verdict) in [
        (
            "found",
            json!({}),
            script(&[(FIND, 200, known()), (UPDATE, 200, known()), (TELL, 202, Value::Null)]),
            "delivered",
        ),
        (
            "made",
            json!({}),
            script(&[(FIND, 404, not_found()), (CREATE, 200, known()), (TELL, 202, Value::Null)]),
            "delivered",
        ),
        (
            "made meanwhile by somebody else",
            json!({}),
            script(&[
                (FIND, 404, not_found()),
                (CREATE, 409, taken("A", ID)),
                (UPDATE, 200, known()),
                (TELL, 202, Value::Null),
            ]),
            "delivered",
        ),
        (
            "archived",
            json!({}),
            script(&[
                (FIND, 404, not_found()),
                (CREATE, 409, archived()),
                (unarchive, 200, json!({ "id": ID })),
                (UPDATE, 200, known()),
                (TELL, 202, Value::Null),
            ]),
            "delivered",
        ),
        (
            "made meanwhile, without saying which",
            json!({}),
            script(&[
                (FIND, 404, not_found()),
                (CREATE, 409, error("conflict", "A contact exists")),
                (FIND, 200, known()),
                (UPDATE, 200, known()),
                (TELL, 202, Value::Null),
            ]),
            "delivered",
        ),
        (
            "waited for",
            json!({ "missing_contact": "wait" }),
            script(&[(FIND, 404, not_found())]),
            "wait 300: the customer",
        ),
        ("not told", json!({ "missing_contact": "skip" }), script(&[(FIND, 404, not_found())]), "skip: the customer"),
        (
            "gone when the event comes",
            json!({}),
            script(&[
                (FIND, 200, known()),
                (UPDATE, 200, known()),
                (TELL, 404, not_found()),
                (FIND, 404, not_found()),
                (CREATE, 200, known()),
                (TELL, 202, Value::Null),
            ]),
            "delivered",
        ),
        (
            "found, and yet there is none",
            json!({}),
            script(&[
                (FIND, 200, known()),
                (UPDATE, 404, not_found()),
                (FIND, 200, known()),
                (UPDATE, 404, not_found()),
            ]),
            "retry: Intercom answered 404 Not Found to updating the contact (not_found)",
        ),
        (
            "attributes are made once",
            json!({}),
            script(&[
                (FIND, 404, not_found()),
                (CREATE, 400, no_attribute()),
                (ADD, 200, json!({})),
                (ADD, 400, error("parameter_invalid", "You already have 'latest_entitlement' in your People data.")),
                (ADD, 200, json!({})),
                (ADD, 200, json!({})),
                (ADD, 200, json!({})),
                (CREATE, 200, known()),
                (TELL, 202, Value::Null),
            ]),
            "delivered",
        ),
        (
            "attributes that stay away",
            json!({}),
            script(&[
                (FIND, 200, known()),
                (UPDATE, 400, no_attribute()),
                (ADD, 200, json!({})),
                (ADD, 200, json!({})),
                (ADD, 200, json!({})),
                (ADD, 200, json!({})),
                (ADD, 200, json!({})),
                (UPDATE, 400, no_attribute()),
            ]),
            "off: Intercom answered 400 Bad Request to updating the contact (parameter_invalid): Custom attribute",
        ),
        (
            "attributes may not be made",
            json!({}),
            script(&[(FIND, 200, known()), (UPDATE, 400, no_attribute()), (ADD, 403, error("forbidden", "no"))]),
            "off: Intercom answered 403 Forbidden to creating a data attribute (forbidden): no [request r1]. The app lacks",
        ),
        ("an answer without an id", json!({}), script(&[(FIND, 200, json!({}))]), "retry: the answer to looking up"),
        (
            "an id that is none",
            json!({}),
            script(&[(FIND, 200, contact("../me", None, json!({})))]),
            "retry: the answer to looking up",
        ),
        (
            "event names are used up",
            json!({}),
            script(&[
                (FIND, 200, known()),
                (UPDATE, 200, known()),
                (TELL, 422, error("422", "Cannot have more than 120 active event names")),
            ]),
            "give up: Intercom answered 422 Unprocessable Entity to the event (422): Cannot have more than 120",
        ),
    ] {
        let recent = Event { detected_at: now(), ..renewal() };
        let course = play(name, &*intercom(settings), &recent, Memory::default(), &script);
        let found = words(&course.verdict);
        assert!(found.starts_with(verdict), "{name}: {found}");
    }
    let late = Event { detected_at: now().minus(Duration::from_secs(72 * 3600)), ..renewal() };
    let script = [(FIND, 404, not_found())];
    let course = play("too late", &*intercom(json!({ "missing_contact": "wait" })), &late, Memory::default(), &script);
    assert!(words(&course.verdict).starts_with("skip: the customer has no contact"));
}

#[test]
fn contacts_are_matched_by_address_or_attribute() {
    let found = || json!({ "type": "list", "data": [contact(OTHER, None, json!({}))], "total_count": 1 });
    let none = || json!({ "type": "list", "data": [], "total_count": 0 });
    let email = by_email(renewal(), "ada@example.com");
    let (by_mail, by_attribute) =
        (json!({ "match_by": "email" }), json!({ "match_by": "attribute", "match_attribute": "app_user" }));
    let told = (TELL, 202, Value::Null);
    // (what, settings, event, script, how the event names the contact)
    for (name, settings, event, script, whom) in [
        (
            "by address",
            &by_mail,
            &email,
            vec![(SEARCH, 200, found()), (UPDATE_OTHER, 200, json!({ "id": OTHER })), told.clone()],
            json!({ "id": OTHER }),
        ),
        (
            "by address, which nobody has",
            &by_mail,
            &email,
            vec![(SEARCH, 200, none()), (FIND, 200, known()), (UPDATE, 200, known()), told.clone()],
            json!({ "user_id": "sample-user" }),
        ),
        (
            "by address, which is not known",
            &by_mail,
            &renewal(),
            vec![(FIND, 200, known()), (UPDATE, 200, known()), told.clone()],
            json!({ "user_id": "sample-user" }),
        ),
        (
            "by attribute",
            &by_attribute,
            &renewal(),
            vec![(SEARCH, 200, found()), (UPDATE_OTHER, 200, json!({ "id": OTHER })), told.clone()],
            json!({ "id": OTHER }),
        ),
        (
            "by attribute, made",
            &by_attribute,
            &renewal(),
            vec![(SEARCH, 200, none()), (FIND, 404, not_found()), (CREATE, 200, known()), told.clone()],
            json!({ "user_id": "sample-user" }),
        ),
    ] {
        let course = play(name, &*intercom(settings.clone()), event, Memory::default(), &script);
        assert_eq!(course.verdict, Verdict::Delivered, "{name}");
        let said = body(course.requests.last().unwrap());
        for (key, value) in whom.as_object().unwrap() {
            assert_eq!(&said[key], value, "{name}");
        }
        // What is remembered leads there at once.
        let again = Event { id: EventId([9; 16]), ..event.clone() };
        let course = play(name, &*intercom(settings.clone()), &again, course.memory, std::slice::from_ref(&told));
        let said = body(&course.requests[0]);
        for (key, value) in whom.as_object().unwrap() {
            assert_eq!(&said[key], value, "{name}, remembered");
        }
    }
    let made = play(
        "the attribute is written",
        &*intercom(by_attribute),
        &renewal(),
        Memory::default(),
        &[(SEARCH, 200, none()), (FIND, 404, not_found()), (CREATE, 200, known()), (TELL, 202, Value::Null)],
    );
    assert_eq!(body(&made.requests[2])["custom_attributes"]["app_user"], "sample-user");
    let query = body(&made.requests[0])["query"]["value"][0].clone();
    assert_eq!((&query["field"], &query["value"]), (&json!("custom_attributes.app_user"), &json!("sample-user")));
}

#[test]
fn anonymous_customers_are_told_of_as_the_operator_says() {
    let skipped = |settings: Value, event: &Event| intercom(settings).skips(&logged(event.clone())).map(|why| why.0);
    let nobody = anonymous(renewal());
    assert_eq!(skipped(json!({}), &nobody), None);
    let made = nobody.customer.id.to_string();
    let course = run_by(
        intercom(json!({})).deliver(&[logged(nobody.clone())], &Memory::default(), moment()).unwrap(),
        Memory::default(),
        |number, _| answer([404, 200, 202][number], &[], &[not_found(), known(), Value::Null][number]),
    );
    assert_eq!(body(&course.requests[1])["external_id"], json!(made));
    assert_eq!(body(&course.requests[2])["user_id"], json!(made));
    assert!(skipped(json!({ "anonymous": "skip" }), &nobody).unwrap().contains("anonymous"));
    assert!(skipped(json!({ "anonymous": "email" }), &nobody).unwrap().contains("no e-mail address"));
    assert_eq!(skipped(json!({ "anonymous": "skip" }), &renewal()), None, "somebody is somebody");

    let by_mail = by_email(nobody, "ada@example.com");
    let none = json!({ "data": [] });
    let script = [(SEARCH, 200, none), (CREATE, 200, contact(ID, None, json!({}))), (TELL, 202, Value::Null)];
    let course = play("by e-mail", &*intercom(json!({ "anonymous": "email" })), &by_mail, Memory::default(), &script);
    let made = body(&course.requests[1]);
    assert_eq!((&made["email"], &made["external_id"]), (&json!("ada@example.com"), &Value::Null));
    assert_eq!(body(&course.requests[2])["id"], ID);

    // The same person, identified later: the contact gets the id instead of a second contact.
    let identified = by_email(renewal(), "ada@example.com");
    let script = [(FIND, 404, not_found()), (UPDATE, 200, known()), (TELL, 202, Value::Null)];
    let course = play("identified", &*intercom(json!({ "anonymous": "email" })), &identified, course.memory, &script);
    assert_eq!(body(&course.requests[1])["external_id"], "sample-user");
    assert_eq!(body(&course.requests[2])["user_id"], "sample-user");
}

#[test]
fn an_identified_id_is_preferred_and_an_anonymous_contact_is_taken_over() {
    let mut event = renewal();
    let made = "$RCAnonymousID:87c6";
    made.clone_into(&mut event.customer.app_user_id);
    event.customer.aliases = vec![made.to_owned(), "ada".to_owned()];
    let (find_ada, find_made) =
        ("GET /contacts/find_by_external_id/ada", "GET /contacts/find_by_external_id/%24RCAnonymousID%3A87c6");
    let destination = intercom(json!({}));
    let script = [
        (find_ada, 404, not_found()),
        (find_made, 200, contact(ID, Some(made), json!({}))),
        (UPDATE, 200, known()),
        (TELL, 202, Value::Null),
    ];
    let course = play("taken over", &*destination, &event, Memory::default(), &script);
    assert_eq!(body(&course.requests[2])["external_id"], "ada");
    assert_eq!(body(&course.requests[3])["user_id"], "ada");
    let script = [
        (find_ada, 404, not_found()),
        (find_made, 200, contact(ID, Some(made), json!({}))),
        (UPDATE, 409, taken("A", OTHER)),
        (UPDATE_OTHER, 200, known()),
        (TELL, 202, Value::Null),
    ];
    let course = play("there already", &*destination, &event, Memory::default(), &script);
    assert_eq!(course.verdict, Verdict::Delivered);
    assert!(body(&course.requests[3]).get("external_id").is_none());
}

#[test]
fn a_merged_contact_is_followed() {
    let event = logged(renewal());
    let memory = remembered(&*intercom(json!({})), &renewal());
    let changed = logged(Event { id: EventId([3; 16]), ..sample_of(EventType::RenewalDisabled) });
    let link = ("link", format!("</contacts/{OTHER}>; rel=\"canonical\""));
    let gone = error("contact_merged", "merged");
    let destination = intercom(json!({}));
    let course = run_by(destination.deliver(&[changed], &memory, moment()).unwrap(), memory, |number, request| {
        check(request);
        match number {
            0 => answer(410, std::slice::from_ref(&link), &gone),
            1 => answer(200, &[], &contact(OTHER, None, json!({}))),
            _ => answer(202, &[], &Value::Null),
        }
    });
    assert_eq!(course.verdict, Verdict::Delivered);
    assert_eq!(course.requests.iter().map(called).collect::<Vec<_>>(), [UPDATE, UPDATE_OTHER, TELL]);
    assert_eq!(body(&course.requests[2])["id"], OTHER);
    // Without a link it is looked for again.
    let course = run_by(
        destination.deliver(&[event], &Memory::default(), moment()).unwrap(),
        Memory::default(),
        |n, _| match n {
            0 => answer(200, &[], &known()),
            1 => answer(410, &[], &gone),
            2 => answer(404, &[], &not_found()),
            3 => answer(200, &[], &known()),
            _ => answer(202, &[], &Value::Null),
        },
    );
    assert_eq!(course.requests.iter().map(called).collect::<Vec<_>>(), [FIND, UPDATE, FIND, CREATE, TELL]);
}
