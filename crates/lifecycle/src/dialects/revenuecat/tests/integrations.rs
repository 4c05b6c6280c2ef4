//! The ten names, by outlet and store (revenuecat-events.md section 2, intercom.md A2, revenuecat-discord.md section 2).

use super::super::{IntegrationEvent, Options, Outlet, integration_events};
use super::{COLUMNS, lines, variant};
use crate::event::EventType;
use crate::observation::Store;
use std::collections::BTreeSet;

/// What both integrations say alike; the Promo column is in the tables below. Names are shortened: see `code`.
const BOTH: &str = "
    SUBSCRIPTION_STARTED                      | purchase   | purchase   | purchase  | purchase   | -  | purchase
    SUBSCRIPTION_STARTED @intro               | purchase   | purchase   | purchase  | purchase   | -  | purchase
    SUBSCRIPTION_RENEWED                      | renewal    | renewal    | renewal   | renewal    | -  | renewal
    SUBSCRIPTION_UPGRADED                     | change renewal | change purchase | purchase | change renewal | - | change renewal
    SUBSCRIPTION_UPGRADED @at_renewal         | -
    PLAN_CHANGE_SCHEDULED                     | change     | change     | -         | change     | -  | change
    SUBSCRIPTION_DEFERRED                     | -
    RENEWAL_DISABLED                          | cancel
    RENEWAL_ENABLED                           | -
    GRACE_PERIOD_STARTED                      | issue cancel | issue cancel | issue cancel | issue cancel | cancel | issue cancel
    SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD  | renewal    | renewal    | renewal   | renewal    | -  | renewal
    SUBSCRIPTION_WILL_PAUSE                   | -
    SUBSCRIPTION_CANCELLED_DURING_PAUSE       | cancel
    SUBSCRIPTION_TRANSFERRED                  | -
    SUBSCRIPTION_RECEIVED                     | -
    SUBSCRIPTION_TERMINATED                   | end
    SUBSCRIPTION_TERMINATED @access_was_off   | -
    SUBSCRIPTION_PAUSED                       | end
    SUBSCRIPTION_REFUNDED_REVOKED             | cancel end
    ENTERED_BILLING_RETRY                     | issue cancel end | issue cancel end | issue cancel end | issue cancel end | cancel end | issue cancel end
    TRIAL_STARTED                             | -
    TRIAL_CONVERTED                           | -
    TRANSACTION_PROCESSED                     | -
    ONE_TIME_PURCHASED                        | once
    ONE_TIME_REFUNDED                         | cancel
    PROMO_GRANTED                             | once
    PROMO_REVOKED                             | cancel end
    REFUND_REVERSED                           | -
    PAYMENT_FAILED                            | -
    OPERATOR_ALERT                            | -
    OPERATOR_ALERT_OVER                       | -
    TEST                                      | -
";

const DISCORD: &str = "
    SUBSCRIPTION_STARTED @trial               | trial      | trial      | trial     | trial      | -  | trial
    SUBSCRIPTION_RENEWED @from_trial          | converted  | converted  | converted | converted  | -  | converted
    SUBSCRIPTION_REACTIVATED                  | renewal    | renewal    | renewal   | renewal    | -  | renewal
    RENEWAL_DISABLED @trial                   | trial-off  | trial-off  | trial-off | trial-off  | -  | trial-off
    SUBSCRIPTION_TERMINATED @untold_trial     | trial-off end | trial-off end | trial-off end | trial-off end | end | trial-off end
    GRACE_PERIOD_STARTED @trial               | issue cancel | issue cancel | issue cancel | issue cancel | cancel | issue cancel
    PROMO_GRANTED @trial_grant                | once
    PROMO_REVOKED @trial_grant                | cancel end
    TRIAL_CONVERTED @trial_grant              | converted  | converted  | converted | converted  | -  | converted
";

const INTERCOM: &str = "
    SUBSCRIPTION_STARTED @trial               | trial      | trial      | trial     | trial      | trial     | trial
    SUBSCRIPTION_RENEWED @from_trial          | converted  | converted  | converted | converted  | converted | converted
    SUBSCRIPTION_REACTIVATED                  | purchase   | purchase   | purchase  | purchase   | -         | purchase
    RENEWAL_DISABLED @trial                   | trial-off
    SUBSCRIPTION_TERMINATED @untold_trial     | trial-off end | trial-off end | trial-off end | trial-off end | end | trial-off end
    GRACE_PERIOD_STARTED @trial               | issue cancel | issue cancel | issue cancel | issue cancel | cancel | issue cancel
    PROMO_GRANTED @trial_grant                | trial
    PROMO_REVOKED @trial_grant                | trial-off end
    TRIAL_CONVERTED @trial_grant              | converted
";

fn code(event: IntegrationEvent) -> &'static str {
    match event {
        IntegrationEvent::InitialPurchase => "purchase",
        IntegrationEvent::TrialStarted => "trial",
        IntegrationEvent::TrialConverted => "converted",
        IntegrationEvent::TrialCancelled => "trial-off",
        IntegrationEvent::Renewal => "renewal",
        IntegrationEvent::Cancellation => "cancel",
        IntegrationEvent::NonSubscriptionPurchase => "once",
        IntegrationEvent::BillingIssue => "issue",
        IntegrationEvent::ProductChange => "change",
        IntegrationEvent::Expiration => "end",
    }
}

fn told(event: &crate::event::Event, options: &Options) -> String {
    let names: Vec<_> = integration_events(event, options).iter().map(|told| code(told.event)).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(" ") }
}

#[test]
fn every_name_is_told_where_its_page_says() {
    let mut reached = BTreeSet::new();
    for (options, table) in [
        (Options::discord(), BOTH),
        (Options::discord(), DISCORD),
        (Options::intercom(), BOTH),
        (Options::intercom(), INTERCOM),
    ] {
        for line in lines(table) {
            for (stores, expected) in COLUMNS.iter().zip(&line.cells) {
                for &store in *stores {
                    let event = variant(line.event_type, store, line.variant);
                    let place = format!("{} {} @{} of {store}", options.outlet, line.event_type, line.variant);
                    assert_eq!(told(&event, &options), *expected, "{place}");
                    reached
                        .extend(integration_events(&event, &options).iter().map(|told| (options.outlet, told.event)));
                }
            }
        }
    }
    for outlet in [Outlet::Discord, Outlet::Intercom] {
        for &event in IntegrationEvent::ALL {
            assert!(reached.contains(&(outlet, event)), "{outlet} never tells {event}");
        }
    }
}

#[test]
fn discord_has_nine_names_unasked_and_intercom_ten() {
    let on = |outlet| IntegrationEvent::ALL.iter().filter(|event| event.is_on_by_default(outlet)).count();
    assert_eq!(on(Outlet::Discord), 9);
    assert_eq!(on(Outlet::Intercom), 10);
}

/// Trial Cancelled is the customer's wish: whatever happens to a trial, a failed charge is not one.
#[test]
fn a_failed_charge_never_cancels_a_trial() {
    for event_type in [EventType::GracePeriodStarted, EventType::EnteredBillingRetry] {
        for &store in Store::ALL {
            for options in [Options::discord(), Options::intercom()] {
                let event = variant(event_type, store, "trial");
                let told = integration_events(&event, &options);
                assert!(told.iter().all(|told| told.event != IntegrationEvent::TrialCancelled), "{event_type} {store}");
            }
        }
    }
}
