//! Which canonical events the Play Store can produce (lifecycle section 14): a test for each group, with all that its story
//! tells, money left out unless the group is money.

use super::stories::*;
use crate::support::play::Shop;

/// Writes a test for each group: `cell: story => events since the first purchase;`.
macro_rules! groups {
    ($($cell:ident: $story:path => $told:expr;)+) => {
        $(
            #[tokio::test]
            async fn $cell() {
                let shop = Shop::open(JAN).await;
                $story(&shop).await;
                let mut told = shop.hub.types().await;
                told.retain(|event| event != "TRANSACTION_PROCESSED");
                assert_eq!(told, $told);
                shop.rebuilds().await;
                shop.stop().await;
            }
        )+
    };
}

const ON: &str = "ACTIVATE";
const OFF: &str = "DEACTIVATE";
const STARTED: &str = "SUBSCRIPTION_STARTED";

groups! {
    start: bought => [ON, STARTED];
    renew: renewed => [ON, STARTED, ON, "SUBSCRIPTION_RENEWED"];
    terminate: expired => [ON, STARTED, "RENEWAL_DISABLED", OFF, "SUBSCRIPTION_TERMINATED"];
    reactivated_in_chain: came_back =>
        [ON, STARTED, "RENEWAL_DISABLED", OFF, "SUBSCRIPTION_TERMINATED", ON, "SUBSCRIPTION_REACTIVATED"];
    upgrade: upgraded => [ON, STARTED, OFF, ON, "SUBSCRIPTION_CROSSGRADED"];
    downgrade: downgraded => [ON, STARTED, "PLAN_CHANGE_SCHEDULED", OFF, ON, "SUBSCRIPTION_DOWNGRADED", "SUBSCRIPTION_RENEWED"];
    scheduled_change: announced => [ON, STARTED, "PLAN_CHANGE_SCHEDULED"];
    deferral: deferred => [ON, STARTED, "SUBSCRIPTION_DEFERRED"];
    auto_renew_off: cancelled => [ON, STARTED, "RENEWAL_DISABLED"];
    auto_renew_on: uncancelled => [ON, STARTED, "RENEWAL_DISABLED", "RENEWAL_ENABLED"];
    grace: failed => [ON, STARTED, ON, "GRACE_PERIOD_STARTED"];
    grace_and_recovery: recovered_in_grace =>
        [ON, STARTED, ON, "GRACE_PERIOD_STARTED", ON, "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"];
    grace_and_cancellation: cancelled_in_grace => [ON, STARTED, ON, "GRACE_PERIOD_STARTED", OFF,
        "SUBSCRIPTION_CANCELLED_DURING_GRACE_PERIOD", "SUBSCRIPTION_TERMINATED"];
    billing_retry_without_access: held => [ON, STARTED, ON, "GRACE_PERIOD_STARTED", OFF, "GRACE_PERIOD_TERMINATED",
        "ENTERED_BILLING_RETRY"];
    billing_retry_and_recovery: recovered => [ON, STARTED, ON, "GRACE_PERIOD_STARTED", OFF, "GRACE_PERIOD_TERMINATED",
        "ENTERED_BILLING_RETRY", ON, "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"];
    pause: paused => [ON, STARTED, "SUBSCRIPTION_WILL_PAUSE", OFF, "SUBSCRIPTION_PAUSED"];
    pause_withdrawn_again: pause_withdrawn => [ON, STARTED, "SUBSCRIPTION_WILL_PAUSE", "SUBSCRIPTION_WILL_NOT_PAUSE"];
    pause_and_return: resumed => [ON, STARTED, "SUBSCRIPTION_WILL_PAUSE", OFF, "SUBSCRIPTION_PAUSED", ON,
        "SUBSCRIPTION_UNPAUSED"];
    refund: revoked => [ON, STARTED, OFF, "SUBSCRIPTION_REFUNDED_REVOKED"];
    refund_of_an_earlier_period: refunded => [ON, STARTED, ON, "SUBSCRIPTION_RENEWED", "REFUND_RECORDED"];
    refund_asked_for: refund_requested => [ON, STARTED, "REFUND_REQUESTED"];
    family_revoke_is_never_told: whole_life => [ON, STARTED, "RENEWAL_DISABLED", "RENEWAL_ENABLED", ON,
        "SUBSCRIPTION_RENEWED", ON, "GRACE_PERIOD_STARTED", ON, "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD",
        "SUBSCRIPTION_DEFERRED", "RENEWAL_DISABLED", OFF, "SUBSCRIPTION_TERMINATED"];
    transfer: handed_over => [ON, STARTED, OFF, "SUBSCRIPTION_TRANSFERRED", ON, "SUBSCRIPTION_RECEIVED"];
    offers: trial => [ON, STARTED, "TRIAL_STARTED"];
    offers_that_convert: trial_converted_life =>
        [ON, STARTED, "TRIAL_STARTED", ON, "SUBSCRIPTION_RENEWED", "TRIAL_CONVERTED"];
    price_increase: price_raised => [ON, STARTED, "PRICE_INCREASE_PENDING", "PRICE_INCREASE_ACCEPTED"];
    one_time: bought_once => [ON, "ONE_TIME_PURCHASED"];
    one_time_refund: refunded_once => [ON, "ONE_TIME_PURCHASED", OFF, "ONE_TIME_REFUNDED"];
}

/// The list price, once a period, and back with a refund.
#[tokio::test]
async fn money() {
    let shop = Shop::open(JAN).await;
    refunded(&shop).await;
    let mut events = shop.hub.events().await;
    events.reverse();
    let money = events.iter().filter(|event| event["type"] == "TRANSACTION_PROCESSED");
    let told: Vec<(i64, &str)> = money
        .map(|event| {
            let transaction = &event["transaction"];
            (transaction["amount_minor"].as_i64().expect("an amount"), transaction["id"].as_str().expect("an id"))
        })
        .collect();
    assert_eq!(told, [(999, "GPA.1"), (999, "GPA.1..0"), (-999, "GPA.1")]);
    shop.stop().await;
}
