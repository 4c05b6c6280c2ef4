//! The Play Store's column: pushes of Google's, and what its API answers about them. `webhook`, `discord` and `intercom` are
//! RevenueCat's tables, `canonical` is the canonical lifecycle's section 14.

mod canonical;
mod stories;

use super::world::{Column, Expected, Outlet, World};
use stories::*;

const COLUMN: Column = Column { store: "PLAY_STORE", products: "" };

/// Like `matrix::cells`, with stories that Google Play tells.
macro_rules! cells {
    ($outlet:expr; $($cell:ident: $story:path, $event:literal => $told:expr;)+) => {
        $(
            #[tokio::test]
            async fn $cell() {
                let world = World::in_play($outlet, $story).await;
                world.ends_with(Expected { column: COLUMN, event: $event, told: &$told }).await;
            }
        )+
    };
}

mod webhook {
    use super::*;

    cells! { Outlet::Webhook;
        test: tested, "TEST" => ["TEST"];
        initial_purchase: bought, "SUBSCRIPTION_STARTED" => ["INITIAL_PURCHASE"];
        initial_purchase_of_a_trial: trial, "TRIAL_STARTED" => ["INITIAL_PURCHASE"];
        initial_purchase_of_another_plan: upgraded, "SUBSCRIPTION_CROSSGRADED" =>
            ["INITIAL_PURCHASE", "PRODUCT_CHANGE", "INITIAL_PURCHASE"];
        renewal: renewed, "SUBSCRIPTION_RENEWED" => ["INITIAL_PURCHASE", "RENEWAL"];
        renewal_after_a_failed_charge: recovered, "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY" => ["INITIAL_PURCHASE",
            "BILLING_ISSUE", "CANCELLATION/BILLING_ERROR", "EXPIRATION/BILLING_ERROR", "RENEWAL"];
        cancellation: cancelled, "RENEWAL_DISABLED" => ["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE"];
        cancellation_by_a_refund: revoked, "SUBSCRIPTION_REFUNDED_REVOKED" =>
            ["INITIAL_PURCHASE", "CANCELLATION/CUSTOMER_SUPPORT", "EXPIRATION/CUSTOMER_SUPPORT"];
        uncancellation: uncancelled, "RENEWAL_ENABLED" =>
            ["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE", "UNCANCELLATION"];
        non_renewing_purchase: bought_once, "ONE_TIME_PURCHASED" => ["NON_RENEWING_PURCHASE"];
        subscription_paused: pause_planned, "SUBSCRIPTION_WILL_PAUSE" => ["INITIAL_PURCHASE", "SUBSCRIPTION_PAUSED"];
        expiration: expired, "SUBSCRIPTION_TERMINATED" =>
            ["INITIAL_PURCHASE", "CANCELLATION/UNSUBSCRIBE", "EXPIRATION/UNSUBSCRIBE"];
        expiration_by_a_pause: paused, "SUBSCRIPTION_PAUSED" =>
            ["INITIAL_PURCHASE", "SUBSCRIPTION_PAUSED", "EXPIRATION/SUBSCRIPTION_PAUSED"];
        billing_issue: failed, "GRACE_PERIOD_STARTED" =>
            ["INITIAL_PURCHASE", "BILLING_ISSUE", "CANCELLATION/BILLING_ERROR"];
        product_change: upgraded, "SUBSCRIPTION_CROSSGRADED" => ["INITIAL_PURCHASE", "PRODUCT_CHANGE", "INITIAL_PURCHASE"];
        product_change_that_is_announced: announced, "PLAN_CHANGE_SCHEDULED" => ["INITIAL_PURCHASE", "PRODUCT_CHANGE"];
        transfer: handed_over, "SUBSCRIPTION_RECEIVED" => ["INITIAL_PURCHASE", "TRANSFER"];
        subscription_extended: deferred, "SUBSCRIPTION_DEFERRED" => ["INITIAL_PURCHASE", "SUBSCRIPTION_EXTENDED"];
        refund_reversed_is_never_told: whole_life, "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        invoice_issuance_is_never_told: whole_life, "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        // The page has these for the Play Store, but they are about services of RevenueCat's own (its outages, currencies and
        // experiments), of which Google tells nothing.
        temporary_entitlement_grant_is_revenuecats_own: whole_life, "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        virtual_currency_transaction_is_revenuecats_own: whole_life, "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
        experiment_enrollment_is_revenuecats_own: whole_life, "SUBSCRIPTION_TERMINATED" => WHOLE_LIFE;
    }
}

mod discord {
    use super::*;

    cells! { Outlet::Discord;
        initial_purchase: bought, "SUBSCRIPTION_STARTED" => ["Initial Purchase"];
        trial_started: trial, "TRIAL_STARTED" => ["Trial Started"];
        trial_converted: trial_converted_life, "TRIAL_CONVERTED" => ["Trial Started", "Trial Converted"];
        trial_cancelled: trial_cancelled_life, "RENEWAL_DISABLED" => ["Trial Started", "Trial Cancelled"];
        renewal: renewed, "SUBSCRIPTION_RENEWED" => ["Initial Purchase", "Renewal"];
        cancellation: cancelled, "RENEWAL_DISABLED" => ["Initial Purchase", "Cancellation"];
        non_subscription_purchase: bought_once, "ONE_TIME_PURCHASED" => ["Non Subscription Purchase"];
        expiration_is_never_told: expired, "SUBSCRIPTION_TERMINATED" => ["Initial Purchase", "Cancellation"];
        billing_issue: failed, "GRACE_PERIOD_STARTED" => ["Initial Purchase", "Billing Issue", "Cancellation"];
        product_change: upgraded, "SUBSCRIPTION_CROSSGRADED" => ["Initial Purchase", "Product Change", "Initial Purchase"];
    }
}

mod intercom {
    use super::*;

    const BOUGHT: &str = "rc_initial_purchase_event";
    const TRIED: &str = "rc_trial_started_event";
    const CANCELLED: &str = "rc_cancellation_event";

    cells! { Outlet::Intercom;
        initial_purchase: bought, "SUBSCRIPTION_STARTED" => [BOUGHT];
        trial_started: trial, "TRIAL_STARTED" => [TRIED];
        trial_converted: trial_converted_life, "TRIAL_CONVERTED" => [TRIED, "rc_trial_converted_event"];
        trial_cancelled: trial_cancelled_life, "RENEWAL_DISABLED" => [TRIED, "rc_trial_cancelled_event"];
        renewal: renewed, "SUBSCRIPTION_RENEWED" => [BOUGHT, "rc_renewal_event"];
        cancellation: cancelled, "RENEWAL_DISABLED" => [BOUGHT, CANCELLED];
        non_subscription_purchase: bought_once, "ONE_TIME_PURCHASED" => ["rc_non_subscription_purchase_event"];
        expiration: expired, "SUBSCRIPTION_TERMINATED" => [BOUGHT, CANCELLED, "rc_expiration_event"];
        billing_issue: failed, "GRACE_PERIOD_STARTED" => [BOUGHT, "rc_billing_issue_event", CANCELLED];
        product_change: upgraded, "SUBSCRIPTION_CROSSGRADED" => [BOUGHT, "rc_product_change_event", BOUGHT];
    }
}
