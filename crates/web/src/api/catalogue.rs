//! Products and entitlements: what can be bought and what it unlocks. Changes are commands: what they change for
//! customers is told in events.

use crate::auth::{Authorized, Read, Write};
use crate::extract::{Json, Path, Query};
use crate::paging::List;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_hub::catalogue::NewProduct;
use paidup_lifecycle::catalogue::{Entitlement, Product};
use paidup_lifecycle::observation::Store;
use paidup_lifecycle::snowflake::Snowflake;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A product to map.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductRequest {
    /// The store's product id.
    product_id: String,
    /// Only in this store; absent: every store's product of that id.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    store: Option<Store>,
    /// For people.
    #[serde(default)]
    name: Option<String>,
    /// What it unlocks.
    #[serde(default)]
    entitlements: Vec<String>,
    /// Decides up-, cross- and downgrade inside a group: higher is better, equal is a crossgrade.
    #[serde(default)]
    rank: Option<i32>,
    /// Products that replace each other.
    #[serde(default)]
    group: Option<String>,
}

/// A product: what was given, our `id`, its `sku_id` in Discord's shape, and its `kind` as purchases of it told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProductAnswer {
    /// The product.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    product: Product,
    /// With `dry_run`: purchases whose entitlements would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    affected_purchases: Option<u64>,
}

/// How to change.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeQuery {
    /// `true`: change nothing, say how many purchases would change.
    #[serde(default)]
    dry_run: bool,
}

/// Maps a product, or changes its mapping.
#[utoipa::path(post, path = "/v1/products", tag = "catalogue", params(ChangeQuery), request_body = ProductRequest,
    responses((status = 201, description = "Mapped", body = ProductAnswer), (status = 200, description = "What would change", body = ProductAnswer), (status = 422, body = Problem)))]
pub(crate) async fn put_product(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Query(query): Query<ChangeQuery>,
    Json(request): Json<ProductRequest>,
) -> Result<Response, Problem> {
    let product = NewProduct {
        product_id: request.product_id,
        store: request.store,
        name: request.name,
        entitlements: request.entitlements,
        rank: request.rank,
        group: request.group,
    };
    let changed = hub.put_product(product, query.dry_run).await?;
    let status = if query.dry_run { StatusCode::OK } else { StatusCode::CREATED };
    let body =
        ProductAnswer { product: changed.product, affected_purchases: query.dry_run.then_some(changed.affected) };
    Ok((status, axum::Json(body)).into_response())
}

/// Lists products.
#[utoipa::path(get, path = "/v1/products", tag = "catalogue", responses((status = 200, body = List<ProductAnswer>)))]
pub(crate) async fn products(State(hub): State<Hub>, _: Authorized<Read>) -> axum::Json<List<ProductAnswer>> {
    let catalogue = hub.store().catalogue();
    let rows = catalogue.products.values().cloned();
    axum::Json(List::whole(rows.map(|product| ProductAnswer { product, affected_purchases: None }).collect()))
}

/// One product, by our id or the store's.
#[utoipa::path(get, path = "/v1/products/{id}", tag = "catalogue", params(("id" = String, Path)),
    responses((status = 200, body = ProductAnswer), (status = 404, body = Problem)))]
pub(crate) async fn product(
    State(hub): State<Hub>,
    _: Authorized<Read>,
    Path(id): Path<String>,
) -> Result<axum::Json<ProductAnswer>, Problem> {
    let product = find(&hub, &id)?;
    Ok(axum::Json(ProductAnswer { product, affected_purchases: None }))
}

fn find(hub: &Hub, id: &str) -> Result<Product, Problem> {
    let catalogue = hub.store().catalogue();
    let by_our_id = catalogue.products.values().find(|product| product.id.to_string() == id);
    by_our_id
        .or_else(|| catalogue.products.values().find(|product| product.product_id == id))
        .cloned()
        .ok_or_else(|| Problem::not_found("product"))
}

/// Forgets a product's mapping: it unlocks nothing any more.
#[utoipa::path(delete, path = "/v1/products/{id}", tag = "catalogue", params(("id" = String, Path)),
    responses((status = 204, description = "Forgotten"), (status = 404, body = Problem)))]
pub(crate) async fn delete_product(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let product = find(&hub, &id)?;
    hub.delete_product(&product.product_id, product.store).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An entitlement to name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntitlementRequest {
    /// Its id, chosen by you, e.g. `pro`.
    id: String,
    /// For people.
    #[serde(default)]
    name: Option<String>,
}

/// Names an entitlement, or renames it.
#[utoipa::path(post, path = "/v1/entitlements", tag = "catalogue", request_body = EntitlementRequest,
    responses((status = 201, body = Object), (status = 422, body = Problem)))]
pub(crate) async fn put_entitlement(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Json(request): Json<EntitlementRequest>,
) -> Result<Response, Problem> {
    let made: Entitlement =
        hub.put_entitlement(Entitlement { id: request.id, name: request.name, sku_id: None }).await?;
    Ok((StatusCode::CREATED, axum::Json(made)).into_response())
}

/// An entitlement and what unlocks it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntitlementAnswer {
    /// Its id.
    id: String,
    /// For people.
    name: Option<String>,
    /// Its id in Discord's shape: the SKU of grants of it.
    #[schema(value_type = Option<String>)]
    sku_id: Option<Snowflake>,
    /// The store product ids that unlock it.
    products: Vec<String>,
}

/// Lists entitlements.
#[utoipa::path(get, path = "/v1/entitlements", tag = "catalogue", responses((status = 200, body = List<EntitlementAnswer>)))]
pub(crate) async fn entitlements(State(hub): State<Hub>, _: Authorized<Read>) -> axum::Json<List<EntitlementAnswer>> {
    let catalogue = hub.store().catalogue();
    let rows = catalogue.entitlements.values().map(|entitlement| EntitlementAnswer {
        id: entitlement.id.clone(),
        name: entitlement.name.clone(),
        sku_id: entitlement.sku_id,
        products: catalogue
            .products
            .values()
            .filter(|product| product.entitlements.contains(&entitlement.id))
            .map(|product| product.product_id.clone())
            .collect(),
    });
    axum::Json(List::whole(rows.collect()))
}

/// Forgets an entitlement that no product unlocks.
#[utoipa::path(delete, path = "/v1/entitlements/{id}", tag = "catalogue", params(("id" = String, Path)),
    responses((status = 204, description = "Forgotten"), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn delete_entitlement(
    State(hub): State<Hub>,
    _: Authorized<Write>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    hub.delete_entitlement(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
