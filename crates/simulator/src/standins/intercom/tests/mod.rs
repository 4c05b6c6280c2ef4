//! Tables of calls and answers: what Intercom's pages say, one row each.

mod faults;
mod rules;

use super::*;
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;

/// A workspace and its clock; asked without a socket.
struct Fixture {
    workspace: Workspace,
    clock: Clock,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::with_limit(100_000)
    }

    fn with_limit(calls: u32) -> Fixture {
        let clock = Clock::manual(1_767_225_600_000);
        let limit = Limit { calls, span_ms: 10_000 };
        let options = IntercomOptions { limit, clock: clock.clone(), ..IntercomOptions::default() };
        Fixture { workspace: Workspace::new(options), clock }
    }

    /// A well-formed call.
    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.call_in("2.14", method, path, body)
    }

    fn call_in(&self, version: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let authorization = format!("Bearer {}", self.workspace.token());
        let headers = [
            ("authorization", authorization.as_str()),
            ("accept", "application/json"),
            ("content-type", "application/json"),
            ("intercom-version", version),
        ];
        let response = self.raw(method, path, &headers, &body.to_string());
        let body = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
        (response.status().as_u16(), body)
    }

    fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> http::Response<Bytes> {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        self.workspace.answer(&request).response.unwrap()
    }

    fn violations(&self) -> Vec<String> {
        self.workspace.report().violations
    }

    fn contact(&self, external_id: &str) -> String {
        let made = self.call("POST", "/contacts", &json!({"role": "user", "external_id": external_id}));
        made.1["id"].as_str().unwrap().to_owned()
    }

    fn attribute(&self, name: &str, kind: &str) {
        let body = json!({"name": name, "model": "contact", "data_type": kind});
        assert_eq!(self.call("POST", "/data_attributes", &body).0, 200);
    }

    /// Plays a table of calls.
    fn play(&self, steps: &[(&str, &str, Value, u16, &str)]) {
        for (number, (method, path, body, status, code)) in steps.iter().enumerate() {
            let (found, answer) = self.call(method, path, body);
            let found_code = answer["errors"][0]["code"].as_str().unwrap_or_default();
            assert_eq!((found, found_code), (*status, *code), "step {number}: {method} {path} {body} -> {answer}");
        }
    }
}
