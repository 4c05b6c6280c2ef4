//! "Get Notification History": what was sent to the server in the last 180 days (30 in the sandbox), 20 a page.

use super::answer::{self, Answer};
use super::query::Query;
use crate::calendar::DAY;
use crate::stores::app_store::AppStore;
use crate::stores::app_store::account::{Account, SendAttempt, SendResult};
use crate::stores::app_store::wire::Notification;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Notifications on a page.
const PAGE: usize = 20;

#[derive(Debug, Deserialize, Hash)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    start_date: i64,
    end_date: i64,
    notification_type: Option<String>,
    notification_subtype: Option<String>,
    transaction_id: Option<String>,
    only_failures: Option<bool>,
}

/// The types that Apple's page "notificationType" lists.
const TYPES: [&str; 21] = [
    "CONSUMPTION_REQUEST",
    "DID_CHANGE_RENEWAL_PREF",
    "DID_CHANGE_RENEWAL_STATUS",
    "DID_FAIL_TO_RENEW",
    "DID_RENEW",
    "EXPIRED",
    "EXTERNAL_PURCHASE_TOKEN",
    "GRACE_PERIOD_EXPIRED",
    "METADATA_UPDATE",
    "MIGRATION",
    "OFFER_REDEEMED",
    "ONE_TIME_CHARGE",
    "PRICE_CHANGE",
    "PRICE_INCREASE",
    "REFUND",
    "REFUND_DECLINED",
    "REFUND_REVERSED",
    "RENEWAL_EXTENDED",
    "RENEWAL_EXTENSION",
    "REVOKE",
    "SUBSCRIBED",
];

/// The answer.
pub(super) fn answer(store: &AppStore, account: &Account, query: &Query, body: &[u8], now: i64) -> Answer {
    let request = match checked(store, body, now) {
        Ok(request) => request,
        Err(wrong) => return wrong,
    };
    let after = match query.one("paginationToken").map(|token| page_after(token, &request)) {
        None => (i64::MIN, String::new()),
        Some(Some(after)) => after,
        Some(None) => return answer::INVALID_PAGE,
    };
    let of_customer = match request.transaction_id.as_deref().map(|id| account.of_customer(id)) {
        None => None,
        // ASSUMPTION: a customer of whom nothing is known has no history; Apple's page names no error for it.
        Some(None) => Some(Vec::new()),
        Some(Some(chains)) => {
            let originals = chains.iter().filter_map(|chain| chain.current());
            Some(originals.map(|one| one.original_transaction_id.clone()).collect::<Vec<_>>())
        }
    };
    let is_wanted = |told: &&Notification| {
        let attempts = account.attempts(&told.uuid);
        (told.signed_date, &told.uuid) > (after.0, &after.1)
            && request.notification_type.as_deref().is_none_or(|kind| kind == told.kind)
            && request.notification_subtype.as_deref().is_none_or(|kind| Some(kind) == told.subtype)
            && of_customer.as_ref().is_none_or(|own| own.contains(&told.transaction.original_transaction_id))
            // ASSUMPTION: what was not tried yet is not history yet.
            && !attempts.is_empty()
            && !(request.only_failures == Some(true) && has_arrived(attempts))
    };
    // ASSUMPTION: oldest first; Apple's page does not say.
    let in_time = account.told(request.start_date).take_while(|told| told.signed_date <= request.end_date);
    let mut found = in_time.filter(is_wanted);
    let page: Vec<&Notification> = found.by_ref().take(PAGE).collect();
    let has_more = found.next().is_some();
    let mut rows = Vec::with_capacity(page.len());
    for told in &page {
        match store.signed(told) {
            Ok(signed) => rows.push(json!({"signedPayload": signed, "sendAttempts": account.attempts(&told.uuid)})),
            Err(_) => return answer::INTERNAL,
        }
    }
    let mut result = json!({"notificationHistory": rows, "hasMore": has_more});
    if let Some(last) = page.last().filter(|_| has_more) {
        result["paginationToken"] = Value::String(page_token(last, &request));
    }
    Answer::Json(result)
}

fn has_arrived(attempts: &[SendAttempt]) -> bool {
    attempts.iter().any(|attempt| attempt.send_attempt_result == SendResult::Success)
}

fn checked(store: &AppStore, body: &[u8], now: i64) -> Result<Request, Answer> {
    let value: Value = serde_json::from_slice(body).map_err(|_| answer::BAD_REQUEST)?;
    for (name, refusal) in [("startDate", answer::INVALID_START), ("endDate", answer::INVALID_END)] {
        if value[name].as_i64().is_none_or(|date| date < 0) {
            return Err(refusal);
        }
    }
    let request: Request = serde_json::from_value(value).map_err(|_| answer::BAD_REQUEST)?;
    let days = if store.app().environment == "Production" { 180 } else { 30 };
    let kind = request.notification_type.as_deref();
    if request.start_date < now - days * DAY {
        return Err(answer::START_TOO_EARLY);
    }
    if request.end_date <= request.start_date {
        return Err(answer::START_AFTER_END);
    }
    if kind.is_some() && request.transaction_id.is_some() {
        return Err(answer::SEVERAL_FILTERS);
    }
    let is_known = kind.is_none_or(|kind| kind == "TEST" || TYPES.contains(&kind));
    if !is_known || (request.notification_subtype.is_some() && kind.is_none()) {
        return Err(answer::INVALID_TYPE);
    }
    Ok(request)
}

/// A token belongs to the body that it was given for.
fn page_token(last: &Notification, request: &Request) -> String {
    URL_SAFE_NO_PAD.encode(format!("{:x} {} {}", digest(request), last.signed_date, last.uuid))
}

fn page_after(token: &str, request: &Request) -> Option<(i64, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let mut parts = text.split(' ');
    let given = u64::from_str_radix(parts.next()?, 16).ok()?;
    let after = (parts.next()?.parse().ok()?, parts.next()?.to_owned());
    (given == digest(request)).then_some(after)
}

fn digest(request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.hash(&mut hasher);
    hasher.finish()
}
