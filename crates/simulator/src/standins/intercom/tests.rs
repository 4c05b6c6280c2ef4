use super::*;
use std::time::Duration;

struct Fixture {
    intercom: Intercom,
    clock: Clock,
    client: reqwest::Client,
}

impl Fixture {
    async fn new(calls: u32) -> Fixture {
        let clock = Clock::manual(1_767_225_600_000);
        let limit = Limit { calls, span_ms: 10_000 };
        let intercom = Intercom::start(IntercomOptions { limit, clock: clock.clone(), port: 0 }).await.unwrap();
        Fixture { intercom, clock, client: crate::edge::client().unwrap() }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}{path}", self.intercom.api_url()));
        let request = request.bearer_auth(self.intercom.token()).header("accept", "application/json");
        let request = request.header("intercom-version", "2.14").header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }
}

fn code(body: &Value) -> &str {
    body["errors"][0]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn contacts_attributes_and_events_follow_the_documented_order() {
    let f = Fixture::new(100).await;
    let user = json!({"role": "user", "external_id": "$RC:1"});
    let event =
        |name: &str, at: i64| json!({"event_name": name, "created_at": at, "user_id": "$RC:1", "metadata": {"a": 1}});
    let status = json!({"name": "subscription_status", "model": "contact", "data_type": "string"});
    let active = json!({"custom_attributes": {"subscription_status": "active"}});
    let first = "000000000000000000000001";
    let update = format!("/contacts/{first}");
    let unarchive = format!("/contacts/{first}/unarchive");
    // (method, path, body, status, code)
    let steps = [
        ("GET", "/me", json!({}), 200, ""),
        ("GET", "/contacts/find_by_external_id/%24RC%3A1", json!({}), 404, "not_found"),
        ("POST", "/events", event("rc_renewal_event", 5), 404, "not_found"),
        ("POST", "/contacts", json!({"role": "user"}), 400, "parameter_not_found"),
        ("POST", "/contacts", user.clone(), 200, ""),
        ("POST", "/contacts", user.clone(), 409, "conflict"),
        ("GET", "/contacts/find_by_external_id/%24RC%3A1", json!({}), 200, ""),
        ("PUT", &update, active.clone(), 400, "parameter_invalid"),
        ("POST", "/data_attributes", status.clone(), 200, ""),
        ("POST", "/data_attributes", status, 400, "parameter_invalid"),
        ("PUT", &update, active, 200, ""),
        ("PUT", &update, json!({"custom_attributes": {"subscription_status": 7}}), 400, "parameter_invalid"),
        ("PUT", "/contacts/none", json!({}), 404, "not_found"),
        ("POST", "/events", event("rc_renewal_event", 5), 202, ""),
        ("POST", "/events", event("RC_renewal_event", 5), 202, ""),
        ("POST", "/events", event("rc_renewal_event", 6), 202, ""),
        ("POST", "/events", json!({"event_name": "x"}), 400, "parameter_not_found"),
        ("POST", "/events", json!([]), 400, "bad_request"),
        ("GET", "/nothing", json!({}), 404, "not_found"),
    ];
    for (number, (method, path, body, expected, expected_code)) in steps.into_iter().enumerate() {
        let (status, answer) = f.call(method, path, body).await;
        assert_eq!((status, code(&answer)), (expected, expected_code), "step {number}: {method} {path}");
    }
    f.intercom.archive("$RC:1");
    let (_, conflict) = f.call("POST", "/contacts", user).await;
    let message = conflict["errors"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("An archived contact") && message.ends_with(&format!("id={first}")), "{message}");
    assert_eq!(f.call("POST", &unarchive, json!({})).await.0, 200);
    let report = f.intercom.report();
    assert_eq!((report.contacts, report.events, report.repeats), (1, 2, 1));
    assert!(report.violations.is_empty());
    assert_eq!(f.intercom.contact("$RC:1").unwrap().custom_attributes["subscription_status"], "active");
    assert_eq!(f.intercom.events()[1].created_at, 6);
}

#[tokio::test]
async fn strangers_and_the_hasty_are_sent_away() {
    let f = Fixture::new(2).await;
    let url = format!("{}/me", f.intercom.api_url());
    assert_eq!(f.client.get(&url).send().await.unwrap().status(), 401);
    let odd = f.client.get(&url).bearer_auth(f.intercom.token()).header("accept", "text/html");
    assert_eq!(odd.send().await.unwrap().status(), 406);
    assert_eq!(f.intercom.report().violations.len(), 2, "two calls without a version");
    for expected in [200, 200, 429] {
        assert_eq!(f.call("GET", "/me", json!({})).await.0, expected);
    }
    f.clock.advance(Duration::from_secs(10));
    assert_eq!(f.call("GET", "/me", json!({})).await.0, 200);
    let report = f.intercom.report();
    assert_eq!((report.unauthorized, report.limited, report.avoidable), (1, 1, 1));
}

#[tokio::test]
async fn a_workspace_has_at_most_120_event_names() {
    let f = Fixture::new(1_000).await;
    f.call("POST", "/contacts", json!({"role": "user", "external_id": "1"})).await;
    for number in 0..120 {
        let event = json!({"event_name": format!("e{number}"), "created_at": 1, "user_id": "1"});
        assert_eq!(f.call("POST", "/events", event).await.0, 202);
    }
    let event = json!({"event_name": "one too many", "created_at": 1, "user_id": "1"});
    assert_eq!(f.call("POST", "/events", event).await.0, 422);
}
