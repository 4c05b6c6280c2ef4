//! Amazon's column: messages that are signed as SNS signs them, and receipts that RVS verifies. Below the three tables of
//! RevenueCat's, the rows of the canonical events that each store can produce (`canonical`, lifecycle.md section 14).
//! `no_...` and `..._is_never_told` are cells that the pages leave empty.

use super::world::{Column, FROM, World};
use crate::support::amazon::{Amazon, Appstore, NEXT_RECEIPT, RECEIPT, check_log, millis, receipt, settings};
use crate::support::at;
use paidup_lifecycle::observation::Environment;
use serde_json::{Value, json};

const COLUMN: Column = Column { store: "AMAZON", products: "" };
const MONTHS: [&str; 3] = [FROM, "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"];
const MID: &str = "2026-01-10T00:00:00Z";

/// Writes the tests of one table: `cell: story, CANONICAL_EVENT => messages;`.
macro_rules! cells {
    ($outlet:expr; $($cell:ident: $story:expr, $event:literal => $told:expr;)+) => {
        $(
            #[tokio::test]
            async fn $cell() {
                play($outlet, $story, $event, &$told).await;
            }
        )+
    };
}

mod webhook {
    use super::*;
    use crate::matrix::world::Outlet;

    cells! { Outlet::Webhook;
        test_is_never_told: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        initial_purchase: bought(), "SUBSCRIPTION_STARTED" => ["INITIAL_PURCHASE"];
        initial_purchase_of_a_trial: trial(), "TRIAL_STARTED" => ["INITIAL_PURCHASE"];
        initial_purchase_of_a_new_receipt: upgraded(), "SUBSCRIPTION_CROSSGRADED" => ["INITIAL_PURCHASE", "INITIAL_PURCHASE"];
        renewal: renewed(bought()), "SUBSCRIPTION_RENEWED" => ["INITIAL_PURCHASE", "RENEWAL"];
        renewal_on_another_plan: changed_at_renewal(), "SUBSCRIPTION_RENEWED" => ["INITIAL_PURCHASE", "RENEWAL"];
        renewal_after_grace: recovered(), "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD" =>
            ["INITIAL_PURCHASE", "BILLING_ISSUE", "CANCELLATION/BILLING_ERROR", "RENEWAL"];
        cancellation: cancelled(bought()), "RENEWAL_DISABLED" => ["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE"];
        cancellation_by_customer_support: refunded(), "SUBSCRIPTION_REFUNDED_REVOKED" =>
            ["INITIAL_PURCHASE", "CANCELLATION/CUSTOMER_SUPPORT", "EXPIRATION/CUSTOMER_SUPPORT"];
        cancellation_of_a_one_time_purchase: refunded_once(), "ONE_TIME_REFUNDED" =>
            ["NON_RENEWING_PURCHASE", "CANCELLATION/CUSTOMER_SUPPORT"];
        uncancellation: uncancelled(), "RENEWAL_ENABLED" => ["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE", "UNCANCELLATION"];
        non_renewing_purchase: bought_once(), "ONE_TIME_PURCHASED" => ["NON_RENEWING_PURCHASE"];
        subscription_paused_is_never_told: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        expiration: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        expiration_after_grace: unpaid(), "GRACE_PERIOD_TERMINATED" =>
            ["INITIAL_PURCHASE", "BILLING_ISSUE", "CANCELLATION/BILLING_ERROR", "EXPIRATION/BILLING_ERROR"];
        billing_issue: failed(), "GRACE_PERIOD_STARTED" => ["INITIAL_PURCHASE", "BILLING_ISSUE", "CANCELLATION/BILLING_ERROR"];
        product_change_is_never_told: announced(), "PLAN_CHANGE_SCHEDULED" => ["INITIAL_PURCHASE"];
        transfer: handed_over(), "SUBSCRIPTION_RECEIVED" => ["INITIAL_PURCHASE", "TRANSFER"];
        subscription_extended: put_off(), "SUBSCRIPTION_DEFERRED" => ["INITIAL_PURCHASE", "SUBSCRIPTION_EXTENDED"];
        refund_reversed_is_never_told: refunded(), "SUBSCRIPTION_REFUNDED_REVOKED" =>
            ["INITIAL_PURCHASE", "CANCELLATION/CUSTOMER_SUPPORT", "EXPIRATION/CUSTOMER_SUPPORT"];
        invoice_issuance_is_never_told: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        virtual_currency_transaction_is_never_told: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        // The page has these for Amazon, but they are about services of RevenueCat's own (its outages and experiments), of which
        // Amazon tells nothing.
        temporary_entitlement_grant_is_revenuecats_own: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        experiment_enrollment_is_revenuecats_own: whole_life(), "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
    }
}

mod discord {
    use super::*;
    use crate::matrix::world::Outlet;

    cells! { Outlet::Discord;
        initial_purchase: bought(), "SUBSCRIPTION_STARTED" => ["Initial Purchase"];
        trial_started: trial(), "TRIAL_STARTED" => ["Trial Started"];
        trial_converted: converted(), "TRIAL_CONVERTED" => ["Trial Started", "Trial Converted"];
        trial_cancelled: cancelled(trial()), "RENEWAL_DISABLED" => ["Trial Started", "Trial Cancelled"];
        renewal: renewed(bought()), "SUBSCRIPTION_RENEWED" => ["Initial Purchase", "Renewal"];
        cancellation: cancelled(bought()), "RENEWAL_DISABLED" => ["Initial Purchase", "Cancellation"];
        non_subscription_purchase: bought_once(), "ONE_TIME_PURCHASED" => ["Non Subscription Purchase"];
        expiration_is_never_told: whole_life(), "SUBSCRIPTION_TERMINATED" => ["Initial Purchase", "Cancellation"];
        billing_issue: failed(), "GRACE_PERIOD_STARTED" => ["Initial Purchase", "Billing Issue", "Cancellation"];
        product_change_is_never_told: announced(), "PLAN_CHANGE_SCHEDULED" => ["Initial Purchase"];
    }
}

mod intercom {
    use super::*;
    use crate::matrix::world::Outlet;

    const BOUGHT: &str = "rc_initial_purchase_event";
    const TRIED: &str = "rc_trial_started_event";
    const CANCELLED: &str = "rc_cancellation_event";

    cells! { Outlet::Intercom;
        initial_purchase: bought(), "SUBSCRIPTION_STARTED" => [BOUGHT];
        trial_started: trial(), "TRIAL_STARTED" => [TRIED];
        trial_converted: converted(), "TRIAL_CONVERTED" => [TRIED, "rc_trial_converted_event"];
        trial_cancelled: cancelled(trial()), "RENEWAL_DISABLED" => [TRIED, "rc_trial_cancelled_event"];
        renewal: renewed(bought()), "SUBSCRIPTION_RENEWED" => [BOUGHT, "rc_renewal_event"];
        cancellation: cancelled(bought()), "RENEWAL_DISABLED" => [BOUGHT, CANCELLED];
        non_subscription_purchase: bought_once(), "ONE_TIME_PURCHASED" => ["rc_non_subscription_purchase_event"];
        expiration: whole_life(), "SUBSCRIPTION_TERMINATED" => [BOUGHT, CANCELLED, "rc_expiration_event"];
        billing_issue: failed(), "GRACE_PERIOD_STARTED" => [BOUGHT, "rc_billing_issue_event", CANCELLED];
        product_change_is_never_told: announced(), "PLAN_CHANGE_SCHEDULED" => [BOUGHT];
    }
}

/// Which canonical events Amazon can produce.
mod canonical {
    use super::*;

    macro_rules! rows {
        ($($row:ident: $story:expr => $told:expr;)+) => {
            $(
                #[tokio::test]
                async fn $row() {
                    canonical($story, &$told).await;
                }
            )+
        };
    }

    rows! {
        start_renew_terminate: ended(renewed(bought())) =>
            ["ACTIVATE SUBSCRIPTION_STARTED", "ACTIVATE SUBSCRIPTION_RENEWED", "DEACTIVATE SUBSCRIPTION_TERMINATED"];
        no_reactivated_in_chain_but_by_a_new_receipt: bought_again() =>
            ["ACTIVATE SUBSCRIPTION_STARTED", "DEACTIVATE SUBSCRIPTION_TERMINATED", "ACTIVATE SUBSCRIPTION_REACTIVATED"];
        upgrade_downgrade: upgraded() =>
            ["ACTIVATE SUBSCRIPTION_STARTED", "DEACTIVATE ACTIVATE SUBSCRIPTION_CROSSGRADED", ""];
        scheduled_change: changed_at_renewal() =>
            ["ACTIVATE SUBSCRIPTION_STARTED", "PLAN_CHANGE_SCHEDULED", "DEACTIVATE ACTIVATE SUBSCRIPTION_CROSSGRADED SUBSCRIPTION_RENEWED"];
        deferred: put_off() => ["ACTIVATE SUBSCRIPTION_STARTED", "SUBSCRIPTION_DEFERRED"];
        auto_renew_off_and_on: uncancelled() => ["ACTIVATE SUBSCRIPTION_STARTED", "RENEWAL_DISABLED", "RENEWAL_ENABLED"];
        auto_renew_off_by_the_reminder: reminded() => ["ACTIVATE SUBSCRIPTION_STARTED", "RENEWAL_DISABLED"];
        grace: recovered() =>
            ["ACTIVATE SUBSCRIPTION_STARTED", "ACTIVATE GRACE_PERIOD_STARTED", "ACTIVATE SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"];
        no_billing_retry_without_access: unpaid() =>
            ["ACTIVATE SUBSCRIPTION_STARTED", "ACTIVATE GRACE_PERIOD_STARTED", "DEACTIVATE GRACE_PERIOD_TERMINATED SUBSCRIPTION_TERMINATED"];
        no_pause: whole_life() =>
            ["ACTIVATE SUBSCRIPTION_STARTED", "RENEWAL_DISABLED", "DEACTIVATE SUBSCRIPTION_TERMINATED", ""];
        refund_is_a_cancellation: refunded() => ["ACTIVATE SUBSCRIPTION_STARTED", "DEACTIVATE SUBSCRIPTION_REFUNDED_REVOKED"];
        no_family_revoke: refunded_once() => ["ACTIVATE ONE_TIME_PURCHASED", "DEACTIVATE ONE_TIME_REFUNDED"];
        transfer: handed_over() =>
            ["ACTIVATE SUBSCRIPTION_STARTED", "DEACTIVATE SUBSCRIPTION_TRANSFERRED ACTIVATE SUBSCRIPTION_RECEIVED"];
        offers: converted() =>
            ["ACTIVATE SUBSCRIPTION_STARTED TRIAL_STARTED", "ACTIVATE SUBSCRIPTION_RENEWED TRIAL_CONVERTED"];
        offers_by_promotion: promoted() => ["ACTIVATE SUBSCRIPTION_STARTED INTRO_OFFER_STARTED"];
        one_time: bought_once() => ["ACTIVATE ONE_TIME_PURCHASED"];
        no_money: renewed(bought()) => ["ACTIVATE SUBSCRIPTION_STARTED", "ACTIVATE SUBSCRIPTION_RENEWED"];
    }
}

/// One message with what RVS answers from then on.
struct Said {
    kind: &'static str,
    receipt: &'static str,
    at: &'static str,
    answer: Value,
    more: Value,
}

type Story = Vec<Said>;

const WHOLE_LIFE: [&str; 3] = ["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE", "EXPIRATION/UNSUBSCRIBE"];
/// Somebody else takes the purchase over: by the operator's hand, because Amazon never tells of it.
const HANDED_OVER: &str = "handed over";

async fn play(outlet: super::world::Outlet, story: Story, event: &'static str, told: &[&str]) {
    let amazon = Amazon::start().await;
    let world = World::with(outlet, &settings(&amazon.url())).await;
    let appstore = Appstore::open(&world.hub, amazon, &json!({})).await;
    world.hub.map("lifetime", &["pro"]).await;
    for said in story {
        world.pass_until(at(said.at)).await;
        say(&appstore, said).await;
    }
    drop(appstore);
    world.ends_with(super::world::Expected { column: COLUMN, event, told }).await;
    check_log();
}

async fn canonical(story: Story, told: &[&str]) {
    let amazon = Amazon::start().await;
    let hub = crate::support::TestHub::start_with(FROM, &settings(&amazon.url())).await;
    for product in ["pro_monthly", "pro_yearly", "lifetime"] {
        hub.map(product, &["pro"]).await;
    }
    let appstore = Appstore::open(&hub, amazon, &json!({})).await;
    let mut heard = Vec::new();
    for said in story {
        heard.push(say(&appstore, said).await.join(" "));
    }
    drop(appstore);
    assert_eq!(heard, told);
    hub.stop().await;
    check_log();
}

async fn say(appstore: &Appstore<'_>, said: Said) -> Vec<String> {
    if said.kind == HANDED_OVER {
        let before = appstore.hub.types().await.len();
        let source = appstore.source.parse().expect("an id");
        let bound = appstore.hub.hub.bind_purchase(source, Environment::Production, RECEIPT, "somebody-else").await;
        bound.expect("bound");
        return appstore.hub.types().await.split_off(before);
    }
    appstore.tell_of(said.kind, said.receipt, said.at, said.answer, &said.more).await
}

fn said(kind: &'static str, at: &'static str, answer: Value) -> Said {
    Said { kind, receipt: RECEIPT, at, answer, more: json!({}) }
}

fn then(mut story: Story, next: Said) -> Story {
    story.push(next);
    story
}

fn bought() -> Story {
    vec![said("SUBSCRIPTION_PURCHASED", FROM, receipt(FROM, MONTHS[1], &json!({})))]
}

fn trial() -> Story {
    let more = json!({"freeTrialEndDate": millis(MONTHS[1])});
    vec![said("SUBSCRIPTION_PURCHASED", FROM, receipt(FROM, MONTHS[1], &more))]
}

fn promoted() -> Story {
    let more = json!({"promotions": [{"promotionType": "SubscriptionIntroductory", "promotionStatus": "InProgress"}]});
    vec![said("SUBSCRIPTION_PURCHASED", FROM, receipt(FROM, MONTHS[1], &more))]
}

fn converted() -> Story {
    let more = json!({"freeTrialEndDate": millis(MONTHS[1])});
    then(trial(), said("SUBSCRIPTION_CONVERTED_FREE_TRIAL_TO_PAID", MONTHS[1], receipt(FROM, MONTHS[2], &more)))
}

fn renewed(story: Story) -> Story {
    then(story, said("SUBSCRIPTION_RENEWED", MONTHS[1], receipt(FROM, MONTHS[2], &json!({}))))
}

/// Whatever runs then will not be renewed.
fn cancelled(story: Story) -> Story {
    let trial = story.last().map(|said| said.answer["freeTrialEndDate"].clone());
    let more = json!({"autoRenewing": false, "renewalDate": null, "freeTrialEndDate": trial});
    then(story, said("SUBSCRIPTION_AUTO_RENEWAL_OFF", MID, receipt(FROM, MONTHS[1], &more)))
}

fn uncancelled() -> Story {
    let next = said("SUBSCRIPTION_AUTO_RENEWAL_ON", "2026-01-11T00:00:00Z", receipt(FROM, MONTHS[1], &json!({})));
    then(cancelled(bought()), next)
}

fn reminded() -> Story {
    let more = json!({"autoRenewing": false, "renewalDate": null});
    then(bought(), said("SUBSCRIPTION_SCHEDULED_TO_END", "2026-01-22T00:00:00Z", receipt(FROM, MONTHS[1], &more)))
}

fn over(reason: u8, at: &str, more: &Value) -> Value {
    let ended = json!({"autoRenewing": false, "renewalDate": null, "cancelDate": millis(at), "cancelReason": reason});
    let mut answer = receipt(FROM, MONTHS[1], &ended);
    for (name, value) in more.as_object().into_iter().flatten() {
        answer[name] = value.clone();
    }
    answer
}

/// Off, ended, and said twice that it ended.
fn whole_life() -> Story {
    let ended = said("SUBSCRIPTION_EXPIRED", MONTHS[1], over(1, MONTHS[1], &json!({})));
    let again = said("SUBSCRIPTION_CANCELLED", MONTHS[1], over(1, MONTHS[1], &json!({})));
    then(then(cancelled(bought()), ended), again)
}

fn ended(story: Story) -> Story {
    then(story, said("SUBSCRIPTION_EXPIRED", MONTHS[2], over(1, MONTHS[2], &json!({}))))
}

/// After an end a customer gets a new receipt that nothing connects with the old one.
fn bought_again() -> Story {
    let mut story = then(bought(), said("SUBSCRIPTION_EXPIRED", MONTHS[1], over(1, MONTHS[1], &json!({}))));
    let answer = receipt("2026-02-10T00:00:00Z", "2026-03-10T00:00:00Z", &json!({"receiptId": NEXT_RECEIPT}));
    story.push(Said { receipt: NEXT_RECEIPT, ..said("SUBSCRIPTION_PURCHASED", "2026-02-10T00:00:00Z", answer) });
    story
}

fn failed() -> Story {
    let more = json!({"gracePeriodEndDate": millis("2026-02-15T00:00:00Z")});
    then(bought(), said("SUBSCRIPTION_IN_GRACE_PERIOD", MONTHS[1], receipt(FROM, MONTHS[1], &more)))
}

fn recovered() -> Story {
    then(
        failed(),
        said("SUBSCRIPTION_OUT_OF_GRACE_PERIOD", "2026-02-05T00:00:00Z", receipt(FROM, MONTHS[2], &json!({}))),
    )
}

fn unpaid() -> Story {
    let at = "2026-02-15T00:00:00Z";
    then(failed(), said("SUBSCRIPTION_CANCELLED", at, over(2, at, &json!({"gracePeriodEndDate": millis(at)}))))
}

fn refunded() -> Story {
    then(bought(), said("SUBSCRIPTION_CANCELLED", MID, over(1, MID, &json!({}))))
}

fn yearly(bought: &str, renews: &str, more: &Value) -> Value {
    let mut answer = receipt(bought, renews, more);
    (answer["termSku"], answer["term"]) = (json!("pro_yearly"), json!("1 Year"));
    answer
}

fn announced() -> Story {
    let more = json!({"deferredSku": "pro_yearly", "deferredDate": millis(MONTHS[1])});
    then(bought(), said("SUBSCRIPTION_MODIFIED_DEFERRED", MID, receipt(FROM, MONTHS[1], &more)))
}

fn changed_at_renewal() -> Story {
    then(announced(), said("SUBSCRIPTION_RENEWED", MONTHS[1], yearly(FROM, "2027-02-01T00:00:00Z", &json!({}))))
}

/// Another plan at once: a new receipt, and the end of the old one.
fn upgraded() -> Story {
    let answer = yearly(MID, "2027-01-10T00:00:00Z", &json!({"receiptId": NEXT_RECEIPT}));
    let changed = Said {
        receipt: NEXT_RECEIPT,
        more: json!({"relatedReceipts": {"cancelledReceiptId": RECEIPT}}),
        ..said("SUBSCRIPTION_MODIFIED_IMMEDIATE", MID, answer)
    };
    then(then(bought(), changed), said("SUBSCRIPTION_CANCELLED", MID, over(4, MID, &json!({}))))
}

fn put_off() -> Story {
    let more = json!({"deferredDate": millis("2026-02-11T00:00:00Z")});
    then(bought(), said("SUBSCRIPTION_AUTO_RENEWAL_ON", MID, receipt(FROM, MONTHS[1], &more)))
}

fn handed_over() -> Story {
    then(bought(), said(HANDED_OVER, MID, Value::Null))
}

fn once(more: &Value) -> Value {
    let mut answer = receipt(FROM, FROM, more);
    for (name, value) in [
        ("productType", json!("ENTITLED")),
        ("productId", json!("lifetime")),
        ("termSku", Value::Null),
        ("term", Value::Null),
        ("renewalDate", Value::Null),
        ("autoRenewing", Value::Null),
    ] {
        answer[name] = value;
    }
    answer
}

fn bought_once() -> Story {
    vec![said("ENTITLEMENT_PURCHASED", FROM, once(&json!({})))]
}

fn refunded_once() -> Story {
    then(bought_once(), said("ENTITLEMENT_CANCELLED", MID, once(&json!({"cancelDate": millis(MID)}))))
}
