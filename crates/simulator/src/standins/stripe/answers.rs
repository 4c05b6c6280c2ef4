//! What each path answers, from the account's objects as they stand.

use super::error_body;
use super::query::Query;
use crate::stores::stripe::account::Account;
use crate::stores::stripe::objects::{Event, Object};
use crate::stores::stripe::render::{Pen, list};
use http::StatusCode;
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// How deep an expansion goes, by Stripe's rule.
const MAX_EXPANSION: usize = 4;
/// How lists are bounded by when their rows were made.
const CREATED: [&str; 4] = ["created[gt]", "created[gte]", "created[lt]", "created[lte]"];

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn error(status: StatusCode, kind: &str, code: Option<&str>, message: &str) -> Answer {
        Answer { status, body: error_body(kind, code, None, message) }
    }

    pub(super) fn wrong(param: Option<&str>, message: &str) -> Answer {
        Answer { status: StatusCode::BAD_REQUEST, body: error_body("invalid_request_error", None, param, message) }
    }

    pub(super) fn unknown_parameter(name: &str) -> Answer {
        let message = format!("Received unknown parameter: {name}");
        let body = error_body("invalid_request_error", Some("parameter_unknown"), Some(name), &message);
        Answer { status: StatusCode::BAD_REQUEST, body }
    }

    pub(super) fn limited() -> Answer {
        let message = "Request rate limit exceeded.";
        Answer::error(StatusCode::TOO_MANY_REQUESTS, "invalid_request_error", Some("rate_limit"), message)
    }

    fn missing(kind: &str, id: &str) -> Answer {
        let message = format!("No such {kind}: '{id}'");
        let body = error_body("invalid_request_error", Some("resource_missing"), Some("id"), &message);
        Answer { status: StatusCode::NOT_FOUND, body }
    }

    fn no_route(path: &str) -> Answer {
        let message = format!("Unrecognized request URL (GET: {path}).");
        Answer::error(StatusCode::NOT_FOUND, "invalid_request_error", None, &message)
    }
}

/// The answer to a `GET`.
pub(super) fn answer(account: &Account, pen: Pen, path: &str, query: &Query) -> Answer {
    let desk = Desk { account, pen, query };
    desk.route(path).unwrap_or_else(|refusal| refusal)
}

struct Desk<'a> {
    account: &'a Account,
    pen: Pen,
    query: &'a Query,
}

impl Desk<'_> {
    fn route(&self, path: &str) -> Result<Answer, Answer> {
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let is_api = path.starts_with("/v1/");
        let value = match parts.as_slice() {
            _ if !is_api => return Err(Answer::no_route(path)),
            ["subscriptions", id] => self.object("subscription", "subscription", id)?,
            ["invoices", id] => self.object("invoice", "invoice", id)?,
            ["charges", id] => self.object("charge", "charge", id)?,
            ["refunds", id] => self.object("refund", "refund", id)?,
            ["disputes", id] => self.object("dispute", "dispute", id)?,
            ["customers", id] => self.object("customer", "customer", id)?,
            ["invoice_payments", id] => self.object("invoice_payment", "invoice_payment", id)?,
            ["subscription_schedules", id] => self.object("subscription_schedule", "schedule", id)?,
            ["checkout", "sessions", id] => self.object("checkout.session", "checkout.session", id)?,
            ["checkout", "sessions", id, "line_items"] => self.line_items(id)?,
            ["payment_intents", id] => self.intent(id)?,
            ["events", id] => self.event(id)?,
            ["events"] => self.events()?,
            ["subscriptions"] => self.subscriptions(path)?,
            ["invoices"] => self.of(path, "invoice", &["subscription"], &["subscription"])?,
            ["charges"] => self.of_charges(path)?,
            ["refunds"] => self.of(path, "refund", &["charge", "payment_intent"], &["charge", "payment_intent"])?,
            ["disputes"] => self.of(path, "dispute", &["charge", "payment_intent"], &["charge", "payment_intent"])?,
            ["invoice_payments"] => self.invoice_payments(path)?,
            ["checkout", "sessions"] => {
                let keys = ["payment_intent", "subscription"];
                self.of(path, "checkout.session", &keys, &keys)?
            }
            _ => return Err(Answer::no_route(path)),
        };
        Ok(Answer { status: StatusCode::OK, body: self.expanded(value)? })
    }

    fn object(&self, kind: &str, name: &str, id: &str) -> Result<Value, Answer> {
        self.query.allow(&[])?;
        let found = self.account.object(id).map(|object| self.pen.object(object));
        found.filter(|value| value["object"] == kind).ok_or_else(|| Answer::missing(name, id))
    }

    fn intent(&self, id: &str) -> Result<Value, Answer> {
        self.query.allow(&[])?;
        let charge = self.account.charge_of(id).ok_or_else(|| Answer::missing("payment_intent", id))?;
        Ok(self.pen.intent(charge))
    }

    fn line_items(&self, id: &str) -> Result<Value, Answer> {
        self.query.allow(&["limit", "starting_after", "ending_before"])?;
        self.query.limit()?;
        match self.account.object(id) {
            Some(Object::Session(session)) => Ok(self.pen.line_items(session)),
            Some(_) | None => Err(Answer::missing("checkout.session", id)),
        }
    }

    /// Of one customer, or of the whole account.
    fn subscriptions(&self, path: &str) -> Result<Value, Answer> {
        self.query
            .allow(&[&CREATED[..], &["customer", "status", "limit", "starting_after", "ending_before"]].concat())?;
        let made = self.made()?;
        let of_customer = self.query.one("customer").map(|customer| self.account.belonging(customer));
        let all = of_customer.is_none().then(|| self.account.subscriptions());
        let objects = of_customer.into_iter().flatten().chain(all.into_iter().flatten());
        let rows = objects.map(|object| self.pen.object(object)).filter(|row| row["object"] == "subscription");
        let rows = rows.filter(|row| row["created"].as_i64().is_some_and(|at| made.contains(&at)));
        let shown = |row: &Value| match self.query.one("status") {
            Some("all") => true,
            Some(status) => row["status"] == status,
            // Without a status Stripe leaves out subscriptions that have ended.
            None => row["status"] != "canceled",
        };
        self.page(path, rows.filter(shown).collect())
    }

    /// From `created[...]`: which seconds are meant.
    fn made(&self) -> Result<RangeInclusive<i64>, Answer> {
        let number = |key: &str| self.query.number(key);
        let from = number("created[gte]")?.max(number("created[gt]")?.map(|at| at.saturating_add(1)));
        let to = [number("created[lte]")?, number("created[lt]")?.map(|at| at.saturating_sub(1))];
        Ok(from.unwrap_or(i64::MIN)..=to.into_iter().flatten().min().unwrap_or(i64::MAX))
    }

    /// A list of what belongs to the object that one of `owners` names.
    fn of(&self, path: &str, kind: &str, known: &[&str], owners: &[&str]) -> Result<Value, Answer> {
        self.query.allow(&[known, &["limit", "starting_after", "ending_before"]].concat())?;
        let Some(owner) = owners.iter().find_map(|key| self.query.one(key)) else {
            // Stripe lists everything; a hub has no reason to read an account from end to end.
            return Err(Answer::wrong(None, &format!("the stand-in lists by one of {owners:?} only")));
        };
        let rows: Vec<Value> = self.account.belonging(owner).map(|object| self.pen.object(object)).collect();
        let shown = |row: &Value| self.query.one("status").is_none_or(|status| row["status"] == status);
        self.page(path, rows.into_iter().filter(|row| row["object"] == kind && shown(row)).collect())
    }

    fn of_charges(&self, path: &str) -> Result<Value, Answer> {
        if let Some(intent) = self.query.one("payment_intent") {
            self.query.allow(&["payment_intent", "limit", "starting_after", "ending_before"])?;
            let charge = self.account.charge_of(intent).cloned().map(Object::Charge);
            return self.page(path, charge.iter().map(|charge| self.pen.object(charge)).collect());
        }
        self.of(path, "charge", &["customer"], &["customer"])
    }

    fn invoice_payments(&self, path: &str) -> Result<Value, Answer> {
        let keys = ["invoice", "payment[payment_intent]", "payment[type]", "status"];
        if self.pen.shape == crate::stores::stripe::shape::Shape::Classic {
            return Err(Answer::no_route(path));
        }
        if self.query.one("payment[payment_intent]").is_some()
            && self.query.one("payment[type]") != Some("payment_intent")
        {
            return Err(Answer::wrong(Some("payment[type]"), "Missing required param: payment[type]."));
        }
        self.of(path, "invoice_payment", &keys, &["invoice", "payment[payment_intent]"])
    }

    fn event(&self, id: &str) -> Result<Value, Answer> {
        self.query.allow(&[])?;
        let found = self.account.events().find(|event| &*event.id == id);
        found.map(|event| self.pen.event(event)).ok_or_else(|| Answer::missing("event", id))
    }

    fn events(&self) -> Result<Value, Answer> {
        let known = ["type", "types[]", "limit", "starting_after", "ending_before"];
        self.query.allow(&[&CREATED[..], &known].concat())?;
        let made = self.made()?;
        let types = self.query.many("types[]");
        let wanted = |event: &&Event| {
            made.contains(&event.created)
                && (types.is_empty() || types.iter().any(|kind| kind == event.kind))
                && self.query.one("type").is_none_or(|kind| kind == event.kind)
        };
        let rows: Vec<&Event> = self.account.events().filter(wanted).collect();
        let (start, limit) = self.cut(rows.iter().map(|event| &*event.id))?;
        let page = rows.iter().skip(start).take(limit).map(|event| self.pen.event(event)).collect();
        Ok(list(page, rows.len() > start + limit, "/v1/events"))
    }

    /// Where a page begins among these ids, and how long it may be.
    fn cut<'i>(&self, ids: impl Iterator<Item = &'i str>) -> Result<(usize, usize), Answer> {
        let limit = self.query.limit()?;
        if self.query.one("ending_before").is_some() {
            return Err(Answer::wrong(Some("ending_before"), "the stand-in pages forward only"));
        }
        let Some(after) = self.query.one("starting_after") else { return Ok((0, limit)) };
        let mut ids = ids;
        match ids.position(|id| id == after) {
            Some(place) => Ok((place + 1, limit)),
            None => Err(Answer::wrong(Some("starting_after"), &format!("No such object: '{after}'"))),
        }
    }

    fn page(&self, path: &str, rows: Vec<Value>) -> Result<Value, Answer> {
        let (start, limit) = self.cut(rows.iter().map(|row| row["id"].as_str().unwrap_or_default()))?;
        let more = rows.len() > start + limit;
        Ok(list(rows.into_iter().skip(start).take(limit).collect(), more, path))
    }

    /// `expand[]`: ids become objects, and what is left out by default comes along.
    fn expanded(&self, mut value: Value) -> Result<Value, Answer> {
        for path in self.query.many("expand[]") {
            let steps: Vec<&str> = path.split('.').collect();
            if steps.len() > MAX_EXPANSION || !self.expand(&mut value, &steps) {
                let message = format!("This property cannot be expanded ({path}).");
                return Err(Answer::wrong(Some("expand"), &message));
            }
        }
        Ok(value)
    }

    /// False: there is no such property.
    fn expand(&self, value: &mut Value, steps: &[&str]) -> bool {
        let Some((step, rest)) = steps.split_first() else { return true };
        if let Some(included) = self.included(value, step) {
            value[*step] = included;
        }
        match value.get_mut(*step) {
            None => false,
            Some(Value::Array(rows)) => rows.iter_mut().all(|row| self.expand(row, rest)),
            Some(Value::Null) => true,
            Some(Value::String(id)) => {
                let object = self.account.object(id).map(|object| self.pen.object(object));
                let object = object.or_else(|| self.account.charge_of(id).map(|charge| self.pen.intent(charge)));
                let Some(object) = object else { return false };
                value[*step] = object;
                self.expand(&mut value[*step], rest)
            }
            Some(inner) => self.expand(inner, rest),
        }
    }

    /// Properties that an object has only when they are asked for.
    fn included(&self, value: &Value, step: &str) -> Option<Value> {
        let id = value["id"].as_str()?;
        match (value["object"].as_str()?, step) {
            ("checkout.session", "line_items") => match self.account.object(id)? {
                Object::Session(session) => Some(self.pen.line_items(session)),
                _ => None,
            },
            ("invoice", "payments") => Some(self.listed(id, "invoice_payment", "/v1/invoice_payments")),
            ("charge", "refunds") => Some(self.listed(id, "refund", &format!("/v1/charges/{id}/refunds"))),
            ("customer", "subscriptions") => Some(self.listed(id, "subscription", "/v1/subscriptions")),
            _ => None,
        }
    }

    fn listed(&self, owner: &str, kind: &str, url: &str) -> Value {
        let rows = self.account.belonging(owner).map(|object| self.pen.object(object));
        let rows: Vec<Value> = rows.filter(|row| row["object"] == kind).collect();
        json!({"object": "list", "data": rows, "has_more": false, "url": url})
    }
}
