//! Which canonical events the App Store can produce (lifecycle section 14): a test for each group, with all that its story
//! tells, money left out unless the group is money.

use super::stories::*;
use crate::matrix::world::{Outlet, World};

/// Writes a test for each group: `cell: story => events since the first purchase;`.
macro_rules! groups {
    ($($cell:ident: $story:expr => $told:expr;)+) => {
        $(
            #[tokio::test]
            async fn $cell() {
                let world = World::new(Outlet::Webhook).await;
                play(&world, $story).await;
                world.tells(&$told).await;
            }
        )+
    };
}

const ON: &str = "ACTIVATE";
const OFF: &str = "DEACTIVATE";
const STARTED: &str = "SUBSCRIPTION_STARTED";
/// Told once for each attempt of the store.
const FAILED: &str = "PAYMENT_FAILED";

groups! {
    start: bought() => [ON, STARTED];
    renew: renewed(bought()) => [ON, STARTED, ON, "SUBSCRIPTION_RENEWED"];
    terminate: expired() => [ON, STARTED, "RENEWAL_DISABLED", OFF, "SUBSCRIPTION_TERMINATED"];
    reactivated_in_chain: came_back() =>
        [ON, STARTED, "RENEWAL_DISABLED", OFF, "SUBSCRIPTION_TERMINATED", ON, "SUBSCRIPTION_REACTIVATED"];
    upgrade: upgraded() => [ON, STARTED, OFF, ON, "SUBSCRIPTION_UPGRADED"];
    // Which of the two is more is known from Apple's word at the announcement only, and from ranks (`downgrade`).
    change_at_the_renewal: downgraded() =>
        [ON, STARTED, "PLAN_CHANGE_SCHEDULED", OFF, ON, "SUBSCRIPTION_CROSSGRADED", "SUBSCRIPTION_RENEWED"];
    scheduled_change: announced() => [ON, STARTED, "PLAN_CHANGE_SCHEDULED"];
    scheduled_change_withdrawn: announced_and_withdrawn() =>
        [ON, STARTED, "PLAN_CHANGE_SCHEDULED", "PLAN_CHANGE_UNSCHEDULED"];
    deferred_by_an_extension: extended() => [ON, STARTED, "SUBSCRIPTION_DEFERRED"];
    auto_renew_off: cancelled(bought()) => [ON, STARTED, "RENEWAL_DISABLED"];
    auto_renew_on: uncancelled() => [ON, STARTED, "RENEWAL_DISABLED", "RENEWAL_ENABLED"];
    grace: failed(bought()) => [ON, STARTED, ON, "GRACE_PERIOD_STARTED", FAILED];
    grace_and_recovery: recovered_in_grace() =>
        [ON, STARTED, ON, "GRACE_PERIOD_STARTED", FAILED, ON, "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"];
    grace_that_runs_out: grace_ran_out() =>
        [ON, STARTED, ON, "GRACE_PERIOD_STARTED", FAILED, OFF, "GRACE_PERIOD_TERMINATED", "ENTERED_BILLING_RETRY"];
    billing_retry_without_access: failed_without_grace() => [ON, STARTED, OFF, "ENTERED_BILLING_RETRY", FAILED];
    billing_retry_and_recovery: recovered_from_retry() =>
        [ON, STARTED, OFF, "ENTERED_BILLING_RETRY", FAILED, ON, "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"];
    billing_retry_that_is_given_up: never_paid() =>
        [ON, STARTED, OFF, "ENTERED_BILLING_RETRY", FAILED, "SUBSCRIPTION_TERMINATED"];
    pause_is_never_told: whole_life() => WHOLE;
    refund: refunded_now() => [ON, STARTED, OFF, "SUBSCRIPTION_REFUNDED_REVOKED"];
    refund_of_an_earlier_period: refunded_earlier() => [ON, STARTED, ON, "SUBSCRIPTION_RENEWED", "REFUND_RECORDED"];
    refund_undone: refund_reversed_life() =>
        [ON, STARTED, OFF, "SUBSCRIPTION_REFUNDED_REVOKED", ON, "REFUND_REVERSED"];
    refund_asked: refund_asked_for(false) => [ON, STARTED, "REFUND_REQUESTED"];
    refund_declined: refund_asked_for(true) => [ON, STARTED, "REFUND_REQUESTED", ON, "REFUND_DECLINED"];
    family_revoke: no_longer_shared() => [ON, STARTED, OFF, "FAMILY_SHARED_REVOKED"];
    transfer: handed_over() => [ON, STARTED, OFF, "SUBSCRIPTION_TRANSFERRED", ON, "SUBSCRIPTION_RECEIVED"];
    offers: trial() => [ON, STARTED, "TRIAL_STARTED"];
    offers_that_convert: renewed(trial()) =>
        [ON, STARTED, "TRIAL_STARTED", ON, "SUBSCRIPTION_RENEWED", "TRIAL_CONVERTED"];
    offers_that_do_not_convert: trial_not_converted() => [ON, STARTED, "TRIAL_STARTED", "RENEWAL_DISABLED", OFF,
        "SUBSCRIPTION_TERMINATED", "TRIAL_NOT_CONVERTED"];
    offers_at_an_introductory_price: introduced() => [ON, STARTED, "INTRO_OFFER_STARTED"];
    offers_by_code: with_code() => [ON, STARTED, "PROMO_CODE_STARTED"];
    offers_to_those_who_are_customers: offered() =>
        [ON, STARTED, ON, "SUBSCRIPTION_RENEWED", "PROMOTIONAL_OFFER_STARTED"];
    price_increase: raised(1) => [ON, STARTED, "PRICE_INCREASE_ACCEPTED"];
    price_increase_without_consent_yet: raised(0) => [ON, STARTED, "PRICE_INCREASE_PENDING"];
    one_time: bought_once() => [ON, "ONE_TIME_PURCHASED"];
    one_time_refund: refunded_once() => [ON, "ONE_TIME_PURCHASED", OFF, "ONE_TIME_REFUNDED"];
}

const WHOLE: [&str; 23] = [
    ON,
    STARTED,
    "RENEWAL_DISABLED",
    "RENEWAL_ENABLED",
    ON,
    "SUBSCRIPTION_RENEWED",
    ON,
    "GRACE_PERIOD_STARTED",
    FAILED,
    ON,
    "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD",
    "SUBSCRIPTION_DEFERRED",
    OFF,
    "SUBSCRIPTION_REFUNDED_REVOKED",
    ON,
    "REFUND_REVERSED",
    OFF,
    "SUBSCRIPTION_TRANSFERRED",
    ON,
    "SUBSCRIPTION_RECEIVED",
    "RENEWAL_DISABLED",
    OFF,
    "SUBSCRIPTION_TERMINATED",
];

/// Ranks in the catalogue say which plan is more.
#[tokio::test]
async fn downgrade() {
    let world = World::new(Outlet::Webhook).await;
    world.rank("pro_yearly", 1).await;
    world.rank("pro_monthly", 2).await;
    play(&world, downgraded()).await;
    let told = [ON, STARTED, "PLAN_CHANGE_SCHEDULED", OFF, ON, "SUBSCRIPTION_DOWNGRADED", "SUBSCRIPTION_RENEWED"];
    world.tells(&told).await;
}

/// The list price, once a period, and back with a refund.
#[tokio::test]
async fn money() {
    let world = World::new(Outlet::Webhook).await;
    play(&world, refunded_earlier()).await;
    assert_eq!(
        world.money().await,
        [(999, "700000".to_owned()), (999, "700001".to_owned()), (-999, "700000".to_owned())]
    );
    world.stop().await;
}
