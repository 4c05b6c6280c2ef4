//! Every canonical event in every store, cell by cell.

use super::super::{Options, ReactivationAs, messages};
use super::{COLUMNS, codes, lines, variant};
use crate::event::EventType;
use crate::observation::Store;
use std::collections::BTreeSet;

/// lifecycle.md section 4 with the store limits. Columns: App Store, Play, Amazon, Stripe, Promo, the others; one cell
/// stands for all. Codes: see `super::code`; `-` is nothing.
const CELLS: &str = "
    ACTIVATE                                  | -
    DEACTIVATE                                | -
    DEACTIVATE @alone                         | EX/U
    DEACTIVATE @catalogue                     | EX/U
    DEACTIVATE @replaced                      | -
    DEACTIVATE @transferred                   | -
    DEACTIVATE @one_time_refunded             | -
    SUBSCRIPTION_STARTED                      | IP+       | IP+     | IP+     | IP+     | -       | IP+
    SUBSCRIPTION_STARTED @trial               | IP.T      | IP.T    | IP.T    | IP.T    | -       | IP.T
    SUBSCRIPTION_STARTED @intro               | IP.I+     | IP.I+   | IP.I+   | IP.I+   | -       | IP.I+
    SUBSCRIPTION_STARTED @prepaid             | IP.P+     | IP.P+   | IP.P+   | IP.P+   | -       | IP.P+
    SUBSCRIPTION_RENEWED                      | RN+       | RN+     | RN+     | RN+     | -       | RN+
    SUBSCRIPTION_RENEWED @from_trial          | RN!+      | RN!+    | RN!+    | RN!+    | -       | RN!+
    SUBSCRIPTION_REACTIVATED                  | RN+       | IP+     | IP+     | IP+     | -       | IP+
    SUBSCRIPTION_REACTIVATED @same_chain      | RN+       | IP+     | IP+     | IP+     | -       | RN+
    SUBSCRIPTION_REACTIVATED @other_chain     | IP+       | IP+     | IP+     | IP+     | -       | IP+
    SUBSCRIPTION_REACTIVATED @from_trial      | RN!+      | IP+     | IP+     | IP+     | -       | IP+
    SUBSCRIPTION_UPGRADED                     | PC RN+    | PC IP+  | IP+     | PC RN+  | -       | PC RN+
    SUBSCRIPTION_UPGRADED @same_chain         | PC RN+    | PC IP+  | RN+     | PC RN+  | -       | PC RN+
    SUBSCRIPTION_UPGRADED @at_renewal         | -
    SUBSCRIPTION_UPGRADED @announced          | RN+       | RN+     | RN+     | RN+     | -       | RN+
    SUBSCRIPTION_UPGRADED @from_trial         | PC.T RN!+ | PC.T IP+ | IP+    | PC.T RN!+ | -     | PC.T RN!+
    SUBSCRIPTION_UPGRADED @unpaid             | PC        | PC      | -       | PC      | -       | PC
    SUBSCRIPTION_CROSSGRADED                  | PC RN+    | PC IP+  | IP+     | PC RN+  | -       | PC RN+
    SUBSCRIPTION_CROSSGRADED @at_renewal      | -
    SUBSCRIPTION_CROSSGRADED @announced       | RN+       | RN+     | RN+     | RN+     | -       | RN+
    SUBSCRIPTION_DOWNGRADED                   | -
    SUBSCRIPTION_DOWNGRADED @at_once          | PC RN+    | PC IP+  | IP+     | PC RN+  | -       | PC RN+
    SUBSCRIPTION_DOWNGRADED @announced        | RN+       | RN+     | RN+     | RN+     | -       | RN+
    PLAN_CHANGE_SCHEDULED                     | PC        | PC      | -       | PC      | -       | PC
    PLAN_CHANGE_UNSCHEDULED                   | -
    SUBSCRIPTION_DEFERRED                     | XT        | XT      | XT      | XT      | -       | XT
    RENEWAL_DISABLED                          | CA/U
    RENEWAL_DISABLED @no_reason               | CA/?
    RENEWAL_DISABLED @over                    | -
    RENEWAL_DISABLED @trial                   | CA/U.T
    RENEWAL_ENABLED                           | UC        | UC      | UC      | -       | -       | UC
    RENEWAL_ENABLED @beside_recovery          | -
    SUBSCRIPTION_TERMINATED                   | EX/U
    SUBSCRIPTION_TERMINATED @untold           | CA/U EX/U | CA/U EX/U | CA/U EX/U | CA/U EX/U | EX/U | CA/U EX/U
    SUBSCRIPTION_TERMINATED @access_was_off   | -
    SUBSCRIPTION_TERMINATED @after_grace      | -
    SUBSCRIPTION_TERMINATED @grant_ran_out    | EX/?.G
    FAMILY_SHARED_REVOKED                     | CA/? EX/?
    GRACE_PERIOD_STARTED                      | BI CA/B   | BI CA/B | BI CA/B | BI CA/B | CA/B    | BI CA/B
    GRACE_PERIOD_TERMINATED                   | EX/B
    ENTERED_BILLING_RETRY                     | BI CA/B EX/B | BI CA/B EX/B | BI CA/B EX/B | BI CA/B EX/B | CA/B EX/B | BI CA/B EX/B
    ENTERED_BILLING_RETRY @after_grace        | -
    ENTERED_BILLING_RETRY @after_pause        | BI CA/B   | BI CA/B | BI CA/B | BI CA/B | CA/B    | BI CA/B
    SUBSCRIPTION_CANCELLED_DURING_GRACE_PERIOD | EX/U
    SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD  | RN+       | RN+     | RN+     | RN+     | -       | RN+
    SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD @from_trial | RN!+ | RN!+ | RN!+ | RN!+    | -       | RN!+
    SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY | RN+       | RN+     | RN+     | RN+     | -       | RN+
    SUBSCRIPTION_WILL_PAUSE                   | -         | SP      | -       | -       | -       | SP
    SUBSCRIPTION_WILL_NOT_PAUSE               | -
    SUBSCRIPTION_PAUSED                       | EX/P
    SUBSCRIPTION_UNPAUSED                     | RN+       | RN+     | RN+     | RN+     | -       | RN+
    SUBSCRIPTION_CANCELLED_DURING_PAUSE       | CA/U
    SUBSCRIPTION_TRANSFERRED                  | -
    SUBSCRIPTION_RECEIVED                     | TR        | TR      | TR      | TR      | -       | TR
    ONE_TIME_PURCHASE_TRANSFERRED             | -
    ONE_TIME_PURCHASE_RECEIVED                | TR        | TR      | TR      | TR      | -       | TR
    SUBSCRIPTION_REFUNDED_REVOKED             | CA/C- EX/C
    SUBSCRIPTION_REFUNDED_REVOKED @access_was_off | CA/C-
    SUBSCRIPTION_REFUNDED_REVOKED @no_refund  | CA/C EX/C
    TRIAL_STARTED                             | -
    TRIAL_CONVERTED                           | -
    TRIAL_NOT_CONVERTED                       | -
    INTRO_OFFER_STARTED                       | -
    INTRO_OFFER_CONVERTED                     | -
    INTRO_OFFER_NOT_CONVERTED                 | -
    PROMO_CODE_STARTED                        | -
    PROMO_CODE_CONVERTED                      | -
    PROMO_CODE_NOT_CONVERTED                  | -
    PROMOTIONAL_OFFER_STARTED                 | -
    PROMOTIONAL_OFFER_CONVERTED               | -
    PROMOTIONAL_OFFER_NOT_CONVERTED           | -
    TRANSACTION_PROCESSED                     | -
    RETENTION_MESSAGE_REQUESTED               | -
    ONE_TIME_PURCHASED                        | NP+
    ONE_TIME_REFUNDED                         | CA/C-
    ONE_TIME_EXPIRED                          | EX/?
    PROMO_GRANTED                             | NP.G
    PROMO_GRANTED @trial_grant                | NP.G
    PROMO_REVOKED                             | CA/D.G EX/D.G
    TEMPORARY_ENTITLEMENT_GRANTED             | TG        | TG      | TG      | TG      | -       | TG
    PAYMENT_FAILED                            | -
    REFUND_REQUESTED                          | -
    REFUND_DECLINED                           | -
    REFUND_REVERSED                           | RR+       | -       | -       | -       | -       | RR+
    REFUND_REVERSED @access_was_off           | RR+       | -       | -       | -       | -       | RR+
    REFUND_REVERSED @earlier                  | -
    REFUND_RECORDED                           | -
    REFUND_RECORDED @latest                   | CA/C-
    REFUND_RECORDED @latest_partial           | -
    PRICE_INCREASE_PENDING                    | PR        | PR      | PR      | PR      | -       | PR
    PRICE_INCREASE_ACCEPTED                   | PA        | PA      | PA      | PA      | -       | PA
    OFFER_REDEEMED                            | -
    ENTITLEMENTS_CHANGED                      | -
    OPERATOR_ALERT                            | -
    OPERATOR_ALERT_OVER                       | -
    TEST                                      | TE
";

#[test]
fn every_event_of_every_store_has_its_cell() {
    let mut seen = BTreeSet::new();
    for line in lines(CELLS) {
        seen.insert(line.event_type);
        for (stores, expected) in COLUMNS.iter().zip(&line.cells) {
            for &store in *stores {
                let event = variant(line.event_type, store, line.variant);
                let told = codes(&messages(&event, &Options::webhook()));
                assert_eq!(told, *expected, "{} @{} of {store}", line.event_type, line.variant);
            }
        }
    }
    let missing: Vec<_> = EventType::ALL.iter().filter(|event_type| !seen.contains(event_type)).collect();
    assert!(missing.is_empty(), "no expected cell for {missing:?}");
}

/// Without the limits each store tells what the store without any limits tells, but for how it makes new purchases.
#[test]
fn without_store_limits_every_type_is_told() {
    let options = Options { store_limits: false, ..Options::webhook() };
    for (event_type, store, expected) in [
        (EventType::RenewalEnabled, Store::Stripe, "UC"),
        (EventType::SubscriptionUpgraded, Store::Amazon, "PC IP+"),
        (EventType::PlanChangeScheduled, Store::Amazon, "PC"),
        (EventType::SubscriptionWillPause, Store::AppStore, "SP"),
        (EventType::RefundReversed, Store::PlayStore, "RR+"),
        (EventType::SubscriptionStarted, Store::Promotional, "IP+"),
        (EventType::SubscriptionReceived, Store::Promotional, "TR"),
    ] {
        let told = codes(&messages(&variant(event_type, store, ""), &options));
        assert_eq!(told, expected, "{event_type} of {store}");
    }
}

#[test]
fn a_lapsed_customers_return_is_told_as_the_owner_wants() {
    for (reactivation_as, app_store, play) in [
        (ReactivationAs::ByStore, "RN+", "IP+"),
        (ReactivationAs::Renewal, "RN+", "RN+"),
        (ReactivationAs::InitialPurchase, "IP+", "IP+"),
    ] {
        let options = Options { reactivation_as, ..Options::webhook() };
        for (store, expected) in [(Store::AppStore, app_store), (Store::PlayStore, play)] {
            let event = variant(EventType::SubscriptionReactivated, store, "");
            assert_eq!(codes(&messages(&event, &options)), expected, "{reactivation_as} {store}");
        }
    }
}

/// Told by comparing, where the engine did not say whether a cancellation was told before.
#[test]
fn an_ending_that_nobody_announced_is_announced() {
    for (will_renew, expected) in [(Some(true), "CA/U EX/U"), (None, "CA/U EX/U"), (Some(false), "EX/U")] {
        let mut event = variant(EventType::SubscriptionTerminated, Store::AppStore, "");
        event.details.cancellation_told = None;
        event.previous.as_mut().unwrap().will_renew = will_renew;
        assert_eq!(codes(&messages(&event, &Options::webhook())), expected, "{will_renew:?}");
    }
}

#[test]
fn ids_are_uuids_that_differ_by_message_and_never_by_options() {
    let event = variant(EventType::EnteredBillingRetry, Store::AppStore, "");
    let told = messages(&event, &Options::webhook());
    let ids: BTreeSet<_> = told.iter().map(|message| message.id.clone()).collect();
    assert_eq!(ids.len(), 3);
    for id in &ids {
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{id}");
    }
    let unlimited = messages(&event, &Options { store_limits: false, ..Options::webhook() });
    assert_eq!(unlimited, told);
    let mut other = event.clone();
    other.id.0[15] ^= 1;
    assert!(messages(&other, &Options::webhook()).iter().all(|message| !ids.contains(&message.id)));
}

#[test]
fn a_product_change_shows_the_old_product_and_names_the_new() {
    for event_type in [EventType::PlanChangeScheduled, EventType::SubscriptionUpgraded] {
        let mut event = variant(event_type, Store::AppStore, "");
        for told_by_engine in [true, false] {
            if !told_by_engine {
                event.details = crate::event::Details::default();
            }
            let message = messages(&event, &Options::webhook()).remove(0);
            assert_eq!(message.product_id.as_deref(), Some("pro_monthly"), "{event_type}");
            assert_eq!(message.new_product_id.as_deref(), Some("pro_yearly"), "{event_type}");
        }
    }
    let event = variant(EventType::SubscriptionUpgraded, Store::AppStore, "");
    let renewal = messages(&event, &Options::webhook()).remove(1);
    assert_eq!(renewal.product_id.as_deref(), Some("pro_yearly"));
    assert_eq!(renewal.new_product_id, None);
}
