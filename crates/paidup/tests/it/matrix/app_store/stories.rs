//! What Apple signs, and the lives that it tells.

use crate::matrix::world::{FROM, World};
use crate::support::at;
use paidup_simulator::stores::app_store::AppStore;
use paidup_simulator::stores::app_store::wire::{App, Notification, Renewal, Transaction};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const OWNER: &str = "7e3fb20b-4cdb-47cc-936d-99d65f608138";
const OTHER_OWNER: &str = "c0ffee00-4cdb-47cc-936d-99d65f608138";
/// Where the months of the subscription meet.
pub(super) const MONTHS: [&str; 4] =
    ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"];

/// What a store says, one after another.
pub(super) type Story = Vec<Said>;

pub(super) enum Said {
    About(Box<Notification>),
    /// The button in App Store Connect.
    Test(&'static str),
}

/// Sends a story, each notification a moment before Apple's date on it: stores renew ahead of time, and a date that has
/// passed already would be decided on by the hub's own clock.
pub(super) async fn play(world: &World, story: Story) {
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
pub(super) fn month(number: u32) -> Transaction {
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
pub(super) fn said(
    what: (&'static str, Option<&'static str>),
    status: u8,
    signed_at: &str,
    about: Transaction,
) -> Notification {
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
pub(super) fn but(mut notification: Notification, change: impl FnOnce(&mut Renewal)) -> Notification {
    if let Some(renewal) = &mut notification.renewal {
        change(renewal);
    }
    notification
}

pub(super) fn then(mut story: Story, next: Notification) -> Story {
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

pub(super) fn tested() -> Story {
    vec![Said::Test("2026-01-01T00:01:00Z")]
}

pub(super) fn bought() -> Story {
    then(Vec::new(), said(("SUBSCRIBED", Some("INITIAL_BUY")), 1, "2026-01-01T00:01:00Z", month(0)))
}

pub(super) fn trial() -> Story {
    then(Vec::new(), said(("SUBSCRIBED", Some("INITIAL_BUY")), 1, "2026-01-01T00:01:00Z", free_month()))
}

pub(super) fn renewed(story: Story) -> Story {
    then(story, said(("DID_RENEW", None), 1, "2026-01-31T23:50:00Z", month(1)))
}

fn turned_off(story: Story, signed_at: &str) -> Story {
    let about = last(&story);
    let off = said(("DID_CHANGE_RENEWAL_STATUS", Some("AUTO_RENEW_DISABLED")), 1, signed_at, about);
    then(story, but(off, |renewal| (renewal.auto_renew_status, renewal.renewal_price) = (0, None)))
}

pub(super) fn cancelled(story: Story) -> Story {
    turned_off(story, "2026-01-10T00:00:00Z")
}

pub(super) fn uncancelled() -> Story {
    let on = ("DID_CHANGE_RENEWAL_STATUS", Some("AUTO_RENEW_ENABLED"));
    then(cancelled(bought()), said(on, 1, "2026-01-12T00:00:00Z", month(0)))
}

pub(super) fn ended(story: Story, signed_at: &str) -> Story {
    let about = last(&story);
    let over = said(("EXPIRED", Some("VOLUNTARY")), 2, signed_at, about);
    let why = |renewal: &mut Renewal| {
        (renewal.auto_renew_status, renewal.expiration_intent, renewal.renewal_price) = (0, Some(1), None);
    };
    then(story, but(over, why))
}

pub(super) fn expired() -> Story {
    ended(cancelled(bought()), "2026-02-01T00:00:20Z")
}

/// The charge for the month after fails; access stays for 16 days.
pub(super) fn failing(story: Story, signed_at: &str, grace_ends_at: &str) -> Story {
    let about = last(&story);
    let failed = said(("DID_FAIL_TO_RENEW", Some("GRACE_PERIOD")), 4, signed_at, about);
    let why = |renewal: &mut Renewal| {
        renewal.is_in_billing_retry_period = Some(true);
        renewal.grace_period_expires_date = Some(at(grace_ends_at).as_millis());
    };
    then(story, but(failed, why))
}

pub(super) fn failed(story: Story) -> Story {
    failing(story, "2026-01-31T23:50:00Z", "2026-02-17T00:00:00Z")
}

pub(super) fn upgraded() -> Story {
    let year = transaction(100, "pro_yearly", "2026-01-15T00:00:00Z", "2027-01-15T00:00:00Z");
    let year = Transaction { transaction_reason: "PURCHASE", price: 79_990, ..year };
    then(bought(), said(("DID_CHANGE_RENEWAL_PREF", Some("UPGRADE")), 1, "2026-01-15T00:00:10Z", year))
}

pub(super) fn announced() -> Story {
    let later = said(("DID_CHANGE_RENEWAL_PREF", Some("DOWNGRADE")), 1, "2026-01-15T00:00:10Z", month(0));
    then(bought(), but(later, |renewal| renewal.auto_renew_product_id = "pro_yearly"))
}

/// The app signs the subscription over to another of its users.
fn handing_over(story: Story, signed_at: &str) -> Story {
    let about = Transaction { app_account_token: Some(Arc::from(OTHER_OWNER)), ..last(&story) };
    then(story, said(("DID_CHANGE_RENEWAL_PREF", None), 1, signed_at, about))
}

pub(super) fn handed_over() -> Story {
    handing_over(bought(), "2026-01-20T00:00:00Z")
}

fn extending(story: Story, signed_at: &str, to: &str) -> Story {
    let about = Transaction { expires_date: Some(at(to).as_millis()), ..last(&story) };
    then(story, said(("RENEWAL_EXTENDED", None), 1, signed_at, about))
}

pub(super) fn extended() -> Story {
    extending(bought(), "2026-01-20T00:00:00Z", "2026-02-08T00:00:00Z")
}

pub(super) fn refunded(story: Story, signed_at: &str) -> Story {
    let about = Transaction {
        revocation_reason: Some(0),
        revocation_date: Some(at(signed_at).as_millis()),
        revocation_type: Some("REFUND_FULL"),
        ..last(&story)
    };
    then(story, said(("REFUND", None), 5, signed_at, about))
}

pub(super) fn undone(story: Story, signed_at: &str) -> Story {
    let about = Transaction { revocation_reason: None, revocation_date: None, revocation_type: None, ..last(&story) };
    then(story, said(("REFUND_REVERSED", None), 1, signed_at, about))
}

pub(super) fn refund_reversed_life() -> Story {
    undone(refunded(bought(), "2026-01-05T00:00:00Z"), "2026-01-07T00:00:00Z")
}

pub(super) fn bought_once() -> Story {
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
pub(super) fn raised(consent: u8) -> Story {
    let subtype = if consent == 0 { "PENDING" } else { "ACCEPTED" };
    let told = said(("PRICE_INCREASE", Some(subtype)), 1, "2026-01-20T00:00:00Z", month(0));
    let higher = |renewal: &mut Renewal| {
        (renewal.price_increase_status, renewal.renewal_price) = (Some(consent), Some(12_990));
    };
    then(bought(), but(told, higher))
}

/// Whoever bought it shares it with the family, and then no longer.
pub(super) fn no_longer_shared() -> Story {
    let shared = || Transaction { in_app_ownership_type: "FAMILY_SHARED", ..month(0) };
    let began = said(("SUBSCRIBED", Some("INITIAL_BUY")), 1, "2026-01-01T00:01:00Z", shared());
    let signed_at = "2026-01-20T00:00:00Z";
    let revocation_date = Some(at(signed_at).as_millis());
    let about = Transaction { revocation_date, revocation_type: Some("FAMILY_REVOKE"), ..shared() };
    then(then(Vec::new(), began), said(("REVOKE", None), 5, signed_at, about))
}

pub(super) fn with_code() -> Story {
    let cheap = Transaction {
        price: 990,
        offer_type: Some(3),
        offer_identifier: Some("SPRING"),
        offer_discount_type: Some("PAY_AS_YOU_GO"),
        ..month(0)
    };
    then(Vec::new(), said(("SUBSCRIBED", Some("INITIAL_BUY")), 1, "2026-01-01T00:01:00Z", cheap))
}

pub(super) fn refunded_once() -> Story {
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
pub(super) fn whole_life() -> Story {
    let life = failing(renewed(uncancelled()), "2026-02-28T23:50:00Z", "2026-03-17T00:00:00Z");
    let life = then(life, said(("DID_RENEW", Some("BILLING_RECOVERY")), 1, "2026-03-03T00:00:00Z", month(2)));
    let life = extending(life, "2026-03-10T00:00:00Z", "2026-04-08T00:00:00Z");
    let life = undone(refunded(life, "2026-03-12T00:00:00Z"), "2026-03-14T00:00:00Z");
    let life = handing_over(life, "2026-03-15T00:00:00Z");
    ended(turned_off(life, "2026-03-16T00:00:00Z"), "2026-04-08T00:00:20Z")
}

/// What RevenueCat's webhooks have for it.
pub(super) const WHOLE_LIFE: [&str; 14] = [
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

// Lives of which only the canonical events tell more.

/// Bought once more in the same chain, ten days after its end.
pub(super) fn came_back() -> Story {
    let again = transaction(1, "pro_monthly", "2026-02-11T00:00:00Z", "2026-03-11T00:00:00Z");
    let again = Transaction { transaction_reason: "PURCHASE", ..again };
    then(expired(), said(("SUBSCRIBED", Some("RESUBSCRIBE")), 1, "2026-02-11T00:00:30Z", again))
}

/// The plan that was announced is in force with the next period.
pub(super) fn downgraded() -> Story {
    let year = transaction(1, "pro_yearly", MONTHS[1], "2027-02-01T00:00:00Z");
    then(announced(), said(("DID_RENEW", None), 1, "2026-01-31T23:50:00Z", year))
}

/// It is to stay as it was.
pub(super) fn announced_and_withdrawn() -> Story {
    then(announced(), said(("DID_CHANGE_RENEWAL_PREF", None), 1, "2026-01-16T00:00:00Z", month(0)))
}

pub(super) fn recovered_in_grace() -> Story {
    let back = ("DID_RENEW", Some("BILLING_RECOVERY"));
    then(failed(bought()), said(back, 1, "2026-02-03T00:00:00Z", month(1)))
}

/// Grace ends without a payment; Apple keeps trying.
pub(super) fn grace_ran_out() -> Story {
    let over = said(("GRACE_PERIOD_EXPIRED", None), 3, "2026-02-17T00:00:10Z", month(0));
    then(failed(bought()), but(over, |renewal| renewal.is_in_billing_retry_period = Some(true)))
}

/// The charge fails, and the app has no grace period.
pub(super) fn failed_without_grace() -> Story {
    let failed = said(("DID_FAIL_TO_RENEW", None), 3, "2026-02-01T00:00:40Z", month(0));
    then(bought(), but(failed, |renewal| renewal.is_in_billing_retry_period = Some(true)))
}

pub(super) fn recovered_from_retry() -> Story {
    let paid = transaction(1, "pro_monthly", "2026-02-10T00:00:00Z", "2026-03-10T00:00:00Z");
    then(failed_without_grace(), said(("DID_RENEW", Some("BILLING_RECOVERY")), 1, "2026-02-10T00:00:40Z", paid))
}

/// Apple gives up after sixty days.
pub(super) fn never_paid() -> Story {
    let over = said(("EXPIRED", Some("BILLING_RETRY")), 2, "2026-04-02T00:00:40Z", month(0));
    let why = |renewal: &mut Renewal| (renewal.auto_renew_status, renewal.expiration_intent) = (0, Some(2));
    then(failed_without_grace(), but(over, why))
}

pub(super) fn refunded_now() -> Story {
    refunded(bought(), "2026-01-05T00:00:00Z")
}

/// The first month is paid back in the second.
pub(super) fn refunded_earlier() -> Story {
    let signed_at = "2026-02-05T00:00:00Z";
    let about = Transaction {
        revocation_reason: Some(0),
        revocation_date: Some(at(signed_at).as_millis()),
        revocation_type: Some("REFUND_FULL"),
        ..month(0)
    };
    // Its renewal info is about the period that runs.
    let told = said(("REFUND", None), 1, signed_at, about);
    then(renewed(bought()), but(told, |renewal| renewal.renewal_date = at(MONTHS[2]).as_millis()))
}

/// The customer wants money back, Apple asks what was used, and `also` decides.
pub(super) fn refund_asked_for(also: bool) -> Story {
    let asked = said(("CONSUMPTION_REQUEST", None), 1, "2026-01-05T00:00:00Z", month(0));
    let asked = Notification { consumption_request_reason: Some("UNINTENDED_PURCHASE"), ..asked };
    let story = then(bought(), asked);
    if also { then(story, said(("REFUND_DECLINED", None), 1, "2026-01-06T00:00:00Z", month(0))) } else { story }
}

/// A trial that is turned off and ends.
pub(super) fn trial_not_converted() -> Story {
    ended(cancelled(trial()), "2026-02-01T00:00:20Z")
}

/// A first month at a price of its own.
pub(super) fn introduced() -> Story {
    let cheap = Transaction { price: 990, offer_type: Some(1), offer_discount_type: Some("PAY_UP_FRONT"), ..month(0) };
    then(Vec::new(), said(("SUBSCRIBED", Some("INITIAL_BUY")), 1, "2026-01-01T00:01:00Z", cheap))
}

/// What the app offers to a customer who is one already.
pub(super) fn offered() -> Story {
    let cheap = Transaction {
        price: 990,
        offer_type: Some(2),
        offer_identifier: Some("STAY"),
        offer_discount_type: Some("PAY_AS_YOU_GO"),
        ..month(1)
    };
    then(bought(), said(("DID_RENEW", None), 1, "2026-01-31T23:50:00Z", cheap))
}
