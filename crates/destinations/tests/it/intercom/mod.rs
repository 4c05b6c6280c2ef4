//! Intercom: its published rules for every request, RevenueCat's samples, and whole conversations, call by call.

mod contacts;
mod memory;
mod rules;
mod samples;
mod setup;
mod shows;

pub(crate) use rules::check;

use crate::support::{ACCESS_TOKEN, Course, logged, moment, now, open, run_by, sample_of};
use bytes::Bytes;
use http::Request;
use paidup_destinations::{Answer, Destination, Memory, Moment, Verdict};
use paidup_lifecycle::event::{AttributeView, Event, EventType};
use serde_json::{Value, json};
use std::time::Duration;

/// One call: `METHOD /path`, status, body.
type Exchange = (&'static str, u16, Value);

const ID: &str = "5ba682d23d7cf92bef87bfd4";
const OTHER: &str = "6c0000000000000000000001";
const FIND: &str = "GET /contacts/find_by_external_id/sample-user";
const CREATE: &str = "POST /contacts";
const UPDATE: &str = "PUT /contacts/5ba682d23d7cf92bef87bfd4";
const UPDATE_OTHER: &str = "PUT /contacts/6c0000000000000000000001";
const SEARCH: &str = "POST /contacts/search";
const ADD: &str = "POST /data_attributes";
const TELL: &str = "POST /events";

fn contact(id: &str, external_id: Option<&str>, shows: Value) -> Value {
    json!({ "type": "contact", "id": id, "role": "user", "external_id": external_id, "custom_attributes": shows })
}

fn known() -> Value {
    contact(ID, Some("sample-user"), json!({ "plan": "x" }))
}

fn error(code: &str, message: &str) -> Value {
    json!({ "type": "error.list", "request_id": "r1", "errors": [{ "code": code, "message": message, "field": null }] })
}

fn not_found() -> Value {
    error("not_found", "User Not Found")
}

fn taken(kind: &str, id: &str) -> Value {
    error("conflict", &format!("{kind} contact matching those details already exists with id={id}"))
}

fn no_attribute() -> Value {
    error("parameter_invalid", "Custom attribute 'latest_store' does not exist")
}

fn answer(status: u16, headers: &[(&str, String)], body: &Value) -> Answer {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Answer::Response(response.body(Bytes::from(body)).unwrap())
}

fn intercom(more: Value) -> Box<dyn Destination> {
    let mut settings = json!({ "access_token": ACCESS_TOKEN });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    open("intercom", &settings)
}

fn called(request: &Request<Bytes>) -> String {
    format!("{} {}", request.method(), request.uri().path())
}

fn body(request: &Request<Bytes>) -> Value {
    serde_json::from_slice(request.body()).unwrap()
}

fn at(seconds: u64) -> Moment {
    Moment { now: now().plus(Duration::from_secs(seconds)), ..moment() }
}

/// Delivers `event` and answers as the script says; every call must be the one that the script expects.
fn play(name: &str, destination: &dyn Destination, event: &Event, memory: Memory, script: &[Exchange]) -> Course {
    let event = logged(event.clone());
    assert_eq!(destination.skips(&event), None, "{name}");
    let conversation = destination.deliver(&[event], &memory, moment()).unwrap();
    let course = run_by(conversation, memory, |number, request| {
        let (expected, status, body) =
            script.get(number).unwrap_or_else(|| panic!("{name}: a call too many: {}", called(request)));
        assert_eq!(&called(request), expected, "{name}, call {number}");
        check(request);
        answer(*status, &[], body)
    });
    assert_eq!(course.requests.len(), script.len(), "{name}: {:?}", course.verdict);
    course
}

/// `delivered`, `retry: why`, `wait 300: why`, `give up: why`, `off: why`, `skip: why`.
fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Delivered => "delivered".to_owned(),
        Verdict::Retry { counts: true, reason, .. } => format!("retry: {}", reason.0),
        Verdict::Retry { counts: false, after, reason } => {
            format!("wait {}: {}", after.unwrap_or_default().as_secs(), reason.0)
        }
        Verdict::GiveUp(reason) => format!("give up: {}", reason.0),
        Verdict::SwitchOff(reason) => format!("off: {}", reason.0),
        Verdict::Skip(reason) => format!("skip: {}", reason.0),
    }
}

fn renewal() -> Event {
    sample_of(EventType::SubscriptionRenewed)
}

fn by_email(mut event: Event, email: &str) -> Event {
    let told = AttributeView { value: email.to_owned(), updated_at: now() };
    event.customer.attributes.insert("$email".to_owned(), told);
    event
}

/// The customer as nobody has identified it.
fn anonymous(mut event: Event) -> Event {
    event.customer.aliases.clear();
    event.customer.anonymous = true;
    event.customer.app_user_id = event.customer.id.to_string();
    event
}

/// What is remembered of a contact that shows everything.
fn remembered(destination: &dyn Destination, event: &Event) -> Memory {
    let script = [(FIND, 200, known()), (UPDATE, 200, known()), (TELL, 202, Value::Null)];
    play("to remember", destination, event, Memory::default(), &script).memory
}

/// The body of the first event that is told.
fn body_told(destination: &dyn Destination, event: &Event) -> Value {
    let delivery = destination.deliver(&[logged(event.clone())], &Memory::default(), moment()).unwrap();
    let course = run_by(delivery, Memory::default(), |_, request| destination.rehearsal(request));
    let told = course.requests.iter().find(|request| called(request) == TELL);
    let told = told.unwrap_or_else(|| panic!("nothing is told of {}", event.event_type));
    check(told);
    body(told)
}
