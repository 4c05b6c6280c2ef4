//! The App Store's column: notifications that are signed as Apple signs them.

use super::world::{Column, FROM, World};
use crate::support::at;
use paidup_simulator::stores::app_store::AppStore;
use paidup_simulator::stores::app_store::wire::{App, Notification, Renewal, Transaction};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const COLUMN: Column = Column { store: "APP_STORE", products: "" };

const OWNER: &str = "7e3fb20b-4cdb-47cc-936d-99d65f608138";
const OTHER_OWNER: &str = "c0ffee00-4cdb-47cc-936d-99d65f608138";
/// Where the months of the subscription meet.
const MONTHS: [&str; 4] =
    ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"];

mod webhook {
    use super::*;
    use crate::matrix::{cells, world::Outlet};

    cells! { Outlet::Webhook, play;
        test: tested(), "TEST" => ["TEST"];
        initial_purchase: bought(), "SUBSCRIPTION_STARTED" => ["INITIAL_PURCHASE"];
        initial_purchase_of_a_trial: trial(), "TRIAL_STARTED" => ["INITIAL_PURCHASE"];
        renewal: renewed(bought()), "SUBSCRIPTION_RENEWED" => ["INITIAL_PURCHASE", "RENEWAL"];
        cancellation: cancelled(bought()), "RENEWAL_DISABLED" => ["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE"];
        uncancellation: uncancelled(), "RENEWAL_ENABLED" => ["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE", "UNCANCELLATION"];
        non_renewing_purchase: bought_once(), "ONE_TIME_PURCHASED" => ["NON_RENEWING_PURCHASE"];
        subscription_paused_is_never_told: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        expiration: expired(), "SUBSCRIPTION_TERMINATED" => ["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE", "EXPIRATION/UNSUBSCRIBE"];
        billing_issue: failed(bought()), "GRACE_PERIOD_STARTED" => ["INITIAL_PURCHASE", "BILLING_ISSUE", "CANCELLATION/BILLING_ERROR"];
        product_change: upgraded(), "SUBSCRIPTION_UPGRADED" => ["INITIAL_PURCHASE", "PRODUCT_CHANGE", "RENEWAL"];
        product_change_that_is_announced: announced(), "PLAN_CHANGE_SCHEDULED" => ["INITIAL_PURCHASE", "PRODUCT_CHANGE"];
        transfer: handed_over(), "SUBSCRIPTION_RECEIVED" => ["INITIAL_PURCHASE", "TRANSFER"];
        subscription_extended: extended(), "SUBSCRIPTION_DEFERRED" => ["INITIAL_PURCHASE", "SUBSCRIPTION_EXTENDED"];
        refund_reversed: refund_reversed_life(), "REFUND_REVERSED" =>
            ["INITIAL_PURCHASE", "CANCELLATION/CUSTOMER_SUPPORT", "EXPIRATION/CUSTOMER_SUPPORT", "REFUND_REVERSED"];
        invoice_issuance_is_never_told: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        // Not on the page: types that it has had since, and what a row's event comes from besides.
        price_increase_consent_required: raised(0), "PRICE_INCREASE_PENDING" =>
            ["INITIAL_PURCHASE", "PRICE_INCREASE_CONSENT_REQUIRED"];
        price_increase_consent_approved: raised(1), "PRICE_INCREASE_ACCEPTED" =>
            ["INITIAL_PURCHASE", "PRICE_INCREASE_CONSENT_APPROVED"];
        cancellation_and_expiration_of_a_family_share: no_longer_shared(), "FAMILY_SHARED_REVOKED" =>
            ["INITIAL_PURCHASE", "CANCELLATION/UNKNOWN", "EXPIRATION/UNKNOWN"];
        initial_purchase_with_an_offer_code: with_code(), "PROMO_CODE_STARTED" => ["INITIAL_PURCHASE"];
        cancellation_of_a_one_time_purchase: refunded_once(), "ONE_TIME_REFUNDED" =>
            ["NON_RENEWING_PURCHASE", "CANCELLATION/CUSTOMER_SUPPORT"];
        // What StoreKit gives proves itself, so nobody has to be asked about a claim, and nothing is given meanwhile.
        temporary_entitlement_grant_is_never_needed: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        // The page has these for the App Store, but they are about services of RevenueCat's own (currencies and experiments), of
        // which Apple tells nothing.
        virtual_currency_transaction_is_revenuecats_own: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        experiment_enrollment_is_revenuecats_own: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
    }
}

mod discord {
    use super::*;
    use crate::matrix::{cells, world::Outlet};

    cells! { Outlet::Discord, play;
        initial_purchase: bought(), "SUBSCRIPTION_STARTED" => ["Initial Purchase"];
        trial_started: trial(), "TRIAL_STARTED" => ["Trial Started"];
        trial_converted: renewed(trial()), "TRIAL_CONVERTED" => ["Trial Started", "Trial Converted"];
        trial_cancelled: cancelled(trial()), "RENEWAL_DISABLED" => ["Trial Started", "Trial Cancelled"];
        renewal: renewed(bought()), "SUBSCRIPTION_RENEWED" => ["Initial Purchase", "Renewal"];
        cancellation: cancelled(bought()), "RENEWAL_DISABLED" => ["Initial Purchase", "Cancellation"];
        non_subscription_purchase: bought_once(), "ONE_TIME_PURCHASED" => ["Non Subscription Purchase"];
        expiration_is_never_told: expired(), "SUBSCRIPTION_TERMINATED" => ["Initial Purchase", "Cancellation"];
        billing_issue: failed(bought()), "GRACE_PERIOD_STARTED" => ["Initial Purchase", "Billing Issue", "Cancellation"];
        product_change: upgraded(), "SUBSCRIPTION_UPGRADED" => ["Initial Purchase", "Product Change", "Renewal"];
    }
}

mod intercom {
    use super::*;
    use crate::matrix::{cells, world::Outlet};

    const BOUGHT: &str = "rc_initial_purchase_event";
    const TRIED: &str = "rc_trial_started_event";
    const CANCELLED: &str = "rc_cancellation_event";

    cells! { Outlet::Intercom, play;
        initial_purchase: bought(), "SUBSCRIPTION_STARTED" => [BOUGHT];
        trial_started: trial(), "TRIAL_STARTED" => [TRIED];
        trial_converted: renewed(trial()), "TRIAL_CONVERTED" => [TRIED, "rc_trial_converted_event"];
        trial_cancelled: cancelled(trial()), "RENEWAL_DISABLED" => [TRIED, "rc_trial_cancelled_event"];
        renewal: renewed(bought()), "SUBSCRIPTION_RENEWED" => [BOUGHT, "rc_renewal_event"];
        cancellation: cancelled(bought()), "RENEWAL_DISABLED" => [BOUGHT, CANCELLED];
        non_subscription_purchase: bought_once(), "ONE_TIME_PURCHASED" => ["rc_non_subscription_purchase_event"];
        expiration: expired(), "SUBSCRIPTION_TERMINATED" => [BOUGHT, CANCELLED, "rc_expiration_event"];
        billing_issue: failed(bought()), "GRACE_PERIOD_STARTED" => [BOUGHT, "rc_billing_issue_event", CANCELLED];
        product_change: upgraded(), "SUBSCRIPTION_UPGRADED" => [BOUGHT, "rc_product_change_event", "rc_renewal_event"];
    }
}

/// What a store says, one after another.
type Story = Vec<Said>;

enum Said {
    About(Box<Notification>),
    /// The button in App Store Connect.
    Test(&'static str),
}

/// Sends a story, each notification a moment before Apple's date on it: stores renew ahead of time, and a date that has
/// passed already would be decided on by the hub's own clock.
async fn play(world: &World, story: Story) {
    let app = App { bundle_id: "com.example.app".into(), app_apple_id: 1_234_567_890, environment: "Production" };
    let store = AppStore::new(app).expect("a store");
    let config =
        json!({"bundle_id": "com.example.app", "app_apple_id": 1_234_567_890, "root_certificates": [store.root_pem()]});
    let source = world.hub.source("app_store", config).await;
    for said in story {
        let (signed_at, body) = match said {
            Said::About(notification) => (notification.signed_date, store.body(&notification)),
            Said::Test(signed_at) => (at(signed_at).as_millis(), store.test_body("test", at(signed_at).as_millis())),
        };
        world.pass_until(at(FROM).plus(ahead(signed_at))).await;
        world.hub.ingest(&source, &body.expect("signed")).await.expect(200);
    }
}

/// From the beginning of the story to half a minute before that moment.
fn ahead(signed_at: i64) -> Duration {
    let since = u64::try_from(signed_at - at(FROM).as_millis()).expect("after the beginning");
    Duration::from_millis(since).saturating_sub(Duration::from_secs(30))
}

// What Apple signs.

fn transaction(id: u32, product_id: &'static str, from: &str, to: &str) -> Transaction {
    let first = "700000";
    Transaction {
        transaction_id: (700_000 + id).to_string().into(),
        original_transaction_id: first.into(),
        web_order_line_item_id: None,
        bundle_id: "com.example.app".into(),
        product_id,
        subscription_group_identifier: Some("21000001"),
        purchase_date: at(from).as_millis(),
        original_purchase_date: at(FROM).as_millis(),
        expires_date: Some(at(to).as_millis()),
        quantity: 1,
        kind: "Auto-Renewable Subscription",
        app_account_token: Some(OWNER.into()),
        in_app_ownership_type: "PURCHASED",
        signed_date: 0,
        revocation_reason: None,
        revocation_date: None,
        revocation_type: None,
        revocation_percentage: None,
        offer_type: None,
        offer_identifier: None,
        environment: "Production",
        transaction_reason: if id == 0 { "PURCHASE" } else { "RENEWAL" },
        storefront: "USA",
        storefront_id: "143441",
        price: 9990,
        currency: "USD",
        offer_discount_type: None,
        app_transaction_id: "700000000000000001".into(),
        offer_period: None,
    }
}

/// A month of the subscription; 0 is the first.
fn month(number: u32) -> Transaction {
    let place = usize::try_from(number).expect("a month");
    transaction(number, "pro_monthly", MONTHS[place], MONTHS[place + 1])
}

fn free_month() -> Transaction {
    Transaction { price: 0, offer_type: Some(1), offer_discount_type: Some("FREE_TRIAL"), ..month(0) }
}

fn renewal(of: &Transaction) -> Renewal {
    Renewal {
        expiration_intent: None,
        original_transaction_id: of.original_transaction_id.clone(),
        auto_renew_product_id: of.product_id,
        product_id: of.product_id,
        auto_renew_status: 1,
        is_in_billing_retry_period: Some(false),
        price_increase_status: None,
        grace_period_expires_date: None,
        renewal_price: Some(9990),
        currency: Some("USD"),
        signed_date: of.signed_date,
        environment: "Production",
        recent_subscription_start_date: of.original_purchase_date,
        renewal_date: of.expires_date.unwrap_or_default(),
        app_account_token: of.app_account_token.clone(),
        app_transaction_id: of.app_transaction_id.clone(),
    }
}

/// A notification about a subscription that will renew. `what` is its type and subtype.
fn said(what: (&'static str, Option<&'static str>), status: u8, signed_at: &str, about: Transaction) -> Notification {
    let signed_date = at(signed_at).as_millis();
    let transaction = Transaction { signed_date, ..about };
    Notification {
        kind: what.0,
        subtype: what.1,
        uuid: format!("{}-{signed_at}", what.0),
        signed_date,
        status: Some(status),
        renewal: Some(renewal(&transaction)),
        transaction,
        consumption_request_reason: None,
    }
}

/// The same, with something else in the renewal info.
fn but(mut notification: Notification, change: impl FnOnce(&mut Renewal)) -> Notification {
    if let Some(renewal) = &mut notification.renewal {
        change(renewal);
    }
    notification
}

fn then(mut story: Story, next: Notification) -> Story {
    story.push(Said::About(Box::new(next)));
    story
}

/// The transaction that the story speaks of last.
fn last(story: &Story) -> Transaction {
    match story.last() {
        Some(Said::About(notification)) => notification.transaction.clone(),
        Some(Said::Test(_)) | None => panic!("the story is of no transaction"),
    }
}

// The stories.

fn tested() -> Story {
    vec![Said::Test("2026-01-01T00:01:00Z")]
}

fn bought() -> Story {
    then(Vec::new(), said(("SUBSCRIBED", Some("INITIAL_BUY")), 1, "2026-01-01T00:01:00Z", month(0)))
}

fn trial() -> Story {
    then(Vec::new(), said(("SUBSCRIBED", Some("INITIAL_BUY")), 1, "2026-01-01T00:01:00Z", free_month()))
}

fn renewed(story: Story) -> Story {
    then(story, said(("DID_RENEW", None), 1, "2026-01-31T23:50:00Z", month(1)))
}

fn turned_off(story: Story, signed_at: &str) -> Story {
    let about = last(&story);
    let off = said(("DID_CHANGE_RENEWAL_STATUS", Some("AUTO_RENEW_DISABLED")), 1, signed_at, about);
    then(story, but(off, |renewal| (renewal.auto_renew_status, renewal.renewal_price) = (0, None)))
}

fn cancelled(story: Story) -> Story {
    turned_off(story, "2026-01-10T00:00:00Z")
}

fn uncancelled() -> Story {
    let on = ("DID_CHANGE_RENEWAL_STATUS", Some("AUTO_RENEW_ENABLED"));
    then(cancelled(bought()), said(on, 1, "2026-01-12T00:00:00Z", month(0)))
}

fn ended(story: Story, signed_at: &str) -> Story {
    let about = last(&story);
    let over = said(("EXPIRED", Some("VOLUNTARY")), 2, signed_at, about);
    let why = |renewal: &mut Renewal| {
        (renewal.auto_renew_status, renewal.expiration_intent, renewal.renewal_price) = (0, Some(1), None);
    };
    then(story, but(over, why))
}

fn expired() -> Story {
    ended(cancelled(bought()), "2026-02-01T00:00:20Z")
}

/// The charge for the month after fails; access stays for 16 days.
fn failing(story: Story, signed_at: &str, grace_ends_at: &str) -> Story {
    let about = last(&story);
    let failed = said(("DID_FAIL_TO_RENEW", Some("GRACE_PERIOD")), 4, signed_at, about);
    let why = |renewal: &mut Renewal| {
        renewal.is_in_billing_retry_period = Some(true);
        renewal.grace_period_expires_date = Some(at(grace_ends_at).as_millis());
    };
    then(story, but(failed, why))
}

fn failed(story: Story) -> Story {
    failing(story, "2026-01-31T23:50:00Z", "2026-02-17T00:00:00Z")
}

fn upgraded() -> Story {
    let year = transaction(100, "pro_yearly", "2026-01-15T00:00:00Z", "2027-01-15T00:00:00Z");
    let year = Transaction { transaction_reason: "PURCHASE", price: 79_990, ..year };
    then(bought(), said(("DID_CHANGE_RENEWAL_PREF", Some("UPGRADE")), 1, "2026-01-15T00:00:10Z", year))
}

fn announced() -> Story {
    let later = said(("DID_CHANGE_RENEWAL_PREF", Some("DOWNGRADE")), 1, "2026-01-15T00:00:10Z", month(0));
    then(bought(), but(later, |renewal| renewal.auto_renew_product_id = "pro_yearly"))
}

/// The app signs the subscription over to another of its users.
fn handing_over(story: Story, signed_at: &str) -> Story {
    let about = Transaction { app_account_token: Some(Arc::from(OTHER_OWNER)), ..last(&story) };
    then(story, said(("DID_CHANGE_RENEWAL_PREF", None), 1, signed_at, about))
}

fn handed_over() -> Story {
    handing_over(bought(), "2026-01-20T00:00:00Z")
}

fn extending(story: Story, signed_at: &str, to: &str) -> Story {
    let about = Transaction { expires_date: Some(at(to).as_millis()), ..last(&story) };
    then(story, said(("RENEWAL_EXTENDED", None), 1, signed_at, about))
}

fn extended() -> Story {
    extending(bought(), "2026-01-20T00:00:00Z", "2026-02-08T00:00:00Z")
}

fn refunded(story: Story, signed_at: &str) -> Story {
    let about = Transaction {
        revocation_reason: Some(0),
        revocation_date: Some(at(signed_at).as_millis()),
        revocation_type: Some("REFUND_FULL"),
        ..last(&story)
    };
    then(story, said(("REFUND", None), 5, signed_at, about))
}

fn undone(story: Story, signed_at: &str) -> Story {
    let about = Transaction { revocation_reason: None, revocation_date: None, revocation_type: None, ..last(&story) };
    then(story, said(("REFUND_REVERSED", None), 1, signed_at, about))
}

fn refund_reversed_life() -> Story {
    undone(refunded(bought(), "2026-01-05T00:00:00Z"), "2026-01-07T00:00:00Z")
}

fn bought_once() -> Story {
    let kept = Transaction {
        original_transaction_id: "700500".into(),
        subscription_group_identifier: None,
        expires_date: None,
        kind: "Non-Consumable",
        transaction_reason: "PURCHASE",
        ..transaction(500, "theme_pack", FROM, FROM)
    };
    let bought = said(("ONE_TIME_CHARGE", None), 1, "2026-01-01T00:01:00Z", kept);
    then(Vec::new(), Notification { status: None, renewal: None, ..bought })
}

/// The price will rise; 0: the customer has not agreed yet, 1: has agreed.
fn raised(consent: u8) -> Story {
    let subtype = if consent == 0 { "PENDING" } else { "ACCEPTED" };
    let told = said(("PRICE_INCREASE", Some(subtype)), 1, "2026-01-20T00:00:00Z", month(0));
    let higher = |renewal: &mut Renewal| {
        (renewal.price_increase_status, renewal.renewal_price) = (Some(consent), Some(12_990));
    };
    then(bought(), but(told, higher))
}

/// Whoever bought it shares it with the family, and then no longer.
fn no_longer_shared() -> Story {
    let shared = || Transaction { in_app_ownership_type: "FAMILY_SHARED", ..month(0) };
    let began = said(("SUBSCRIBED", Some("INITIAL_BUY")), 1, "2026-01-01T00:01:00Z", shared());
    let signed_at = "2026-01-20T00:00:00Z";
    let revocation_date = Some(at(signed_at).as_millis());
    let about = Transaction { revocation_date, revocation_type: Some("FAMILY_REVOKE"), ..shared() };
    then(then(Vec::new(), began), said(("REVOKE", None), 5, signed_at, about))
}

fn with_code() -> Story {
    let cheap = Transaction {
        price: 990,
        offer_type: Some(3),
        offer_identifier: Some("SPRING"),
        offer_discount_type: Some("PAY_AS_YOU_GO"),
        ..month(0)
    };
    then(Vec::new(), said(("SUBSCRIBED", Some("INITIAL_BUY")), 1, "2026-01-01T00:01:00Z", cheap))
}

fn refunded_once() -> Story {
    let story = bought_once();
    let signed_at = "2026-01-05T00:00:00Z";
    let about = Transaction {
        revocation_date: Some(at(signed_at).as_millis()),
        revocation_type: Some("REFUND_FULL"),
        ..last(&story)
    };
    let told = said(("REFUND", None), 1, signed_at, about);
    then(story, Notification { status: None, renewal: None, ..told })
}

/// All that can happen to one subscription.
fn whole_life() -> Story {
    let life = failing(renewed(uncancelled()), "2026-02-28T23:50:00Z", "2026-03-17T00:00:00Z");
    let life = then(life, said(("DID_RENEW", Some("BILLING_RECOVERY")), 1, "2026-03-03T00:00:00Z", month(2)));
    let life = extending(life, "2026-03-10T00:00:00Z", "2026-04-08T00:00:00Z");
    let life = undone(refunded(life, "2026-03-12T00:00:00Z"), "2026-03-14T00:00:00Z");
    let life = handing_over(life, "2026-03-15T00:00:00Z");
    ended(turned_off(life, "2026-03-16T00:00:00Z"), "2026-04-08T00:00:20Z")
}

/// What RevenueCat's webhooks have for it.
const WHOLE_LIFE: [&str; 14] = [
    "INITIAL_PURCHASE",
    "CANCELLATION/UNSUBSCRIBE",
    "UNCANCELLATION",
    "RENEWAL",
    "BILLING_ISSUE",
    "CANCELLATION/BILLING_ERROR",
    "RENEWAL",
    "SUBSCRIPTION_EXTENDED",
    "CANCELLATION/CUSTOMER_SUPPORT",
    "EXPIRATION/CUSTOMER_SUPPORT",
    "REFUND_REVERSED",
    "TRANSFER",
    "CANCELLATION/UNSUBSCRIBE",
    "EXPIRATION/UNSUBSCRIBE",
];
