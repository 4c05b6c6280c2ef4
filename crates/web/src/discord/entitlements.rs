//! Entitlements and SKUs of "the application". ASSUMPTION: one installation is one application, so whatever id is asked
//! for is its id: a bot keeps the one that it has at Discord.

use super::form::Form;
use super::objects::{DiscordEntitlement, DiscordSku};
use super::refusal::{DiscordError, Refusal};
use super::subscriptions::{Page, purchase};
use super::{Caller, customer_of};
use crate::extract::Path;
use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use paidup_hub::Hub;
use paidup_lifecycle::dialects::discord::{self, EntitlementShape};
use paidup_lifecycle::observation::Store;
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;
use paidup_store::StoreError;
use std::collections::BTreeSet;
use utoipa::IntoParams;

/// Rows on a page when nobody says.
const DEFAULT_LIMIT: usize = 100;
/// How far apart two snowflakes are that are a day apart.
const A_DAY: i64 = 86_400_000 << 22;

/// Which entitlements.
#[derive(IntoParams)]
#[expect(dead_code, reason = "`Form` reads them, because it tells all faults at once; this is their document")]
pub(crate) struct EntitlementQuery {
    /// Only this user's.
    #[param(pattern = "^(0|[1-9][0-9]{0,18})$")]
    user_id: Option<String>,
    /// Only of these SKUs: their ids, joined by commas.
    sku_ids: Option<String>,
    /// Only this server's; no purchase here belongs to a server.
    #[param(pattern = "^(0|[1-9][0-9]{0,18})$")]
    guild_id: Option<String>,
    /// Only ids below it; without `after` the highest of them.
    #[param(pattern = "^(0|[1-9][0-9]{0,18})$")]
    before: Option<String>,
    /// Only ids above it.
    #[param(pattern = "^(0|[1-9][0-9]{0,18})$")]
    after: Option<String>,
    /// Rows on the page, 1 to 100; 100 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Leave out what is over; false when absent.
    exclude_ended: Option<bool>,
    /// Leave out what was refunded or withdrawn; true when absent.
    exclude_deleted: Option<bool>,
    /// Only what gives access now; false when absent.
    only_active: Option<bool>,
}

/// Which entitlements are shown.
struct Filter {
    skus: Option<Vec<Snowflake>>,
    exclude_ended: bool,
    exclude_deleted: bool,
    only_active: bool,
    now: Timestamp,
}

impl Filter {
    fn of(form: &mut Form, now: Timestamp) -> Filter {
        Filter {
            skus: form.snowflakes("sku_ids"),
            exclude_ended: form.boolean("exclude_ended", false),
            exclude_deleted: form.boolean("exclude_deleted", true),
            only_active: form.boolean("only_active", false),
            now,
        }
    }

    fn takes(&self, shape: &EntitlementShape) -> bool {
        self.skus.as_ref().is_none_or(|skus| skus.contains(&shape.sku_id))
            && !(self.exclude_ended && shape.is_ended(self.now))
            && !(self.exclude_deleted && shape.deleted)
            && (!self.only_active || shape.is_active(self.now))
    }
}

/// What customers may use or might have used, in ascending order of ids.
#[utoipa::path(get, path = "/applications/{application_id}/entitlements", tag = "discord", security(("bot" = [])),
    params(("application_id" = String, Path, description = "Any snowflake: one installation is one application", pattern = "^(0|[1-9][0-9]{0,18})$"), EntitlementQuery),
    responses((status = 200, body = Vec<DiscordEntitlement>), (status = 400, body = DiscordError), (status = 401, body = DiscordError),
        (status = 403, body = DiscordError), (status = 429, body = DiscordError)))]
pub(crate) async fn list(
    State(hub): State<Hub>,
    Extension(caller): Extension<Caller>,
    Path(application_id): Path<String>,
    uri: Uri,
) -> Result<Json<Vec<DiscordEntitlement>>, Refusal> {
    caller.must_be_a_bot()?;
    let mut form = Form::of(&uri);
    let application_id = form.in_path("application_id", &application_id);
    let (user_id, guild_id) = (form.snowflake("user_id"), form.snowflake("guild_id"));
    let (after, before, limit) = (form.snowflake("after"), form.snowflake("before"), form.limit(DEFAULT_LIMIT));
    let filter = Filter::of(&mut form, hub.clock().now());
    form.check()?;
    let Some(application_id) = application_id else { return Err(Refusal::plain(StatusCode::BAD_REQUEST)) };
    let customer = match user_id {
        None => None,
        Some(user_id) => match customer_of(&hub, user_id).await? {
            Some(customer) => Some(customer.id),
            None => return Ok(Json(Vec::new())),
        },
    };
    if guild_id.is_some() {
        return Ok(Json(Vec::new()));
    }
    let catalogue = hub.store().catalogue();
    let page = Page { customer, after: after.and_then(below), before: before.and_then(above), limit };
    let found = page
        .collect(&hub, |id, purchase| {
            let shape = discord::entitlement(purchase, &catalogue)?;
            let own = shape.native.unwrap_or(id.twin());
            let is_inside = after.is_none_or(|after| own > after) && before.is_none_or(|before| own < before);
            (is_inside && filter.takes(&shape)).then_some((id, purchase.customer, shape))
        })
        .await?;
    // Discord's own ids are not quite in the order of their purchases'.
    let mut found = found;
    found.sort_by_key(|(id, _, shape)| shape.native.unwrap_or(id.twin()));
    let owners: BTreeSet<_> = found.iter().map(|(_, customer, _)| *customer).collect();
    let users = hub.store().snowflakes_of(owners).await?;
    let shown = found.into_iter().filter_map(|(id, customer, shape)| {
        Some(DiscordEntitlement::new(id, application_id, *users.get(&customer)?, &shape))
    });
    Ok(Json(shown.collect()))
}

/// An entitlement's id is the neighbour of its purchase's, on either side, and Discord's own is made within
/// moments of its subscription's: pages of purchases reach a little further.
fn below(id: Snowflake) -> Option<Snowflake> {
    Snowflake::from_i64(id.as_i64().saturating_sub(A_DAY).max(2) - 2)
}

fn above(id: Snowflake) -> Option<Snowflake> {
    Snowflake::from_i64(id.as_i64().saturating_add(A_DAY))
}

/// One entitlement.
#[utoipa::path(get, path = "/applications/{application_id}/entitlements/{entitlement_id}", tag = "discord", security(("bot" = [])),
    params(("application_id" = String, Path, description = "Any snowflake", pattern = "^(0|[1-9][0-9]{0,18})$"), ("entitlement_id" = String, Path, pattern = "^(0|[1-9][0-9]{0,18})$")),
    responses((status = 200, body = DiscordEntitlement), (status = 400, body = DiscordError), (status = 401, body = DiscordError),
        (status = 403, body = DiscordError), (status = 404, body = DiscordError), (status = 429, body = DiscordError)))]
pub(crate) async fn one(
    State(hub): State<Hub>,
    Extension(caller): Extension<Caller>,
    Path((application_id, entitlement_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<DiscordEntitlement>, Refusal> {
    caller.must_be_a_bot()?;
    let mut form = Form::of(&uri);
    let application_id = form.in_path("application_id", &application_id);
    let entitlement_id = form.in_path("entitlement_id", &entitlement_id);
    form.check()?;
    let (Some(application_id), Some(entitlement_id)) = (application_id, entitlement_id) else {
        return Err(Refusal::plain(StatusCode::BAD_REQUEST));
    };
    let (id, purchase) = holder_of(&hub, entitlement_id).await?.ok_or_else(Refusal::unknown_entitlement)?;
    let users = hub.store().snowflakes_of(BTreeSet::from([purchase.customer])).await?;
    let shape = discord::entitlement(&purchase, &hub.store().catalogue());
    match (shape, users.get(&purchase.customer)) {
        (Some(shape), Some(user)) => Ok(Json(DiscordEntitlement::new(id, application_id, *user, &shape))),
        (Some(_) | None, _) => Err(Refusal::unknown_entitlement()),
    }
}

/// The purchase that has this entitlement: by the neighbour of its own id, or by the id that Discord gave it. Discord's own
/// is made within moments of its subscription's; ASSUMPTION: one that a later plan brought is found in lists only.
async fn holder_of(hub: &Hub, entitlement: Snowflake) -> Result<Option<(Snowflake, Purchase)>, StoreError> {
    let native = |purchase: &Purchase| {
        let told = purchase.facets.entitlement_id.as_ref().filter(|_| purchase.store == Store::Discord);
        told.and_then(|told| Snowflake::native(&told.value))
    };
    if let Some(found) = purchase(hub, entitlement.twin()).await?.filter(|found| native(found).is_none()) {
        return Ok(Some((entitlement.twin(), found)));
    }
    let page = Page { customer: None, after: below(entitlement), before: above(entitlement), limit: 1 };
    let has_it = |id, found: &Purchase| (native(found) == Some(entitlement)).then(|| (id, found.clone()));
    Ok(page.collect(hub, has_it).await?.pop())
}

/// Every product, and every entitlement that can be granted.
#[utoipa::path(get, path = "/applications/{application_id}/skus", tag = "discord", security(("bot" = [])),
    params(("application_id" = String, Path, description = "Any snowflake", pattern = "^(0|[1-9][0-9]{0,18})$")),
    responses((status = 200, body = Vec<DiscordSku>), (status = 400, body = DiscordError), (status = 401, body = DiscordError),
        (status = 403, body = DiscordError), (status = 429, body = DiscordError)))]
pub(crate) async fn skus(
    State(hub): State<Hub>,
    Extension(caller): Extension<Caller>,
    Path(application_id): Path<String>,
    uri: Uri,
) -> Result<Json<Vec<DiscordSku>>, Refusal> {
    caller.must_be_a_bot()?;
    let mut form = Form::of(&uri);
    let application_id = form.in_path("application_id", &application_id);
    form.check()?;
    let Some(application_id) = application_id else { return Err(Refusal::plain(StatusCode::BAD_REQUEST)) };
    let skus = discord::skus(&hub.store().catalogue());
    Ok(Json(skus.into_iter().map(|sku| DiscordSku::new(application_id, sku)).collect()))
}
