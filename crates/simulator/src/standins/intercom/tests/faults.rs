use super::*;
use crate::standins::intercom::workspace::{CLIENT_ID, CLIENT_SECRET};

#[test]
fn windows_are_fixed_and_told_in_headers() {
    let f = Fixture::with_limit(2);
    let authorization = format!("Bearer {}", f.workspace.token());
    let headers =
        [("authorization", authorization.as_str()), ("accept", "application/json"), ("intercom-version", "2.14")];
    f.clock.advance(Duration::from_secs(9));
    // (milliseconds later, status, remaining, seconds to the reset)
    for (later, status, remaining, reset) in [(0, 200, "1", 1), (0, 200, "0", 1), (999, 429, "0", 1), (1, 200, "1", 10)]
    {
        f.clock.advance(Duration::from_millis(later));
        let response = f.raw("GET", "/me", &headers, "");
        assert_eq!(
            (response.status().as_u16(), response.headers()["x-ratelimit-remaining"].to_str().unwrap()),
            (status, remaining)
        );
        let told: i64 = response.headers()["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
        assert_eq!((told * 1000 - f.clock.now_ms() + 999) / 1000, reset);
        assert_eq!(response.headers()["x-ratelimit-limit"], "2");
    }
    let report = f.workspace.report();
    assert_eq!((report.limited, report.avoidable, report.busiest_window, report.calls), (1, 1, 2, 4));
}

#[test]
fn a_workspace_shares_its_limit_with_other_apps() {
    let f = Fixture::with_limit(100);
    f.workspace.others_call(4_166);
    let (status, answer) = f.call("GET", "/me", &json!({}));
    assert_eq!((status, answer["errors"][0]["code"].as_str()), (429, Some("rate_limit_exceeded")));
    assert_eq!(answer["errors"][0]["message"], "Exceeded rate limit of 4166 in 10_seconds");
    assert_eq!(f.workspace.report().avoidable, 0, "nobody could know");
}

#[test]
fn faults_come_in_their_order_and_then_it_works() {
    let f = Fixture::new();
    for status in [429, 503, 500, 408] {
        f.workspace.fail_next(1, Fault::Status(status));
    }
    f.play(&[
        ("GET", "/me", json!({}), 429, "too_many_requests"),
        ("GET", "/me", json!({}), 503, "service_unavailable"),
        ("GET", "/me", json!({}), 500, "server_error"),
        ("GET", "/me", json!({}), 408, "request_timeout"),
        ("GET", "/me", json!({}), 200, ""),
    ]);
    f.workspace.fail_next(2, Fault::Hang);
    f.workspace.fail_next(1, Fault::Lost);
    f.workspace.fail_next(1, Fault::Slow(Duration::from_secs(9)));
    f.workspace.fail_next(1, Fault::Nonsense);
    let authorization = format!("Bearer {}", f.workspace.token());
    let create = |external_id: &str| {
        let request = http::Request::post("/contacts")
            .header("authorization", &authorization)
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .header("intercom-version", "2.14");
        f.workspace.answer(&request.body(Bytes::from(json!({"external_id": external_id}).to_string())).unwrap())
    };
    // (what it does, whether the contact is there after it, whether it answers)
    for (number, done, answered) in
        [(0, false, false), (1, false, false), (2, true, false), (3, true, true), (4, true, true)]
    {
        let external_id = format!("u{number}");
        let played = create(&external_id);
        assert_eq!(
            (f.workspace.contact(&external_id).is_some(), played.response.is_some()),
            (done, answered),
            "{number}"
        );
        assert_eq!(played.after.as_secs(), if number == 3 { 9 } else { 0 });
        if number == 4 {
            assert!(serde_json::from_slice::<Value>(played.response.unwrap().body()).is_err());
        }
    }
    assert_eq!(f.violations(), Vec::<String>::new());
}

#[test]
fn a_token_that_was_revoked_opens_nothing() {
    let f = Fixture::new();
    f.workspace.revoke_tokens();
    f.play(&[("GET", "/me", json!({}), 401, "unauthorized")]);
    f.workspace.restore_token();
    f.play(&[("GET", "/me", json!({}), 200, "")]);
    assert_eq!(f.workspace.report().unauthorized, 1);
}

#[test]
fn a_code_is_exchanged_once_and_in_time() {
    let f = Fixture::new();
    f.workspace.register_redirects(&["https://hub.example/back"]);
    let consent = |query: &str| f.raw("GET", &format!("/oauth?{query}"), &[], "");
    assert_eq!(consent("client_id=nobody&state=s").status(), 400);
    assert_eq!(
        consent(&format!("client_id={CLIENT_ID}&state=s&redirect_uri=https%3A%2F%2Felse.example")).status(),
        400
    );
    let back = consent(&format!("client_id={CLIENT_ID}&state=s%20t"));
    let back = url::Url::parse(back.headers()["location"].to_str().unwrap()).unwrap();
    let given: Vec<(String, String)> = back.query_pairs().into_owned().collect();
    assert_eq!((back.path(), given[1].1.as_str()), ("/back", "s t"));
    let code = given[0].1.clone();
    assert!(code.ends_with('='));
    let form = "application/x-www-form-urlencoded";
    let exchange = |code: &str, secret: &str, kind: &str| {
        let body = if kind == form {
            let pairs = [("code", code), ("client_id", CLIENT_ID), ("client_secret", secret)];
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
        } else {
            json!({"code": code, "client_id": CLIENT_ID, "client_secret": secret}).to_string()
        };
        let response = f.raw("POST", "/auth/eagle/token", &[("content-type", kind)], &body);
        (response.status().as_u16(), serde_json::from_slice::<Value>(response.body()).unwrap())
    };
    assert_eq!(exchange(&code, "wrong", form).0, 401);
    let (status, answer) = exchange(&code, CLIENT_SECRET, form);
    assert_eq!(
        (status, &answer["token"], answer["token_type"].as_str()),
        (200, &answer["access_token"], Some("Bearer"))
    );
    let again = exchange(&code, CLIENT_SECRET, form);
    assert_eq!((again.0, again.1["errors"][0]["message"].as_str()), (401, Some("Unauthorized Code")));
    let token = format!("Bearer {}", answer["token"].as_str().unwrap());
    let headers = [("authorization", token.as_str()), ("accept", "application/json"), ("intercom-version", "2.14")];
    assert_eq!(f.raw("GET", "/me", &headers, "").status(), 200);
    assert_eq!(exchange(&f.workspace.agree(), CLIENT_SECRET, "application/json").0, 200);
    let late = f.workspace.agree();
    f.clock.advance(Duration::from_secs(300));
    assert_eq!(exchange(&late, CLIENT_SECRET, form).0, 401);
}

#[tokio::test]
async fn it_answers_over_http_as_without() {
    let intercom = Intercom::start(IntercomOptions::default()).await.unwrap();
    let client = crate::edge::client().unwrap();
    let call = |path: &str| {
        let request = client.get(format!("{}{path}", intercom.api_url())).bearer_auth(intercom.token());
        request.header("accept", "application/json").header("intercom-version", "2.14").send()
    };
    let me = call("/me").await.unwrap();
    assert_eq!((me.status().as_u16(), me.headers()["x-ratelimit-limit"].to_str().unwrap()), (200, "1666"));
    assert_eq!(call("/contacts/find_by_external_id/a%2Fb%2Bc").await.unwrap().status(), 404);
    assert!(intercom.oauth_url().ends_with("/oauth"));
    assert!(intercom.report().violations.is_empty());
}
