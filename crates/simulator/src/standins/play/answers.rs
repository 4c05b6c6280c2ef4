//! What each path of the Developer API answers, from the shelf as it stands, and Google's error bodies.

use crate::standins::path::decoded;
use crate::stores::play::shelf::Shelf;
use crate::stores::play::wire::{App, ProductPurchase, State, SubscriptionPurchase};
use http::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long a token stays readable after its purchase expired.
const READABLE_MS: i64 = 60 * DAY_MS;
/// How far back voided purchases are listed.
const VOIDED_MS: i64 = 30 * DAY_MS;
/// Rows of a page of voided purchases: Google's default and largest.
const MAX_ROWS: usize = 1_000;
/// Orders of one `batchGet`.
const MAX_ORDERS: usize = 1_000;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Answer {
    pub(super) const fn ok(body: Value) -> Answer {
        Answer { status: StatusCode::OK, body }
    }

    fn error(status: StatusCode, kind: &str, reason: &str, message: &str) -> Answer {
        let detail = json!({"message": message, "domain": "androidpublisher", "reason": reason});
        let error = json!({"code": status.as_u16(), "message": message, "errors": [detail], "status": kind});
        Answer { status, body: json!({"error": error}) }
    }

    pub(super) fn down() -> Answer {
        let message = "The service is currently unavailable.";
        Answer::error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "backendError", message)
    }

    pub(super) fn limited() -> Answer {
        let message = "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service 'androidpublisher.googleapis.com'.";
        Answer::error(StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", "rateLimitExceeded", message)
    }

    pub(super) fn unauthenticated() -> Answer {
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.";
        Answer::error(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "authError", message)
    }

    pub(super) fn forbidden() -> Answer {
        let message = "The current user has insufficient permissions to perform the requested operation.";
        Answer::error(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "permissionDenied", message)
    }

    pub(super) fn no_method(method: &Method) -> Answer {
        let message = format!("The method {method} is not allowed here.");
        Answer::error(StatusCode::METHOD_NOT_ALLOWED, "INVALID_ARGUMENT", "httpMethodNotAllowed", &message)
    }

    fn not_found(reason: &str, message: &str) -> Answer {
        Answer::error(StatusCode::NOT_FOUND, "NOT_FOUND", reason, message)
    }

    fn invalid(message: &str) -> Answer {
        Answer::error(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "invalid", message)
    }

    fn gone() -> Answer {
        let message =
            "The subscription purchase is no longer available for query because it has been expired for too long.";
        Answer::error(StatusCode::GONE, "FAILED_PRECONDITION", "subscriptionPurchaseNoLongerAvailable", message)
    }

    fn unknown_token() -> Answer {
        Answer::not_found("purchaseTokenNotFound", "The purchase token was not found.")
    }
}

/// The query of a call; what comes twice is kept twice.
struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    fn of(uri: &Uri) -> Query {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            all.entry(key.into_owned()).or_default().push(value.into_owned());
        }
        Query(all)
    }

    fn one(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.last().map(String::as_str)
    }

    fn number(&self, key: &str) -> Result<Option<i64>, Answer> {
        let wrong = |_| Answer::invalid(&format!("Invalid value at '{key}'"));
        self.one(key).map(|text| text.parse().map_err(wrong)).transpose()
    }

    /// Google refuses parameters that it does not know.
    fn allow(&self, known: &[&str]) -> Result<(), Answer> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Answer::invalid(&format!("Unknown name \"{key}\": Cannot bind query parameter."))),
            None => Ok(()),
        }
    }
}

/// The answer to a call.
pub(super) fn answer(shelf: &mut Shelf, app: &App, method: &Method, uri: &Uri, now_ms: i64) -> Answer {
    route(shelf, app, method, uri, now_ms).unwrap_or_else(|refusal| refusal)
}

fn route(shelf: &mut Shelf, app: &App, method: &Method, uri: &Uri, now_ms: i64) -> Result<Answer, Answer> {
    let nowhere = || Answer::not_found("notFound", "Requested entity was not found.");
    let path = uri.path().strip_prefix("/androidpublisher/v3/applications/").ok_or_else(nowhere)?;
    let parts: Vec<String> = path.split('/').map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (package, rest) = parts.split_first().ok_or_else(nowhere)?;
    if **package != *app.package_name {
        let message = format!("Package not found: {package}.");
        return Err(Answer::not_found("applicationNotFound", &message));
    }
    let query = Query::of(uri);
    if !matches!(rest, ["purchases", "voidedpurchases"] | ["orders:batchGet"]) {
        query.allow(&[])?;
    }
    match (method.as_str(), rest) {
        ("GET", ["purchases", "subscriptionsv2", "tokens", token]) => subscription(shelf, token, now_ms),
        ("GET", ["purchases", "productsv2", "tokens", token]) => Ok(Answer::ok(product(shelf, token)?.json())),
        ("GET", ["purchases", "products", id, "tokens", token]) => old_product(shelf, id, token),
        ("POST", ["purchases", "subscriptions", id, "tokens", action]) => {
            let token = action.strip_suffix(":acknowledge").ok_or_else(nowhere)?;
            let found = shelf.subscription(token).ok_or_else(Answer::unknown_token)?;
            let is_its = found.items.iter().any(|item| item.product_id == *id);
            acknowledge(shelf, token, is_its, found.state == State::Pending || found.state == State::Expired)
        }
        ("POST", ["purchases", "products", id, "tokens", action]) => {
            let token = action.strip_suffix(":acknowledge").ok_or_else(nowhere)?;
            let found = product(shelf, token)?;
            acknowledge(shelf, token, found.product_id == *id, found.state != "PURCHASED")
        }
        ("GET", ["purchases", "voidedpurchases"]) => voided(shelf, &query, now_ms),
        ("GET", ["orders:batchGet"]) => orders(shelf, &query),
        ("GET", ["orders", id]) => {
            let found = shelf.order(id).map(|order| Answer::ok(order.json()));
            found.ok_or_else(|| Answer::not_found("orderNotFound", "The order was not found."))
        }
        ("GET" | "POST", _) => Err(nowhere()),
        _ => Err(Answer::no_method(method)),
    }
}

fn subscription(shelf: &Shelf, token: &str, now_ms: i64) -> Result<Answer, Answer> {
    let found = shelf.subscription(token).ok_or_else(Answer::unknown_token)?;
    if is_forgotten(&found, now_ms) {
        return Err(Answer::gone());
    }
    Ok(Answer::ok(found.json()))
}

/// Expired for more than 60 days.
fn is_forgotten(found: &SubscriptionPurchase, now_ms: i64) -> bool {
    let expiry = found.items.iter().filter_map(|item| item.expiry_time).max();
    let is_over = matches!(found.state, State::Expired | State::PendingPurchaseCanceled);
    is_over && expiry.unwrap_or(found.start_time) + READABLE_MS < now_ms
}

fn product(shelf: &Shelf, token: &str) -> Result<ProductPurchase, Answer> {
    shelf.product(token).ok_or_else(Answer::unknown_token)
}

/// `purchases.products.get`, which the newer method follows.
fn old_product(shelf: &Shelf, id: &str, token: &str) -> Result<Answer, Answer> {
    let found = product(shelf, token)?;
    if found.product_id != id {
        return Err(Answer::invalid("The product purchase does not match the product ID."));
    }
    let state = match found.state {
        "PURCHASED" => 0,
        "PENDING" => 2,
        _ => 1,
    };
    let mut body = json!({
        "kind": "androidpublisher#productPurchase", "purchaseState": state, "orderId": found.order_id,
        "consumptionState": i32::from(found.is_consumed), "acknowledgementState": i32::from(found.is_acknowledged),
        "regionCode": found.region_code
    });
    if let Some(at) = found.completed_at {
        body["purchaseTimeMillis"] = at.to_string().into();
    }
    if let Some(account) = &found.account_id {
        body["obfuscatedExternalAccountId"] = account.as_ref().into();
    }
    if found.is_test {
        body["purchaseType"] = 0.into();
    }
    Ok(Answer::ok(body))
}

fn acknowledge(shelf: &mut Shelf, token: &str, is_its: bool, is_not_owned: bool) -> Result<Answer, Answer> {
    if !is_its {
        return Err(Answer::invalid("The purchase token does not match the product ID."));
    }
    if is_not_owned {
        let message = "The product purchase is not owned by the user.";
        return Err(Answer::error(StatusCode::BAD_REQUEST, "FAILED_PRECONDITION", "productNotOwnedByUser", message));
    }
    shelf.acknowledge(token);
    Ok(Answer::ok(Value::Null))
}

fn orders(shelf: &Shelf, query: &Query) -> Result<Answer, Answer> {
    query.allow(&["orderIds"])?;
    let ids = query.0.get("orderIds").map(Vec::as_slice).unwrap_or_default();
    if ids.is_empty() || ids.len() > MAX_ORDERS {
        return Err(Answer::invalid("The number of order IDs must be 1 to 1000."));
    }
    let found: Vec<Value> = ids.iter().filter_map(|id| shelf.order(id)).map(|order| order.json()).collect();
    Ok(Answer::ok(json!({"orders": found})))
}

fn voided(shelf: &Shelf, query: &Query, now_ms: i64) -> Result<Answer, Answer> {
    query.allow(&[
        "startTime",
        "endTime",
        "type",
        "maxResults",
        "token",
        "startIndex",
        "includeQuantityBasedPartialRefund",
    ])?;
    let (start, end) = (query.number("startTime")?, query.number("endTime")?);
    // A minute of grace, because the caller's clock is not ours.
    if start.is_some_and(|start| start < now_ms - VOIDED_MS - 60_000) {
        return Err(Answer::invalid("Start time must be within the last 30 days."));
    }
    if end.is_some_and(|end| end > now_ms + 60_000 || start.is_some_and(|start| end < start)) {
        return Err(Answer::invalid("End time must not be in the future, nor before the start time."));
    }
    let with_subscriptions = query.one("type").unwrap_or("0") == "1";
    let (start, end) = (start.unwrap_or(now_ms - VOIDED_MS), end.unwrap_or(now_ms));
    let rows: Vec<Value> = shelf
        .voided()
        .iter()
        .filter(|one| (start..=end).contains(&one.voided) && (with_subscriptions || !one.is_subscription))
        .map(crate::stores::play::wire::VoidedPurchase::json)
        .collect();
    let size = usize::try_from(query.number("maxResults")?.unwrap_or(0)).unwrap_or(0);
    let size = if size == 0 { MAX_ROWS } else { size.min(MAX_ROWS) };
    let from = match query.one("token") {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Answer::invalid("Invalid page token."))?,
    };
    let page: Vec<&Value> = rows.iter().skip(from).take(size).collect();
    // An empty list is left out.
    let mut body = json!({});
    if from + page.len() < rows.len() {
        body["tokenPagination"] = json!({"nextPageToken": format!("page-{}", from + page.len())});
    }
    if !page.is_empty() {
        body["voidedPurchases"] = json!(page);
    }
    Ok(Answer::ok(body))
}
