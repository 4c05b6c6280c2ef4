//! RevenueCat's v1 customer, for apps and scripts that read it today.

use crate::auth::{Authorized, Read};
use crate::extract::Path;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use paidup_hub::Hub;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::dialects::revenuecat;
use paidup_lifecycle::ids::CustomerId;

/// Purchases that are looked at, newest first.
const MAX_PURCHASES: usize = 500;
/// The longest id of a customer, in characters.
const MAX_ID: usize = 200;

/// A customer in RevenueCat's v1 shape.
///
/// As there, an unknown id is answered 201 with an empty customer. Unlike there, asking leaves no trace: the customer is
/// made when something is bought, granted or linked.
#[utoipa::path(get, path = "/v1/subscribers/{app_user_id}", tag = "customers",
    params(("app_user_id" = String, Path, description = "Our id or any alias")),
    responses((status = 200, description = "`{request_date, subscriber: {entitlements, subscriptions, ...}}`", body = serde_json::Value),
        (status = 201, description = "Nobody is known by this id; an empty customer", body = serde_json::Value),
        (status = 400, body = Problem), (status = 401, body = Problem)))]
pub(crate) async fn get(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(id): Path<String>,
) -> Result<(StatusCode, axum::Json<serde_json::Value>), Problem> {
    if id.trim().is_empty() || id.chars().count() > MAX_ID {
        return Err(Problem::malformed(format!("an app user id has 1 to {MAX_ID} characters")));
    }
    let now = hub.clock().now();
    let (status, customer, purchases) = match hub.store().customer(&id).await? {
        Some(customer) => {
            let purchases = hub.store().purchases_of(customer.id, MAX_PURCHASES).await?;
            (StatusCode::OK, customer, purchases)
        }
        None => {
            let mut nobody = Customer::new(CustomerId::derive(&[id.as_bytes()]), now);
            nobody.aliases.push(id.clone());
            (StatusCode::CREATED, nobody, Vec::new())
        }
    };
    let shown = revenuecat::subscriber(&customer, &purchases, &hub.store().catalogue(), &id, now);
    Ok((status, axum::Json(shown)))
}
