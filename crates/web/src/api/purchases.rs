//! Whose a purchase is: claims by an app's own backend, and moves by operators.

use super::customers::{ActiveEntitlement, active};
use super::lookups::LookupAnswer;
use crate::auth::{Authorized, Write};
use crate::extract::{Json, Path, Query};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use paidup_hub::Hub;
use paidup_hub::claims::{ClaimAnswer, Restored};
use paidup_lifecycle::ids::{ClaimId, CustomerId, PurchaseId, SourceId};
use paidup_lifecycle::observation::{Environment, Store};
use paidup_lifecycle::purchase::{Purchase, State as PurchaseState};
use paidup_sources::Claim;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What a customer bought, with the proof of the store that sold it. Which fields a source takes depends on its type.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimRequest {
    /// The source of that store.
    source_id: String,
    /// App Store: a transaction as StoreKit gives it, signed by Apple.
    #[serde(default)]
    signed_transaction: Option<String>,
    /// Play Store: the token, with `product_id`.
    #[serde(default)]
    purchase_token: Option<String>,
    /// What was bought, in the store's words. May stand beside every proof.
    #[serde(default)]
    product_id: Option<String>,
    /// Amazon: the receipt, with `user_id`.
    #[serde(default)]
    receipt_id: Option<String>,
    /// Amazon: the buyer's id there.
    #[serde(default)]
    user_id: Option<String>,
    /// Stripe, Discord: the subscription; generic: the `purchase_id`.
    #[serde(default)]
    subscription_id: Option<String>,
}

impl ClaimRequest {
    fn read(self) -> Result<(SourceId, Claim), Problem> {
        let ClaimRequest {
            source_id,
            signed_transaction,
            purchase_token,
            product_id,
            receipt_id,
            user_id,
            subscription_id,
        } = self;
        let source_id =
            source_id.parse().map_err(|_| Problem::invalid("/source_id", "there is no such source: not an id"))?;
        let claim = Claim { signed_transaction, purchase_token, product_id, receipt_id, user_id, subscription_id };
        Ok((source_id, claim))
    }
}

/// Which entitlements the answer shows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimQuery {
    /// PRODUCTION or SANDBOX; absent: that of the purchase.
    environment: Option<String>,
}

/// A purchase that was claimed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClaimedPurchase {
    /// Our id.
    #[schema(value_type = String)]
    id: PurchaseId,
    /// `bound`, `already_theirs`, `transferred`, `kept_with_original` or `shared`.
    #[schema(value_type = String)]
    outcome: Restored,
    /// PRODUCTION or SANDBOX.
    #[schema(value_type = String)]
    environment: Environment,
    /// Which store.
    #[schema(value_type = String)]
    store: Store,
    /// The store's lasting id.
    store_purchase_id: String,
    /// The store's product id.
    product_id: Option<String>,
    /// Lifecycle state.
    #[schema(value_type = String)]
    state: PurchaseState,
}

/// What is still awaited.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PendingClaim {
    /// The claim. Sending the same again answers how it stands.
    #[schema(value_type = String)]
    claim_id: ClaimId,
    /// What the store is being asked; the answer binds the purchase, whenever it comes.
    lookups: Vec<LookupAnswer>,
    /// The source cannot ask its store: the store's own notification is awaited.
    waits_for_notification: bool,
    /// The temporary entitlement that the customer has meanwhile, as the purchase that it is; null: none.
    #[schema(value_type = Option<String>)]
    temporary_purchase_id: Option<PurchaseId>,
}

/// What a claim came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClaimResult {
    /// Our id of the customer; null while nobody knows the customer.
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    /// Active entitlements, by id.
    active: Vec<String>,
    /// The same with what gives them.
    entitlements: Vec<ActiveEntitlement>,
    /// What became of each purchase.
    purchases: Vec<ClaimedPurchase>,
    /// What is still awaited; absent: all is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<PendingClaim>,
}

/// Binds a purchase to a customer, on the word of an app's own backend. The customer is made if unknown. The same claim may
/// be sent again. 202: the store has not answered yet; its answer binds the purchase when it comes.
#[utoipa::path(post, path = "/v1/customers/{id}/purchases", tag = "customers",
    params(("id" = String, Path, description = "Our id or any alias"), ClaimQuery), request_body = ClaimRequest,
    responses((status = 200, body = ClaimResult), (status = 202, body = ClaimResult), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn claim(
    State(hub): State<Hub>,
    Authorized(caller, _): Authorized<Write>,
    Path(id): Path<String>,
    Query(query): Query<ClaimQuery>,
    Json(request): Json<ClaimRequest>,
) -> Result<Response, Problem> {
    let wished: Option<Environment> = super::events::word("environment", query.environment.as_deref())?;
    let (source_id, claim) = request.read()?;
    let answer = hub.on_behalf_of(&caller).claim_purchase(&id, source_id, &claim).await?;
    let status = if answer.pending.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    let result = result(&hub, &id, wished, answer).await?;
    Ok((status, axum::Json(result)).into_response())
}

async fn result(
    hub: &Hub,
    customer: &str,
    wished: Option<Environment>,
    answer: ClaimAnswer,
) -> Result<ClaimResult, Problem> {
    let mut claimed = answer.purchases.iter().map(|(purchase, _)| purchase.key.environment);
    let only_tests = claimed.len() > 0 && claimed.all(|environment| environment == Environment::Sandbox);
    let environment = wished.unwrap_or(if only_tests { Environment::Sandbox } else { Environment::Production });
    let customer = hub.store().customer(customer).await?;
    let customer = customer.as_ref();
    Ok(ClaimResult {
        customer_id: customer.map(|customer| customer.id),
        active: customer.map(|customer| customer.active_entitlements(environment)).unwrap_or_default(),
        entitlements: customer.map(|customer| active(customer, Some(environment))).unwrap_or_default(),
        purchases: answer
            .purchases
            .into_iter()
            .map(|(purchase, outcome)| claimed_purchase(purchase, outcome))
            .collect(),
        pending: answer.pending.map(|pending| PendingClaim {
            claim_id: pending.id,
            lookups: pending.lookups.into_iter().map(LookupAnswer::from).collect(),
            waits_for_notification: pending.notification,
            temporary_purchase_id: pending.temporary,
        }),
    })
}

fn claimed_purchase(purchase: Purchase, outcome: Restored) -> ClaimedPurchase {
    ClaimedPurchase {
        id: purchase.id,
        outcome,
        environment: purchase.key.environment,
        store: purchase.store,
        product_id: purchase.facets.product.map(|product| product.value),
        state: purchase.state,
        store_purchase_id: purchase.key.store_purchase_id,
    }
}

/// Purchases to be moved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferRequest {
    /// Any id of the customer who gets them, who is made if unknown.
    to: String,
    /// Which; absent: all that the customer has.
    #[serde(default)]
    purchases: Option<Vec<String>>,
}

/// What was moved.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransferResult {
    /// Our id of the customer who had them.
    #[schema(value_type = String)]
    from: CustomerId,
    /// Our id of the customer who has them now.
    #[schema(value_type = String)]
    to: CustomerId,
    /// Which.
    #[schema(value_type = Vec<String>)]
    purchases: Vec<PurchaseId>,
}

/// Gives purchases of one customer to another, whatever the restore policy says; both are told. Money goes with its purchase.
#[utoipa::path(post, path = "/v1/customers/{id}/transfer", tag = "customers", params(("id" = String, Path, description = "Our id or any alias")),
    request_body = TransferRequest,
    responses((status = 200, body = TransferResult), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn transfer(
    State(hub): State<Hub>,
    Authorized(caller, _): Authorized<Write>,
    Path(id): Path<String>,
    Json(request): Json<TransferRequest>,
) -> Result<axum::Json<TransferResult>, Problem> {
    let named = request.purchases.map(|list| {
        let one = |(place, id): (usize, String)| {
            id.parse()
                .map_err(|_| Problem::invalid(format!("/purchases/{place}"), "not the id of a purchase (pur_...)"))
        };
        list.into_iter().enumerate().map(one).collect::<Result<Vec<PurchaseId>, Problem>>()
    });
    let moved = hub.on_behalf_of(&caller).transfer_purchases(&id, &request.to, named.transpose()?).await?;
    Ok(axum::Json(TransferResult { from: moved.from, to: moved.to, purchases: moved.purchases }))
}
