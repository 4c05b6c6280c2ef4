//! Subscriptions of an SKU, and the pages that entitlements are read by too.

use super::Caller;
use super::form::Form;
use super::objects::DiscordSubscription;
use super::refusal::{DiscordError, Refusal};
use crate::extract::Path;
use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use paidup_hub::Hub;
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::dialects::discord;
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::snowflake::Snowflake;
use paidup_store::StoreError;
use paidup_store::records::SnowflakeQuery;
use std::collections::BTreeSet;
use utoipa::IntoParams;

/// Rows on a page when nobody says.
const DEFAULT_LIMIT: usize = 50;
/// Purchases that are read together.
const BATCH: usize = 200;

/// Which subscriptions.
#[derive(IntoParams)]
#[expect(dead_code, reason = "`Form` reads them, because it tells all faults at once; this is their document")]
pub(crate) struct SubscriptionQuery {
    /// Only ids below it; without `after` the highest of them.
    #[param(pattern = "^(0|[1-9][0-9]{0,18})$")]
    before: Option<String>,
    /// Only ids above it.
    #[param(pattern = "^(0|[1-9][0-9]{0,18})$")]
    after: Option<String>,
    /// Rows on the page, 1 to 100; 50 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Whose: a linked Discord account, or the `discord_user_id` of a customer. Must be given with a key; a user's token
    /// says it by itself.
    #[param(pattern = "^(0|[1-9][0-9]{0,18})$")]
    user_id: Option<String>,
}

/// A customer's subscriptions of a product, of whatever store, in ascending order of their ids.
#[utoipa::path(get, path = "/skus/{sku_id}/subscriptions", tag = "discord", security(("bot" = []), ("user" = [])),
    params(("sku_id" = String, Path, description = "The `sku_id` of a product", pattern = "^(0|[1-9][0-9]{0,18})$"), SubscriptionQuery),
    responses((status = 200, body = Vec<DiscordSubscription>), (status = 400, body = DiscordError), (status = 401, body = DiscordError),
        (status = 403, body = DiscordError), (status = 404, body = DiscordError), (status = 429, body = DiscordError)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    Extension(caller): Extension<Caller>,
    Path(sku_id): Path<String>,
    uri: Uri,
) -> Result<Json<Vec<DiscordSubscription>>, Refusal> {
    let mut form = Form::of(&uri);
    let sku_id = form.in_path("sku_id", &sku_id);
    let (after, before, limit) = (form.snowflake("after"), form.snowflake("before"), form.limit(DEFAULT_LIMIT));
    let user_id = match caller.user {
        None => form.required("user_id"),
        Some(user) => form.snowflake("user_id").or(Some(user)),
    };
    form.check()?;
    let (Some(sku_id), Some(user_id)) = (sku_id, user_id) else {
        return Err(Refusal::plain(StatusCode::BAD_REQUEST));
    };
    let catalogue = hub.store().catalogue();
    if !has_sku(&catalogue, sku_id) {
        return Err(Refusal::unknown_sku());
    }
    let Some(customer) = caller.customer(&hub, user_id).await? else { return Ok(Json(Vec::new())) };
    let page = Page { customer: Some(customer.id), after, before, limit };
    let found = page
        .collect(&hub, |id, purchase| {
            let shape = discord::subscription(purchase, &catalogue).filter(|shape| shape.sku_id == sku_id)?;
            Some((id, shape))
        })
        .await?;
    let user_id = shown_user(&hub, customer.id).await?.unwrap_or(user_id);
    let numbering = hub.config().discord_status_numbering;
    let shown = |(id, shape)| DiscordSubscription::new(id, user_id, shape, numbering, caller.sees_country);
    Ok(Json(found.into_iter().map(shown).collect()))
}

/// Whose.
#[derive(IntoParams)]
#[expect(dead_code, reason = "as above")]
pub(crate) struct OwnerQuery {
    /// Only if it is this user's.
    #[param(pattern = "^(0|[1-9][0-9]{0,18})$")]
    user_id: Option<String>,
}

/// One subscription.
#[utoipa::path(get, path = "/skus/{sku_id}/subscriptions/{subscription_id}", tag = "discord", security(("bot" = []), ("user" = [])),
    params(("sku_id" = String, Path, description = "The `sku_id` of a product", pattern = "^(0|[1-9][0-9]{0,18})$"), ("subscription_id" = String, Path, pattern = "^(0|[1-9][0-9]{0,18})$"), OwnerQuery),
    responses((status = 200, body = DiscordSubscription), (status = 400, body = DiscordError), (status = 401, body = DiscordError),
        (status = 403, body = DiscordError), (status = 404, body = DiscordError), (status = 429, body = DiscordError)))]
pub(crate) async fn one(
    State(hub): State<Hub>,
    Extension(caller): Extension<Caller>,
    Path((sku_id, subscription_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<DiscordSubscription>, Refusal> {
    let mut form = Form::of(&uri);
    let sku_id = form.in_path("sku_id", &sku_id);
    let subscription_id = form.in_path("subscription_id", &subscription_id);
    let user_id = form.snowflake("user_id").or(caller.user);
    form.check()?;
    let (Some(sku_id), Some(subscription_id)) = (sku_id, subscription_id) else {
        return Err(Refusal::plain(StatusCode::BAD_REQUEST));
    };
    let catalogue = hub.store().catalogue();
    if !has_sku(&catalogue, sku_id) {
        return Err(Refusal::unknown_sku());
    }
    let purchase = purchase(&hub, subscription_id).await?.ok_or_else(Refusal::unknown_subscription)?;
    if let Some(user_id) = user_id
        && caller.customer(&hub, user_id).await?.is_none_or(|customer| customer.id != purchase.customer)
    {
        return Err(Refusal::unknown_subscription());
    }
    let shape = discord::subscription(&purchase, &catalogue).filter(|shape| shape.sku_id == sku_id);
    let owner = shown_user(&hub, purchase.customer).await?;
    let (Some(shape), Some(owner)) = (shape, owner) else { return Err(Refusal::unknown_subscription()) };
    let numbering = hub.config().discord_status_numbering;
    Ok(Json(DiscordSubscription::new(subscription_id, owner, shape, numbering, caller.sees_country)))
}

fn has_sku(catalogue: &Catalogue, id: Snowflake) -> bool {
    discord::skus(catalogue).binary_search_by_key(&id, |sku| sku.id).is_ok()
}

/// The `user_id` that a customer is shown as.
async fn shown_user(hub: &Hub, customer: paidup_lifecycle::ids::CustomerId) -> Result<Option<Snowflake>, StoreError> {
    Ok(hub.store().snowflakes_of(BTreeSet::from([customer])).await?.remove(&customer))
}

/// The purchase of that snowflake.
pub(super) async fn purchase(hub: &Hub, id: Snowflake) -> Result<Option<Purchase>, StoreError> {
    let query = SnowflakeQuery {
        customer: None,
        after: Snowflake::from_i64(id.as_i64() - 1),
        before: Snowflake::from_i64(id.as_i64().saturating_add(1)),
        highest: false,
        limit: 1,
    };
    let found = hub.store().purchases_by_snowflake(query).await?;
    Ok(found.into_iter().find(|(found, _)| *found == id).map(|(_, purchase)| purchase))
}

/// A page of purchases. With `before` alone the highest of those below it, else the lowest; always ascending.
pub(super) struct Page {
    pub(super) customer: Option<paidup_lifecycle::ids::CustomerId>,
    pub(super) after: Option<Snowflake>,
    pub(super) before: Option<Snowflake>,
    pub(super) limit: usize,
}

impl Page {
    /// What `wanted` makes of purchases, until the page is full. A short page is the last one: clients stop there, so
    /// purchases are read on until it is full or there are none.
    pub(super) async fn collect<T>(
        self,
        hub: &Hub,
        wanted: impl Fn(Snowflake, &Purchase) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let Page { customer, mut after, mut before, limit } = self;
        let highest = before.is_some() && after.is_none();
        let mut found = Vec::new();
        loop {
            let query = SnowflakeQuery { customer, after, before, highest, limit: BATCH };
            let batch = hub.store().purchases_by_snowflake(query).await?;
            let is_last = batch.len() < BATCH;
            let ends = (batch.first().map(|(id, _)| *id), batch.last().map(|(id, _)| *id));
            let matching = |(id, purchase): &(Snowflake, Purchase)| wanted(*id, purchase);
            let room = limit - found.len();
            match highest {
                true => {
                    before = ends.0;
                    found.extend(batch.iter().rev().filter_map(matching).take(room));
                }
                false => {
                    after = ends.1;
                    found.extend(batch.iter().filter_map(matching).take(room));
                }
            }
            if is_last || found.len() >= limit {
                break;
            }
        }
        if highest {
            found.reverse();
        }
        Ok(found)
    }
}
