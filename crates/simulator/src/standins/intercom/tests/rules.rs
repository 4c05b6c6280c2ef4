use super::*;

fn event(name: &str, at: i64) -> Value {
    json!({"event_name": name, "created_at": at, "user_id": "$RC:1", "metadata": {"a": 1}})
}

#[test]
fn contacts_attributes_and_events_follow_the_documented_order() {
    let f = Fixture::new();
    let user = json!({"role": "user", "external_id": "$RC:1"});
    let status = json!({"name": "subscription_status", "model": "contact", "data_type": "string"});
    let active = json!({"custom_attributes": {"subscription_status": "active"}});
    let first = "/contacts/000000000000000000000001";
    f.play(&[
        ("GET", "/me", json!({}), 200, ""),
        ("GET", "/contacts/find_by_external_id/%24RC%3A1", json!({}), 404, "not_found"),
        ("POST", "/events", event("rc_renewal_event", 5), 404, "not_found"),
        ("POST", "/contacts", user.clone(), 200, ""),
        ("POST", "/contacts", user.clone(), 409, "conflict"),
        ("GET", "/contacts/find_by_external_id/%24RC%3A1", json!({}), 200, ""),
        ("GET", first, json!({}), 200, ""),
        ("PUT", first, active.clone(), 400, "parameter_invalid"),
        ("POST", "/data_attributes", status.clone(), 200, ""),
        ("POST", "/data_attributes", status, 400, "parameter_invalid"),
        ("PUT", first, active, 200, ""),
        ("PUT", "/contacts/none", json!({}), 404, "not_found"),
        ("POST", "/events", event("rc_renewal_event", 5), 202, ""),
        ("POST", "/events", event("RC_renewal_event", 5), 202, ""),
        ("POST", "/events", event("rc.renewal$event", 5), 202, ""),
        ("POST", "/events", event("rc_renewal_event", 6), 202, ""),
        ("GET", "/events?type=user&user_id=%24RC%3A1", json!({}), 200, ""),
    ]);
    f.workspace.archive("$RC:1");
    let (_, conflict) = f.call("POST", "/contacts", &user);
    let message = conflict["errors"][0]["message"].as_str().unwrap();
    let expected = "An archived contact matching those details already exists with id=000000000000000000000001";
    assert_eq!(message, expected);
    f.play(&[
        ("GET", "/contacts/find_by_external_id/%24RC%3A1", json!({}), 404, "not_found"),
        ("PUT", first, json!({}), 404, "not_found"),
        ("POST", "/events", event("rc_renewal_event", 7), 404, "not_found"),
        ("POST", "/contacts/000000000000000000000001/unarchive", json!({}), 200, ""),
        ("PUT", first, json!({}), 200, ""),
    ]);
    let report = f.workspace.report();
    assert_eq!((report.contacts, report.events, report.repeats), (1, 3, 1));
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(f.workspace.contact("$RC:1").unwrap().custom_attributes["subscription_status"], "active");
    let noted: Vec<(String, i64)> = f.workspace.events().into_iter().map(|one| (one.name, one.created_at)).collect();
    let expected = [("rc_renewal_event", 5), ("rc-renewal-event", 5), ("rc_renewal_event", 6)];
    assert_eq!(noted, expected.map(|(name, at)| (name.to_owned(), at)));
}

/// `(name, path, body, status, code)`: what a well-behaved client would not post.
type Bad = (&'static str, &'static str, Value, u16, &'static str);

fn refuses(table: impl IntoIterator<Item = Bad>) {
    for (name, path, body, status, code) in table {
        let f = Fixture::new();
        f.contact("1");
        let (found, answer) = f.call("POST", path, &body);
        assert_eq!((found, answer["errors"][0]["code"].as_str().unwrap()), (status, code), "{name}: {answer}");
        assert_eq!(f.violations().len(), 1, "{name}: {:?}", f.violations());
        assert_eq!(answer["type"], "error.list", "{name}");
    }
}

#[test]
fn contacts_that_are_badly_formed_are_refused_and_reported() {
    let cases = [
        ("user without an id", json!({"role": "user"}), "parameter_not_found"),
        ("nothing", json!({}), "parameter_not_found"),
        ("role", json!({"role": "admin", "email": "a@b.c"}), "parameter_invalid"),
        ("lead", json!({"role": "lead", "external_id": "9"}), "parameter_invalid"),
        ("email", json!({"external_id": "9", "email": "nobody"}), "parameter_invalid"),
        ("ms", json!({"external_id": "9", "signed_up_at": 1_767_225_600_000_i64}), "parameter_invalid"),
        ("attributes", json!({"external_id": "9", "custom_attributes": []}), "parameter_invalid"),
        ("list", json!([]), "bad_request"),
    ];
    refuses(cases.map(|(name, body, code)| (name, "/contacts", body, 400, code)));
    let merge = "/contacts/merge";
    refuses([("merge", merge, json!({"from": "1"}), 400, "parameter_not_found")]);
    refuses([("path", "/nothing", json!({}), 404, "not_found")]);
}

#[test]
fn events_that_are_badly_formed_are_refused_and_reported() {
    let long = "x".repeat(256);
    let event = |name: &str, at: i64| json!({"event_name": name, "created_at": at, "user_id": "1"});
    let with = json!({"event_name": "x", "created_at": 1, "user_id": "1", "metadata": []});
    let cases = [
        ("no name", json!({"created_at": 1, "user_id": "1"}), "parameter_not_found"),
        ("no time", json!({"event_name": "x", "user_id": "1"}), "parameter_not_found"),
        ("nobody", json!({"event_name": "x", "created_at": 1}), "parameter_not_found"),
        ("milliseconds", event("x", 1_767_225_600_000), "parameter_invalid"),
        ("long name", event(&long, 1), "parameter_invalid"),
        ("metadata", with, "parameter_invalid"),
    ];
    refuses(cases.map(|(name, body, code)| (name, "/events", body, 400, code)));
    let f = Fixture::new();
    assert_eq!(f.call("GET", "/events?user_id=1", &json!({})).0, 400, "a list names its type");
}

#[test]
fn attributes_and_queries_that_are_badly_formed_are_refused_and_reported() {
    let attribute = |name: &str, model: &str, kind: &str| json!({"name": name, "model": model, "data_type": kind});
    let options = json!({"name": "a", "model": "contact", "data_type": "options", "options": [{"value": "x"}]});
    let cases = [
        ("dot", attribute("a.b", "contact", "string")),
        ("dollar", attribute("a$b", "contact", "string")),
        ("length", attribute(&"x".repeat(191), "contact", "string")),
        ("type", attribute("a", "contact", "text")),
        ("model", attribute("a", "user", "string")),
        ("one option", options),
    ];
    refuses(cases.map(|(name, body)| (name, "/data_attributes", body, 400, "parameter_invalid")));
    let search = |field: &str, operator: &str| json!({"query": {"field": field, "operator": operator, "value": "9"}});
    let cases =
        [("field", search("shoe", "=")), ("operator", search("email", "like")), ("list", search("email", "IN"))];
    refuses(cases.map(|(name, body)| (name, "/contacts/search", body, 400, "parameter_invalid")));
}

#[test]
fn headers_are_demanded() {
    let token = format!("Bearer {}", Fixture::new().workspace.token());
    let json = "application/json";
    // (name, authorization, accept, content type, version, status, violations)
    let table = [
        ("all", token.as_str(), json, json, "2.14", 202, 0),
        ("charset", token.as_str(), json, "application/json; charset=utf-8", "2.14", 202, 0),
        ("preview", token.as_str(), json, json, "Preview", 202, 0),
        ("no token", "", json, json, "2.14", 401, 0),
        ("wrong token", "Bearer nope", json, json, "2.14", 401, 0),
        ("no accept", token.as_str(), "", json, "2.14", 406, 1),
        ("odd accept", token.as_str(), "text/html", json, "2.14", 406, 1),
        ("no version", token.as_str(), json, json, "", 202, 1),
        ("unknown version", token.as_str(), json, json, "3.0", 400, 1),
        ("no content type", token.as_str(), json, "", "2.14", 400, 1),
        ("form", token.as_str(), json, "application/x-www-form-urlencoded", "2.14", 400, 1),
    ];
    for (name, authorization, accept, content_type, version, status, violations) in table {
        let f = Fixture::new();
        f.contact("$RC:1");
        let headers = [
            ("authorization", authorization),
            ("accept", accept),
            ("content-type", content_type),
            ("intercom-version", version),
        ];
        let headers: Vec<(&str, &str)> = headers.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let response = f.raw("POST", "/events", &headers, &event("x", 1).to_string());
        assert_eq!((response.status().as_u16(), f.violations().len()), (status, violations), "{name}");
        assert_eq!(response.headers().contains_key("x-ratelimit-remaining"), status != 401, "{name}");
    }
}

#[test]
fn metadata_keeps_what_intercom_keeps() {
    let rich = json!({"url": "https://a.example/", "value": "A"});
    let money = json!({"amount": 999, "currency": "usd"});
    // (key, value, kept)
    let table = [
        ("text", json!("a"), true),
        ("number", json!(1.5), true),
        ("link", json!("https://a.example/"), true),
        ("rich", rich, true),
        ("price", money, true),
        ("renewal_date", json!(1_767_225_600), true),
        ("renewal_date", json!("tomorrow"), false),
        ("renewal_date", json!(1_767_225_600_000_i64), false),
        ("nothing", Value::Null, false),
        ("flag", json!(true), false),
        ("list", json!([1]), false),
        ("nested", json!({"a": 1}), false),
        ("free", json!({"amount": 0, "currency": "usd"}), false),
        ("a.b", json!(1), false),
        ("a$b", json!(1), false),
        ("a'b", json!(1), false),
        ("long", json!("x".repeat(256)), false),
    ];
    for (key, value, kept) in table {
        let f = Fixture::new();
        f.contact("1");
        let body = json!({"event_name": "x", "created_at": 1, "user_id": "1", "metadata": {key: value}});
        assert_eq!(f.call("POST", "/events", &body).0, 202, "{key} {value}");
        let noted = f.workspace.events().remove(0).metadata;
        assert_eq!((noted.len(), f.violations().len()), (usize::from(kept), usize::from(!kept)), "{key} {value}");
    }
    let f = Fixture::new();
    f.contact("1");
    let many: serde_json::Map<String, Value> = (0..12).map(|n| (format!("k{n:02}"), json!(n))).collect();
    f.call("POST", "/events", &json!({"event_name": "x", "created_at": 1, "user_id": "1", "metadata": many}));
    let body = json!({"event_name": "y", "created_at": 1, "user_id": "1", "metadata": {"A": 1, "a": 2}});
    f.call("POST", "/events", &body);
    let kept: Vec<usize> = f.workspace.events().iter().map(|one| one.metadata.len()).collect();
    assert_eq!((kept, f.violations().len()), (vec![10, 1], 2));
}

#[test]
fn an_event_finds_its_person_by_id_user_id_or_email() {
    let f = Fixture::new();
    let lead = f.call("POST", "/contacts", &json!({"role": "lead", "email": "lead@example.com"})).1["id"].clone();
    for (external_id, email) in [("1", "one@example.com"), ("2", "two@example.com"), ("3", "two@example.com")] {
        assert_eq!(f.call("POST", "/contacts", &json!({"external_id": external_id, "email": email})).0, 200);
    }
    let event = |whom: &str, value: &Value| json!({"event_name": "x", "created_at": 1, whom: value});
    f.play(&[
        ("POST", "/events", event("id", &lead), 202, ""),
        ("POST", "/events", event("user_id", &json!("1")), 202, ""),
        ("POST", "/events", event("user_id", &json!("9")), 404, "not_found"),
        ("POST", "/events", event("email", &json!("one@example.com")), 202, ""),
        ("POST", "/events", event("email", &json!("two@example.com")), 409, "conflict"),
        ("POST", "/events", event("email", &json!("nobody@example.com")), 404, "not_found"),
    ]);
    assert_eq!(f.workspace.report().repeats, 1, "the same person, name and second");
}

#[test]
fn external_ids_are_unique_and_emails_are_not() {
    let f = Fixture::new();
    let (one, two) = (f.contact("1"), f.contact("2"));
    let email = json!({"email": "a@example.com"});
    f.play(&[
        ("PUT", &format!("/contacts/{one}"), email.clone(), 200, ""),
        ("PUT", &format!("/contacts/{two}"), email, 200, ""),
        ("PUT", &format!("/contacts/{two}"), json!({"external_id": "1"}), 409, "conflict"),
        ("PUT", &format!("/contacts/{two}"), json!({"external_id": "3"}), 200, ""),
        ("GET", "/contacts/find_by_external_id/2", json!({}), 404, "not_found"),
        ("GET", "/contacts/find_by_external_id/3", json!({}), 200, ""),
        ("PUT", &format!("/contacts/{two}"), json!({"email": null}), 200, ""),
    ]);
    assert!(f.workspace.contact("3").unwrap().fields.is_empty());
}

#[test]
fn an_attribute_takes_only_its_type() {
    let f = Fixture::new();
    let id = f.contact("1");
    for kind in ["string", "integer", "float", "boolean", "date"] {
        f.attribute(&format!("a_{kind}"), kind);
    }
    let colours = json!([{"value": "red"}, {"value": "blue"}]);
    let body = json!({"name": "colour", "model": "contact", "data_type": "options", "options": colours});
    assert_eq!(f.call("POST", "/data_attributes", &body).0, 200);
    // (attribute, value, status)
    let table = [
        ("a_string", json!("x"), 200),
        ("a_string", json!(1), 400),
        ("a_string", json!("x".repeat(256)), 400),
        ("a_integer", json!(1), 200),
        ("a_integer", json!(1.5), 400),
        ("a_float", json!(1.5), 200),
        ("a_boolean", json!(true), 200),
        ("a_boolean", json!("true"), 400),
        ("a_date", json!(1_767_225_600), 200),
        ("a_date", json!("2026-01-01T00:00:00Z"), 200),
        ("a_date", json!(1_767_225_600_000_i64), 400),
        ("a_date", json!("soon"), 400),
        ("a_date", Value::Null, 200),
        ("colour", json!("red"), 200),
        ("colour", json!("green"), 400),
        ("A_string", json!("x"), 400),
    ];
    for (name, value, status) in table {
        let (found, answer) = f.call("PUT", &format!("/contacts/{id}"), &json!({"custom_attributes": {name: value}}));
        assert_eq!(found, status, "{name} {value}: {answer}");
    }
    assert!(!f.workspace.contact("1").unwrap().custom_attributes.contains_key("a_date"), "null clears");
    f.workspace.archive_attribute("a_string");
    let (status, answer) = f.call("PUT", &format!("/contacts/{id}"), &json!({"custom_attributes": {"a_string": "y"}}));
    assert_eq!(
        (status, answer["errors"][0]["message"].as_str()),
        (400, Some("Custom attribute 'a_string' does not exist"))
    );
    let names = |path: &str| {
        let (_, list) = f.call("GET", path, &json!({}));
        let custom = list["data"].as_array().unwrap().iter().filter(|one| one["custom"] == true);
        custom.map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("/data_attributes?model=contact").len(), 5);
    assert_eq!(names("/data_attributes?model=contact&include_archived=true").len(), 6);
    f.play(&[
        ("PUT", "/data_attributes/1", json!({"data_type": "integer"}), 400, "parameter_invalid"),
        ("PUT", "/data_attributes/1", json!({"archived": false}), 200, ""),
        ("PUT", "/data_attributes/99", json!({}), 404, "not_found"),
    ]);
}

#[test]
fn limits_of_a_workspace_hold() {
    let f = Fixture::new();
    f.contact("1");
    for number in 0..120 {
        let event = json!({"event_name": format!("e{number}"), "created_at": 1, "user_id": "1"});
        assert_eq!(f.call("POST", "/events", &event).0, 202);
    }
    let event = json!({"event_name": "one too many", "created_at": 1, "user_id": "1"});
    let (status, answer) = f.call("POST", "/events", &event);
    assert_eq!((status, answer["errors"][0]["code"].as_str()), (422, Some("422")));
    assert_eq!(f.call("POST", "/events", &json!({"event_name": "E7", "created_at": 2, "user_id": "1"})).0, 202);
    for number in 0..250 {
        f.attribute(&format!("a{number}"), "string");
    }
    let one_more = json!({"name": "one-more", "model": "contact", "data_type": "string"});
    assert_eq!(f.call("POST", "/data_attributes", &one_more).0, 400);
}

#[test]
fn a_merged_lead_is_not_found_or_gone_by_version() {
    let f = Fixture::new();
    let user = f.contact("1");
    let other = f.contact("2");
    let lead = f.call("POST", "/contacts", &json!({"role": "lead", "email": "lead@example.com"})).1["id"].clone();
    let lead = lead.as_str().unwrap();
    f.play(&[
        ("POST", "/contacts/merge", json!({"from": other, "into": user}), 400, "parameter_invalid"),
        ("POST", "/contacts/merge", json!({"from": lead, "into": "none"}), 404, "not_found"),
        ("POST", "/contacts/merge", json!({"from": lead, "into": user}), 200, ""),
        ("GET", &format!("/contacts/{lead}"), json!({}), 404, "not_found"),
    ]);
    let (status, answer) = f.call_in("2.16", "PUT", &format!("/contacts/{lead}"), &json!({}));
    assert_eq!((status, answer["errors"][0]["code"].as_str()), (410, Some("contact_merged")));
    let authorization = format!("Bearer {}", f.workspace.token());
    let headers =
        [("authorization", authorization.as_str()), ("accept", "application/json"), ("intercom-version", "2.16")];
    let gone = f.raw("GET", &format!("/contacts/{lead}"), &headers, "");
    assert_eq!(gone.headers()["link"], format!("</contacts/{user}>; rel=\"canonical\""));
    assert_eq!(f.workspace.contact("1").unwrap().fields["email"], "lead@example.com");
    assert_eq!(f.call_in("2.12", "GET", "/contacts/find_by_external_id/1", &json!({})).0, 404, "from 2.13 on");
}

#[test]
fn search_understands_its_language_and_lags_behind() {
    let f = Fixture::new();
    f.attribute("plan", "string");
    for number in 0..3 {
        let plan = if number == 0 { "free" } else { "pro" };
        let body = json!({"external_id": format!("u{number}"), "custom_attributes": {"plan": plan}});
        f.call("POST", "/contacts", &body);
    }
    let by = |field: &str, operator: &str, value: Value| json!({"field": field, "operator": operator, "value": value});
    let group = |operator: &str, all: Vec<Value>| json!({"operator": operator, "value": all});
    let count = |query: &Value| f.call("POST", "/contacts/search", &json!({"query": query})).1["total_count"].clone();
    assert_eq!(count(&by("external_id", "=", json!("u1"))), 0, "not yet");
    f.clock.advance(Duration::from_secs(120));
    // (query, how many)
    let table = [
        (by("external_id", "=", json!("u1")), 1),
        (by("external_id", "!=", json!("u1")), 2),
        (by("external_id", "IN", json!(["u1", "u2", "u9"])), 2),
        (by("external_id", "NIN", json!(["u1"])), 2),
        (by("external_id", "^", json!("u")), 3),
        (by("external_id", "$", json!("2")), 1),
        (by("external_id", "~", json!("u")), 3),
        (by("external_id", "!~", json!("u")), 0),
        (by("created_at", ">", json!(0)), 3),
        (by("created_at", "<", json!(0)), 0),
        (by("custom_attributes.plan", "=", json!("pro")), 2),
        (group("AND", vec![by("role", "=", json!("user")), by("custom_attributes.plan", "=", json!("free"))]), 1),
        (group("OR", vec![by("external_id", "=", json!("u1")), by("external_id", "=", json!("u2"))]), 2),
    ];
    for (query, expected) in table {
        assert_eq!(count(&query), expected, "{query}");
    }
    assert_eq!(f.violations(), Vec::<String>::new());
    let page = json!({"query": by("role", "=", json!("user")), "pagination": {"per_page": 2}});
    let (_, first) = f.call("POST", "/contacts/search", &page);
    let after = first["pages"]["next"]["starting_after"].clone();
    let page = json!({"query": by("role", "=", json!("user")), "pagination": {"per_page": 2, "starting_after": after}});
    let (_, second) = f.call("POST", "/contacts/search", &page);
    assert_eq!((second["data"][0]["external_id"].as_str(), &second["pages"]["next"]), (Some("u2"), &Value::Null));
    let deep = group("AND", vec![group("OR", vec![group("AND", vec![by("role", "=", json!("user"))])])]);
    assert_eq!(f.call("POST", "/contacts/search", &json!({"query": deep})).0, 400);
    let wide = group("AND", vec![by("role", "=", json!("user")); 16]);
    assert_eq!(f.call("POST", "/contacts/search", &json!({"query": wide})).0, 400);
}
