//! The purchase as events, the API and the dashboard show it.

use super::state;
use crate::catalogue::Catalogue;
use crate::event::PurchaseView;
use crate::observation::Kind;
use crate::purchase::Purchase;

/// The purchase as it stands, with what the catalogue knows of its product.
#[must_use]
pub fn view(purchase: &Purchase, catalogue: &Catalogue) -> PurchaseView {
    let facets = &purchase.facets;
    let kind = state::kind_of(facets);
    let product_id = state::product_of(purchase);
    let product = product_id.and_then(|id| catalogue.product(purchase.store, id));
    let entitlements = match (product, product_id) {
        (Some(product), _) => product.entitlements.clone(),
        (None, Some(id)) => catalogue.entitlements_of(purchase.store, id).to_vec(),
        (None, None) => Vec::new(),
    };
    let renews = match kind {
        Kind::Subscription => facets.will_renew.as_ref().map(|will_renew| will_renew.value),
        Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing | Kind::Grant | Kind::Temporary => None,
    };
    let first = purchase.first_period.as_ref();
    PurchaseView {
        id: purchase.id,
        store_purchase_id: purchase.key.store_purchase_id.clone(),
        kind,
        product_id: product_id.map(str::to_owned),
        catalogue_id: product.map(|product| product.id),
        product_name: product.and_then(|product| product.name.clone()),
        entitlements,
        period: state::period_of(facets),
        transaction_id: state::current_transaction(facets)
            .and_then(|known| known.store_id.as_ref().map(|store_id| store_id.value.clone())),
        period_type: facets.period_type.as_ref().map(|period_type| period_type.value),
        state: purchase.state,
        will_renew: renews,
        offer: state::offer_of(facets),
        grace_ends_at: state::end_of_grace(facets),
        pause: state::pause_of(facets).map(|(pause, _)| pause),
        pending: state::pending_of(purchase).cloned(),
        extended_until: state::cleared(&facets.extended_until).copied(),
        cancel_reason: state::cancel_reason_of(facets),
        expiration_reason: state::expiration_reason_of(purchase, purchase.state),
        family_shared: facets.family_shared.as_ref().is_some_and(|shared| shared.value),
        country: state::cleared(&facets.country).cloned(),
        original_transaction_id: first.and_then(|first| first.transaction_id.clone()),
        first_purchased_at: first.map(|first| first.starts_at),
        renewal_number: purchase.periods,
        price: state::current_transaction(facets).and_then(state::price_of),
        cancelled_at: state::cancelled_at(purchase),
    }
}
