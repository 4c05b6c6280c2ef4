//! The App Store's column: notifications that are signed as Apple signs them. `webhook`, `discord` and `intercom` are
//! RevenueCat's tables, `canonical` is the canonical lifecycle's section 14.

mod canonical;
mod stories;

use super::world::Column;
use stories::*;

const COLUMN: Column = Column { store: "APP_STORE", products: "" };

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
