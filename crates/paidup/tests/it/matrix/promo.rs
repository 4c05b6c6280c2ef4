//! The Promo column: entitlements that are given by hand through the API. Where a grant cannot do what the row is about, a
//! backend of the user's own tells it of a purchase in the store PROMOTIONAL, so that an empty cell is put to the test.

use super::world::{Column, FROM, World};
use crate::support::{at, observation, start};
use serde_json::{Value, json};
use std::time::Duration;

const COLUMN: Column = Column { store: "PROMOTIONAL", products: "rc_promo_pro_" };

const CUSTOMER: &str = "user-1";
const DAY: Duration = Duration::from_secs(24 * 3600);

mod webhook {
    use super::*;
    use crate::matrix::{cells, world::Outlet};

    const GRANTED: &str = "NON_RENEWING_PURCHASE";

    cells! { Outlet::Webhook, play;
        test_is_never_told: [Given("promotional"), Extended, TakenAway], "PROMO_REVOKED" =>
            [GRANTED, "CANCELLATION/DEVELOPER_INITIATED", "EXPIRATION/DEVELOPER_INITIATED"];
        initial_purchase_is_never_told: [Bought], "SUBSCRIPTION_STARTED" => [];
        initial_purchase_is_never_told_of_a_trial: [Given("trial")], "TRIAL_STARTED" => [GRANTED];
        renewal_is_never_told: [Bought, Told("renewed")], "SUBSCRIPTION_RENEWED" => [];
        renewal_is_never_told_of_a_conversion: [Given("trial"), Paid], "TRIAL_CONVERTED" => [GRANTED];
        cancellation: [Given("promotional"), TakenAway], "PROMO_REVOKED" =>
            [GRANTED, "CANCELLATION/DEVELOPER_INITIATED", "EXPIRATION/DEVELOPER_INITIATED"];
        uncancellation_is_never_told: [Bought, Told("renewal_disabled"), Told("renewal_enabled")], "RENEWAL_ENABLED" =>
            ["CANCELLATION/UNSUBSCRIBE"];
        non_renewing_purchase: [Given("promotional")], "PROMO_GRANTED" => [GRANTED];
        subscription_paused_is_never_told: [Bought, Told("pause_scheduled")], "SUBSCRIPTION_WILL_PAUSE" => [];
        expiration: [Given("promotional"), RanOut], "SUBSCRIPTION_TERMINATED" => [GRANTED, "EXPIRATION/UNKNOWN"];
        billing_issue_is_never_told: [Bought, Told("grace_started")], "GRACE_PERIOD_STARTED" =>
            ["CANCELLATION/BILLING_ERROR"];
        product_change_is_never_told: [Bought, Told("product_change_scheduled")], "PLAN_CHANGE_SCHEDULED" => [];
        transfer_is_never_told: [Given("promotional"), Joined], "SUBSCRIPTION_RECEIVED" => [GRANTED, GRANTED];
        subscription_extended_is_never_told: [Given("promotional"), Extended], "SUBSCRIPTION_DEFERRED" => [GRANTED];
        refund_reversed_is_never_told: [Bought, Told("refunded"), Told("refund_reversed")], "REFUND_REVERSED" =>
            ["CANCELLATION/CUSTOMER_SUPPORT", "EXPIRATION/CUSTOMER_SUPPORT"];
        temporary_entitlement_grant_is_never_told: [Given("promotional"), Extended, RanOut], "SUBSCRIPTION_TERMINATED" =>
            [GRANTED, "EXPIRATION/UNKNOWN"];
        invoice_issuance_is_never_told: [Given("promotional"), Extended, RanOut], "SUBSCRIPTION_TERMINATED" =>
            [GRANTED, "EXPIRATION/UNKNOWN"];
        virtual_currency_transaction_is_never_told: [Given("promotional"), Extended, RanOut], "SUBSCRIPTION_TERMINATED" =>
            [GRANTED, "EXPIRATION/UNKNOWN"];
        // The page has it for every store, but it is about experiments in RevenueCat's own paywalls.
        experiment_enrollment_is_revenuecats_own: [Given("promotional"), Extended, RanOut], "SUBSCRIPTION_TERMINATED" =>
            [GRANTED, "EXPIRATION/UNKNOWN"];
    }
}

mod discord {
    use super::*;
    use crate::matrix::{cells, world::Outlet};

    const GRANTED: &str = "Non Subscription Purchase";

    cells! { Outlet::Discord, play;
        initial_purchase_is_never_told: [Bought], "SUBSCRIPTION_STARTED" => [];
        trial_started_is_never_told: [Given("trial")], "TRIAL_STARTED" => [GRANTED];
        trial_converted_is_never_told: [Given("trial"), Paid], "TRIAL_CONVERTED" => [GRANTED];
        trial_cancelled_is_never_told: [Given("trial"), TakenAway], "PROMO_REVOKED" => [GRANTED, "Cancellation"];
        renewal_is_never_told: [Bought, Told("renewed")], "SUBSCRIPTION_RENEWED" => [];
        cancellation: [Given("promotional"), TakenAway], "PROMO_REVOKED" => [GRANTED, "Cancellation"];
        non_subscription_purchase: [Given("promotional")], "PROMO_GRANTED" => [GRANTED];
        expiration_is_never_told: [Given("promotional"), RanOut], "SUBSCRIPTION_TERMINATED" => [GRANTED];
        billing_issue_is_never_told: [Bought, Told("grace_started")], "GRACE_PERIOD_STARTED" => ["Cancellation"];
        product_change_is_never_told: [Bought, Told("product_change_scheduled")], "PLAN_CHANGE_SCHEDULED" => [];
    }
}

mod intercom {
    use super::*;
    use crate::matrix::{cells, world::Outlet};

    const GRANTED: &str = "rc_non_subscription_purchase_event";
    const TRIED: &str = "rc_trial_started_event";
    const CANCELLED: &str = "rc_cancellation_event";
    const EXPIRED: &str = "rc_expiration_event";

    cells! { Outlet::Intercom, play;
        initial_purchase_is_never_told: [Bought], "SUBSCRIPTION_STARTED" => [];
        trial_started: [Given("trial")], "TRIAL_STARTED" => [TRIED];
        trial_converted: [Given("trial"), Paid], "TRIAL_CONVERTED" => [TRIED, "rc_trial_converted_event"];
        trial_cancelled: [Given("trial"), TakenAway], "PROMO_REVOKED" => [TRIED, "rc_trial_cancelled_event", EXPIRED];
        renewal_is_never_told: [Bought, Told("renewed")], "SUBSCRIPTION_RENEWED" => [];
        cancellation: [Given("promotional"), TakenAway], "PROMO_REVOKED" => [GRANTED, CANCELLED, EXPIRED];
        non_subscription_purchase: [Given("promotional")], "PROMO_GRANTED" => [GRANTED];
        expiration: [Given("promotional"), RanOut], "SUBSCRIPTION_TERMINATED" => [GRANTED, EXPIRED];
        billing_issue_is_never_told: [Bought, Told("grace_started")], "GRACE_PERIOD_STARTED" => [CANCELLED];
        product_change_is_never_told: [Bought, Told("product_change_scheduled")], "PLAN_CHANGE_SCHEDULED" => [];
    }
}

/// Which canonical events a grant can produce (lifecycle section 14).
mod canonical {
    use super::*;
    use crate::matrix::world::{Outlet, World};

    /// Writes a test for each group: `cell: story => events since the first grant;`.
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
    const GRANTED: &str = "PROMO_GRANTED";
    const OVER: &str = "SUBSCRIPTION_TERMINATED";

    groups! {
        start: [Given("promotional")] => [ON, GRANTED];
        no_renew_but_an_end: [Given("promotional"), RanOut] => [ON, GRANTED, OFF, OVER];
        terminate_by_hand: [Given("promotional"), TakenAway] => [ON, GRANTED, OFF, "PROMO_REVOKED"];
        no_reactivated_in_chain: [Given("promotional"), RanOut, Given("promotional")] =>
            [ON, GRANTED, OFF, OVER, ON, GRANTED];
        no_upgrade: [Given("promotional"), Paid] => [ON, GRANTED, ON, "SUBSCRIPTION_STARTED"];
        deferred_by_hand: [Given("promotional"), Extended] => [ON, GRANTED, ON, "SUBSCRIPTION_DEFERRED"];
        no_auto_renew: [Given("promotional"), Extended, TakenAway] =>
            [ON, GRANTED, ON, "SUBSCRIPTION_DEFERRED", OFF, "PROMO_REVOKED"];
        no_grace_or_retry_or_pause_or_refund: [Given("promotional"), Extended, RanOut] =>
            [ON, GRANTED, ON, "SUBSCRIPTION_DEFERRED", OFF, OVER];
        // The other customer has a grant of its own.
        transfer_of_a_grant: [Given("promotional"), Joined] =>
            [ON, GRANTED, ON, GRANTED, OFF, "SUBSCRIPTION_TRANSFERRED", ON, "SUBSCRIPTION_RECEIVED"];
    }

    /// A grant moves no money.
    #[tokio::test]
    async fn money_is_none() {
        let world = World::new(Outlet::Webhook).await;
        play(&world, [Given("promotional"), Extended, TakenAway]).await;
        assert_eq!(world.money().await, []);
        world.stop().await;
    }
}

/// What happens, one after another, each a day after the one before.
#[derive(Clone, Copy)]
enum Step {
    /// By hand, for a week, as that period type.
    Given(&'static str),
    /// The grant ends a week later.
    Extended,
    /// The grant ends at once.
    TakenAway,
    /// The grant's days are over.
    RanOut,
    /// The customer buys in a store what was given.
    Paid,
    /// Another customer, with a grant of its own, turns out to be this one.
    Joined,
    /// A backend of the user's own tells of a subscription in the store PROMOTIONAL.
    Bought,
    /// It tells this of it.
    Told(&'static str),
}
use Step::{Bought, Extended, Given, Joined, Paid, RanOut, TakenAway, Told};

async fn play<const N: usize>(world: &World, story: [Step; N]) {
    let source = world.hub.source("generic", json!({})).await;
    let mut grant = String::new();
    for (day, step) in (0..).zip(story) {
        let now = at(FROM).plus(DAY * day);
        world.pass_until(now).await;
        let now = world.now();
        match step {
            Given(period_type) => {
                let asked = json!({"entitlement": "pro", "duration": "P7D", "period_type": period_type});
                let made = world.hub.api("POST", &format!("/v1/customers/{CUSTOMER}/grants"), asked).await.expect(201);
                grant = format!("/v1/grants/{}", made["id"].as_str().expect("an id"));
            }
            Extended => {
                let until = json!({"expires_at": now.plus(DAY * 7)});
                world.hub.api("PATCH", &grant, until).await.expect(200);
            }
            TakenAway => {
                world.hub.api("DELETE", &grant, Value::Null).await.expect(200);
            }
            RanOut => world.pass_until(now.plus(DAY * 8)).await,
            Paid => {
                let to = now.plus(DAY * 30).to_string();
                world.hub.observe(&source, start("paid", CUSTOMER, "sub-1", &now.to_string(), &to)).await;
            }
            Joined => {
                world.hub.api("POST", "/v1/customers/user-2/grants", json!({"entitlement": "other"})).await.expect(201);
                world.hub.api("POST", "/v1/customers/user-2/aliases", json!({"alias": CUSTOMER})).await.expect(200);
            }
            Bought => world.hub.observe(&source, promo(now.to_string(), "purchased")).await,
            Told(reason) => world.hub.observe(&source, promo(now.to_string(), reason)).await,
        }
    }
}

/// A backend's word about a subscription in the store PROMOTIONAL.
fn promo(now: String, reason: &str) -> Value {
    let month = |number: u32| (at(FROM).plus(DAY * 30 * number)).to_string();
    let more = match reason {
        "purchased" => json!({
            "customer_id": CUSTOMER, "kind": "subscription", "transaction_id": "promo-0", "product_id": "rc_promo_pro_monthly",
            "period_type": "normal", "period": {"starts_at": month(0), "ends_at": month(1)}, "will_renew": true,
        }),
        "renewed" => json!({"transaction_id": "promo-1", "period": {"starts_at": month(1), "ends_at": month(2)}}),
        "grace_started" => json!({"grace_ends_at": month(2)}),
        "pause_scheduled" => json!({"pause": {"starts_at": month(1), "resumes_at": month(2)}}),
        "product_change_scheduled" => json!({"pending_product_id": "rc_promo_pro_yearly"}),
        _ => json!({}),
    };
    let mut all = observation(&format!("{reason}-{now}"), &now, reason, "promo", more);
    all["store"] = json!(COLUMN.store);
    all
}
