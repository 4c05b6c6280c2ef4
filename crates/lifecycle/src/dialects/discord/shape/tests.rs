//! The projection, state by state, for every store.

use super::*;
use crate::catalogue::grant_product_id;
use crate::ids::{CustomerId, ProductId, SourceId};
use crate::observation::{
    Dated, Facets, Origin, Pause, PendingProduct, Period, PurchaseKey, RefundFact, RefundStatus, Stamp,
};
use crate::purchase::FirstPeriod;
use std::time::Duration;

const START: &str = "2026-01-01T00:00:00Z";
const END: &str = "2026-02-01T00:00:00Z";
const CANCELLED: &str = "2026-01-10T00:00:00Z";
const LATER: &str = "2026-02-03T00:00:00Z";
const STORES: [Store; 9] = [
    Store::AppStore,
    Store::MacAppStore,
    Store::PlayStore,
    Store::Amazon,
    Store::Stripe,
    Store::Paddle,
    Store::Discord,
    Store::Promotional,
    Store::External,
];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn dated<T>(value: T, as_of: &str) -> Dated<T> {
    Dated { value, stamp: Stamp { as_of: at(as_of), origin: Origin::Notification, by: "n".into() } }
}

fn sku(number: u8) -> Snowflake {
    Snowflake::mint(at(START), &[number; 16], 0)
}

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (number, id, kind) in [
        (1, "monthly", Kind::Subscription),
        (2, "yearly", Kind::Subscription),
        (3, "coins", Kind::Consumable),
        (4, "lifetime", Kind::NonConsumable),
    ] {
        let product = Product {
            id: ProductId([number; 16]),
            product_id: id.to_owned(),
            store: None,
            name: None,
            entitlements: vec!["pro".to_owned()],
            rank: None,
            group: None,
            sku_id: Some(sku(number)),
            kind: Some(kind),
        };
        catalogue.products.insert((id.to_owned(), None), product);
    }
    let pro = Entitlement { id: "pro".to_owned(), name: Some("Pro".to_owned()), sku_id: Some(sku(9)) };
    catalogue.entitlements.insert("pro".to_owned(), pro);
    catalogue
}

fn key(store_purchase_id: &str) -> PurchaseKey {
    PurchaseKey {
        source_id: SourceId([1; 16]),
        environment: Environment::Production,
        store_purchase_id: store_purchase_id.to_owned(),
    }
}

/// A subscription for one month that renews, changed by `more`.
fn bought(store: Store, more: impl FnOnce(&mut Facets)) -> Purchase {
    let mut purchase = Purchase::new(key("sub-1"), store, CustomerId([2; 16]));
    let period = Period { transaction_id: Some("t-1".to_owned()), starts_at: at(START), ends_at: Some(at(END)) };
    purchase.facets = Facets {
        kind: Some(dated(Kind::Subscription, START)),
        standing: Some(dated(Standing::Active, START)),
        period: Some(dated(period, START)),
        product: Some(dated("monthly".to_owned(), START)),
        will_renew: Some(dated(true, START)),
        country: Some(dated(Some("DE".to_owned()), START)),
        ..Facets::default()
    };
    purchase.first_period = Some(FirstPeriod { starts_at: at(START), transaction_id: None });
    purchase.heard_at = Some(at(LATER));
    more(&mut purchase.facets);
    purchase.state = state::state_of(&purchase);
    purchase
}

fn off(facets: &mut Facets) {
    facets.will_renew = Some(dated(false, CANCELLED));
}

fn standing(value: Standing, as_of: &str) -> impl FnOnce(&mut Facets) {
    move |facets| facets.standing = Some(dated(value, as_of))
}

fn refunded(facets: &mut Facets) {
    let refund = RefundFact { status: RefundStatus::Refunded, amount: None, revokes: Some(true), family: false };
    let facts = facets.transactions.entry("t-1".to_owned()).or_default();
    facts.refunds.insert("0".to_owned(), dated(refund, CANCELLED));
}

/// status, canceled_at, renewal SKU, entitled, the entitlement's end and whether it is deleted; `-`: there is none.
fn row(purchase: &Purchase) -> String {
    let catalogue = catalogue();
    let shape = subscription(purchase, &catalogue).unwrap();
    let time = |time: Option<Timestamp>| time.map_or("-".to_owned(), |time| time.to_string()[..10].to_owned());
    let renewal = match shape.renewal_sku_id {
        None => "-",
        Some(id) if id == sku(1) => "same",
        Some(id) if id == sku(2) => "yearly",
        Some(_) => "other",
    };
    let entitlement = entitlement(purchase, &catalogue);
    let ends = match &entitlement {
        None => "none".to_owned(),
        Some(entitlement) => {
            format!("{}{}", time(entitlement.ends_at), if entitlement.deleted { " deleted" } else { "" })
        }
    };
    format!("{} {} {renewal} {} {ends}", shape.status, time(shape.canceled_at), shape.is_entitled)
}

/// What happened to the subscription.
type Change = fn(&mut Facets);

const ROWS: &[(&str, Change, &str)] = &[
    ("renews", |_| {}, "ACTIVE - same true -"),
    ("nobody said whether it renews", |facets| facets.will_renew = None, "ACTIVE - same true -"),
    ("renewal off, time left", off, "ENDING 2026-01-10 - true -"),
    (
        "another plan is ordered",
        |facets| {
            let pending = PendingProduct { product_id: "yearly".to_owned(), effective_at: None };
            facets.pending = Some(dated(Some(pending), CANCELLED));
        },
        "ACTIVE - yearly true -",
    ),
    (
        "grace",
        |facets| {
            standing(Standing::Grace, END)(facets);
            facets.grace_ends_at = Some(dated(Some(at("2026-02-17T00:00:00Z")), END));
        },
        "ACTIVE - same true -",
    ),
    ("billing retry without grace", standing_retry, "ACTIVE - same false 2026-02-01"),
    (
        "billing retry after grace",
        |facets| {
            standing_retry(facets);
            facets.grace_ends_at = Some(dated(Some(at("2026-02-02T00:00:00Z")), END));
        },
        "ACTIVE - same false 2026-02-02",
    ),
    (
        "paused",
        |facets| {
            facets.pause = Some(dated(Some(Pause { starts_at: None, resumes_at: None }), CANCELLED));
            standing(Standing::Paused, END)(facets);
        },
        "INACTIVE - - false 2026-02-01",
    ),
    ("expired", |facets| standing(Standing::Expired, LATER)(facets), "INACTIVE - - false 2026-02-01"),
    (
        "expired after it was cancelled",
        |facets| {
            off(facets);
            standing(Standing::Expired, LATER)(facets);
        },
        "INACTIVE 2026-01-10 - false 2026-02-01",
    ),
    (
        "ended early",
        |facets| standing(Standing::Expired, "2026-01-20T00:00:00Z")(facets),
        "INACTIVE - - false 2026-01-20",
    ),
    ("refunded", refunded, "INACTIVE 2026-01-10 - false 2026-01-10 deleted"),
    (
        "refunded after it was cancelled",
        |facets| {
            facets.will_renew = Some(dated(false, "2026-01-05T00:00:00Z"));
            refunded(facets);
        },
        "INACTIVE 2026-01-05 - false 2026-01-10 deleted",
    ),
    (
        "withdrawn",
        |facets| standing(Standing::Revoked, "2026-01-15T00:00:00Z")(facets),
        "INACTIVE 2026-01-15 - false 2026-01-15 deleted",
    ),
    ("first payment open", |facets| standing(Standing::Pending, START)(facets), "INACTIVE - same false none"),
];

#[test]
fn every_state_of_every_store_has_its_row() {
    for store in STORES {
        for (name, change, expected) in ROWS {
            assert_eq!(row(&bought(store, change)), *expected, "{store}: {name}");
        }
    }
}

fn standing_retry(facets: &mut Facets) {
    standing(Standing::BillingRetry, LATER)(facets);
}

#[test]
fn periods_are_told_as_they_are_known() {
    let catalogue = catalogue();
    let shown = |change: fn(&mut Facets)| {
        let shape = subscription(&bought(Store::Stripe, change), &catalogue).unwrap();
        (shape.period_starts_at.to_string(), shape.period_ends_at.to_string())
    };
    let of = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(shown(|_| {}), of(START, END));
    assert_eq!(shown(|facets| facets.extended_until = Some(dated(Some(at(LATER)), END))), of(START, LATER));
    let endless = shown(|facets| {
        if let Some(period) = &mut facets.period {
            period.value.ends_at = None;
        }
    });
    assert_eq!(endless, of(START, &Timestamp::MAX.to_string()));
    let mut open = bought(Store::Stripe, |facets| {
        facets.period = None;
        facets.standing = Some(dated(Standing::Pending, CANCELLED));
    });
    open.first_period = None;
    let shape = subscription(&open, &catalogue).unwrap();
    assert_eq!((shape.period_starts_at, shape.period_ends_at), (at(CANCELLED), at(CANCELLED)));
}

#[test]
fn what_is_bought_once_or_given_is_an_entitlement_alone() {
    let catalogue = catalogue();
    let once = |product: &str, kind: Kind, environment: Environment, ends_at: Option<&str>| {
        let mut purchase = bought(Store::PlayStore, |facets| {
            facets.kind = Some(dated(kind, START));
            facets.product = Some(dated(product.to_owned(), START));
            if let Some(period) = &mut facets.period {
                period.value.ends_at = ends_at.map(at);
            }
        });
        purchase.key.environment = environment;
        assert_eq!(subscription(&purchase, &catalogue), None, "{product}");
        let shape = entitlement(&purchase, &catalogue).unwrap();
        assert_eq!(shape.starts_at, at(START), "{product}");
        assert!(!shape.of_subscription, "{product}");
        (shape.sku_id, shape.entitlement_type.number(), shape.ends_at, shape.is_consumable)
    };
    use Environment::{Production, Sandbox};
    assert_eq!(once("lifetime", Kind::NonConsumable, Production, None), (sku(4), 1, None, false));
    assert_eq!(once("coins", Kind::Consumable, Production, None), (sku(3), 1, None, true));
    assert_eq!(once("lifetime", Kind::NonRenewing, Production, Some(END)), (sku(4), 1, Some(at(END)), false));
    assert_eq!(once("lifetime", Kind::NonConsumable, Sandbox, None), (sku(4), 4, None, false));
    let product = grant_product_id("pro", "custom");
    assert_eq!(once(&product, Kind::Grant, Production, Some(END)), (sku(9), 3, Some(at(END)), false));
    let subscribed = entitlement(&bought(Store::AppStore, |_| {}), &catalogue).unwrap();
    assert_eq!((subscribed.entitlement_type.number(), subscribed.of_subscription), (8, true));
}

#[test]
fn ended_and_active_are_judged_by_the_moment() {
    let catalogue = catalogue();
    let shape = entitlement(&bought(Store::AppStore, standing(Standing::Expired, LATER)), &catalogue).unwrap();
    let end = at(END);
    for (name, now, ended, active) in [
        ("before it began", at("2025-12-31T00:00:00Z"), false, false),
        ("while it ran", end.minus(Duration::from_millis(1)), false, true),
        ("at its end", end, true, false),
    ] {
        assert_eq!((shape.is_ended(now), shape.is_active(now)), (ended, active), "{name}");
    }
    let gone = entitlement(&bought(Store::AppStore, refunded), &catalogue).unwrap();
    assert!(!gone.is_active(at(START)));
}

#[test]
fn a_product_that_nobody_knows_has_no_shape() {
    let purchase = bought(Store::AppStore, |facets| facets.product = Some(dated("unknown".to_owned(), START)));
    assert_eq!(subscription(&purchase, &catalogue()), None);
    assert_eq!(entitlement(&purchase, &catalogue()), None);
    assert_eq!(subscription(&bought(Store::AppStore, |facets| facets.product = None), &catalogue()), None);
}

#[test]
fn ids_are_minted_from_the_start_and_discords_own_are_kept() {
    const NATIVE: &str = "1278078770116427839";
    for store in STORES {
        let minted = bought(store, |_| {});
        assert_eq!(snowflake(&minted, 0).unwrap().time(), at(START), "{store}");
        let mut native = bought(store, |_| {});
        native.key = key(NATIVE);
        let kept = snowflake(&native, 0).unwrap().to_string() == NATIVE;
        assert_eq!(kept, store == Store::Discord, "{store}");
        assert_ne!(snowflake(&native, 1).unwrap().to_string(), NATIVE, "{store}: one that is taken is not tried again");
    }
    let nothing = Purchase::new(key("x"), Store::Stripe, CustomerId([2; 16]));
    assert_eq!(snowflake(&nothing, 0), None);
}

#[test]
fn skus_are_the_products_and_what_can_be_given() {
    let shown: Vec<(Snowflake, u8, String)> =
        skus(&catalogue()).into_iter().map(|sku| (sku.id, sku.sku_type.number(), sku.name)).collect();
    let mut expected = vec![
        (sku(1), 5, "monthly".to_owned()),
        (sku(2), 5, "yearly".to_owned()),
        (sku(3), 3, "coins".to_owned()),
        (sku(4), 2, "lifetime".to_owned()),
        (sku(9), 2, "Pro".to_owned()),
    ];
    expected.sort();
    assert_eq!(shown, expected);
    assert_eq!((SkuType::Subscription.flags(), SkuType::Durable.flags()), (260, 4));
}
