//! Customers: who they are, what they may use, linking ids.

use crate::auth::{Authorized, Read, Write};
use crate::extract::{Json, Path, Query};
use crate::paging::{List, Page};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::event::{AttributeView, PurchaseView};
use paidup_lifecycle::ids::{CustomerId, PurchaseId};
use paidup_lifecycle::observation::{Environment, Kind, Store};
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::EventQuery;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Purchases that one answer shows at most; newer ones come first when there are more.
const MAX_PURCHASES: usize = 500;

/// Something that the customer may use.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActiveEntitlement {
    /// The entitlement.
    id: String,
    /// Until when, as far as is known; null: no end is known.
    #[schema(value_type = Option<String>)]
    expires_at: Option<Timestamp>,
    /// PRODUCTION or SANDBOX.
    #[schema(value_type = String)]
    environment: Environment,
    /// Which store.
    #[schema(value_type = String)]
    store: Store,
    /// The store's product id.
    product_id: Option<String>,
    /// The purchase that gives it.
    #[schema(value_type = String)]
    purchase_id: PurchaseId,
}

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomerAnswer {
    /// Our id; the same whichever alias was asked for.
    #[schema(value_type = String)]
    id: CustomerId,
    /// Every other id, oldest first.
    aliases: Vec<String>,
    /// Nobody has claimed it yet.
    anonymous: bool,
    /// Grows with every change.
    revision: u64,
    /// First seen.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// What the customer may use now.
    entitlements: Vec<ActiveEntitlement>,
    /// Subscriptions, newest first.
    #[schema(value_type = Vec<serde_json::Value>)]
    subscriptions: Vec<PurchaseView>,
    /// Every purchase, newest first.
    #[schema(value_type = Vec<serde_json::Value>)]
    purchases: Vec<PurchaseView>,
    /// Linked accounts elsewhere.
    links: Vec<serde_json::Value>,
    /// The `user_id` in Discord's shape: the linked Discord account, else an id of ours.
    #[schema(value_type = Option<String>)]
    discord_user_id: Option<Snowflake>,
    /// Attributes as last told.
    #[schema(value_type = Object)]
    attributes: BTreeMap<String, AttributeView>,
    /// Lifetime totals in minor units, by environment and currency.
    totals: BTreeMap<String, i64>,
}

/// Finds a customer by id or alias.
pub(crate) async fn find(hub: &Hub, id_or_alias: &str) -> Result<Customer, Problem> {
    hub.store().customer(id_or_alias).await?.ok_or_else(|| Problem::not_found("customer"))
}

pub(crate) fn active(customer: &Customer, environment: Option<Environment>) -> Vec<ActiveEntitlement> {
    let mut list: Vec<ActiveEntitlement> = Vec::new();
    for (purchase_id, holding) in &customer.holdings {
        if environment.is_some_and(|wanted| wanted != holding.environment) {
            continue;
        }
        for id in &holding.entitlements {
            list.push(ActiveEntitlement {
                id: id.clone(),
                expires_at: holding.until,
                environment: holding.environment,
                store: holding.store,
                product_id: holding.product_id.clone(),
                purchase_id: *purchase_id,
            });
        }
    }
    // Of several purchases that give the same, the one that lasts longest speaks (no known end lasts longest).
    list.sort_by(|a, b| {
        let end = |row: &ActiveEntitlement| row.expires_at.unwrap_or(Timestamp::MAX);
        (&a.id, a.environment, end(b)).cmp(&(&b.id, b.environment, end(a)))
    });
    list.dedup_by(|later, kept| later.id == kept.id && later.environment == kept.environment);
    list
}

/// 200 with an ETag, or 304 when the caller has it already.
fn tagged<T: Serialize>(headers: &HeaderMap, body: &T) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(body)
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written"))?;
    let tag = format!("\"{}\"", &paidup_lifecycle::ids::CustomerId::derive(&[&bytes]).to_string()[4..]);
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|list| list.split(',').any(|one| one.trim().trim_start_matches("W/") == tag || one.trim() == "*"));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
    };
    if let Ok(value) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    Ok(response)
}

/// A customer by any of its ids.
#[utoipa::path(get, path = "/v1/customers/{id}", tag = "customers", params(("id" = String, Path, description = "Our id or any alias")),
    responses((status = 200, body = CustomerAnswer), (status = 304, description = "As the caller's ETag says"), (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let customer = find(&hub, &id).await?;
    let answer = answer(&hub, customer).await?;
    tagged(&headers, &answer)
}

async fn answer(hub: &Hub, customer: Customer) -> Result<CustomerAnswer, Problem> {
    let catalogue = hub.store().catalogue();
    let mut purchases: Vec<PurchaseView> = hub
        .store()
        .purchases_of(customer.id, MAX_PURCHASES)
        .await?
        .iter()
        .map(|purchase| paidup_lifecycle::engine::view(purchase, &catalogue))
        .collect();
    purchases.reverse();
    let discord_user_id = hub.store().snowflakes_of([customer.id].into()).await?.remove(&customer.id);
    let subscriptions = purchases.iter().filter(|view| view.kind == Kind::Subscription).cloned().collect();
    Ok(CustomerAnswer {
        id: customer.id,
        anonymous: customer.is_anonymous(),
        revision: customer.revision,
        created_at: customer.created_at,
        entitlements: active(&customer, None),
        subscriptions,
        purchases,
        links: Vec::new(),
        discord_user_id,
        attributes: customer.attributes,
        totals: customer.totals,
        aliases: customer.aliases,
    })
}

/// A customer in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomerRow {
    /// Our id.
    #[schema(value_type = String)]
    id: CustomerId,
    /// Every other id, oldest first.
    aliases: Vec<String>,
    /// First seen.
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// What the customer may use now.
    entitlements: Vec<ActiveEntitlement>,
}

/// Lists customers, oldest first.
#[utoipa::path(get, path = "/v1/customers", tag = "customers", params(Page), responses((status = 200, body = List<CustomerRow>)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Query(page): Query<Page>,
) -> Result<axum::Json<List<CustomerRow>>, Problem> {
    let limit = page.limit()?;
    let rows = hub.store().customers(page.after()?.unwrap_or(0), limit).await?;
    let rows = rows
        .into_iter()
        .map(|(number, customer)| {
            let entitlements = active(&customer, None);
            let row = CustomerRow {
                id: customer.id,
                aliases: customer.aliases,
                created_at: customer.created_at,
                entitlements,
            };
            (number, row)
        })
        .collect();
    Ok(axum::Json(List::keyed(rows, limit)))
}

/// Which entitlements.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntitlementQuery {
    /// PRODUCTION (default) or SANDBOX.
    environment: Option<String>,
    /// As of this time; absent: now.
    #[param(value_type = Option<String>)]
    at: Option<Timestamp>,
}

/// What a customer may use.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntitlementAnswer {
    /// Our id of the customer.
    #[schema(value_type = String)]
    customer_id: CustomerId,
    /// Active entitlements, by id.
    active: Vec<String>,
    /// The same with what gives them; only for now.
    entitlements: Vec<ActiveEntitlement>,
}

/// What a customer may use now, or could use then.
#[utoipa::path(get, path = "/v1/customers/{id}/entitlements", tag = "customers",
    params(("id" = String, Path, description = "Our id or any alias"), EntitlementQuery),
    responses((status = 200, body = EntitlementAnswer), (status = 304, description = "As the caller's ETag says"), (status = 404, body = Problem)))]
pub(crate) async fn entitlements(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(id): Path<String>,
    Query(query): Query<EntitlementQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let environment =
        super::events::word("environment", query.environment.as_deref())?.unwrap_or(Environment::Production);
    let customer = find(&hub, &id).await?;
    let answer = match query.at {
        None => EntitlementAnswer {
            customer_id: customer.id,
            active: customer.active_entitlements(environment),
            entitlements: active(&customer, Some(environment)),
        },
        Some(at) => {
            let query = EventQuery {
                customer: Some(customer.id),
                environment: Some(environment),
                // `to` is exclusive; what was detected in that very millisecond counts.
                to: Some(at.plus(std::time::Duration::from_millis(1))),
                limit: 1,
                ..EventQuery::default()
            };
            let last = hub.store().events(query).await?;
            let active = last.first().map(|event| event.event.entitlements.active.clone()).unwrap_or_default();
            EntitlementAnswer { customer_id: customer.id, active, entitlements: Vec::new() }
        }
    };
    tagged(&headers, &answer)
}

/// An id to link.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AliasRequest {
    /// The id; 1 to 200 characters.
    alias: String,
}

/// Links an id to a customer. When it belongs to another customer, that one is merged into this one, and both are told.
#[utoipa::path(post, path = "/v1/customers/{id}/aliases", tag = "customers", params(("id" = String, Path)), request_body = AliasRequest,
    responses((status = 200, body = CustomerAnswer), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn add_alias(
    State(hub): State<Hub>,
    Authorized(caller, _): Authorized<Write>,
    Path(id): Path<String>,
    Json(request): Json<AliasRequest>,
) -> Result<axum::Json<CustomerAnswer>, Problem> {
    let customer = hub.on_behalf_of(&caller).add_alias(&id, &request.alias).await?;
    Ok(axum::Json(answer(&hub, customer).await?))
}
