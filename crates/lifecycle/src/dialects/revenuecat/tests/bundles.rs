//! Whole bundles: what all events of one bundle tell together, in order (lifecycle.md section 5 and RevenueCat's
//! event flows).

use super::super::{Options, RcType, messages, status};
use super::{codes, stand_in};
use crate::event::{Edge, Event, EventType};
use crate::observation::{Reason, Store};
use crate::purchase::State;
use crate::sample;

/// Row of lifecycle.md section 5, state before, bundle, what RevenueCat tells.
type Row = (&'static str, State, &'static [EventType], &'static str);

const ROWS: &[Row] = {
    use EventType as E;
    use State as S;
    &[
        ("2 first period", S::None, &[E::Activate, E::SubscriptionStarted, E::TransactionProcessed], "IP+"),
        (
            "5 refund",
            S::Active,
            &[E::Deactivate, E::SubscriptionRefundedRevoked, E::TransactionProcessed],
            "CA/C- EX/C",
        ),
        ("5 family", S::Active, &[E::Deactivate, E::FamilySharedRevoked], "CA/? EX/?"),
        ("6 earlier refund", S::Active, &[E::RefundRecorded, E::TransactionProcessed], "-"),
        ("7 at once", S::Active, &[E::Deactivate, E::Activate, E::SubscriptionUpgraded], "PC RN+"),
        (
            "7 at a renewal",
            S::Active,
            &[E::Deactivate, E::Activate, E::SubscriptionDowngraded, E::SubscriptionRenewed, E::TransactionProcessed],
            "RN+",
        ),
        (
            "7 and 16 at once in grace, paid",
            S::Grace,
            &[E::Deactivate, E::Activate, E::SubscriptionUpgraded, E::SubscriptionRecoveredFromGracePeriod],
            "PC RN+",
        ),
        ("10 renewed", S::Active, &[E::Activate, E::SubscriptionRenewed, E::TransactionProcessed], "RN+"),
        ("12 off", S::Active, &[E::RenewalDisabled], "CA/U"),
        ("13 on", S::Active, &[E::RenewalEnabled], "UC"),
        ("14 grace", S::Active, &[E::Activate, E::GracePeriodStarted, E::PaymentFailed], "BI CA/B"),
        ("15 retry", S::Active, &[E::Deactivate, E::EnteredBillingRetry, E::PaymentFailed], "BI CA/B EX/B"),
        ("16 paid in grace", S::Grace, &[E::Activate, E::SubscriptionRecoveredFromGracePeriod], "RN+"),
        ("17 retry after grace", S::Grace, &[E::Deactivate, E::GracePeriodTerminated, E::EnteredBillingRetry], "EX/B"),
        (
            "18 over after grace",
            S::Grace,
            &[E::Deactivate, E::GracePeriodTerminated, E::SubscriptionTerminated],
            "EX/B",
        ),
        (
            "19 cancelled in grace",
            S::Grace,
            &[E::Deactivate, E::SubscriptionCancelledDuringGracePeriod, E::SubscriptionTerminated],
            "EX/U",
        ),
        ("20 paid in retry", S::BillingRetry, &[E::Activate, E::SubscriptionRecoveredFromBillingRetry], "RN+"),
        ("21 given up", S::BillingRetry, &[E::SubscriptionTerminated, E::TrialNotConverted], "-"),
        ("23 pause", S::Active, &[E::Deactivate, E::SubscriptionPaused], "EX/P"),
        ("24 resumed", S::Paused, &[E::Activate, E::SubscriptionUnpaused, E::TransactionProcessed], "RN+"),
        ("25 resume unpaid", S::Paused, &[E::EnteredBillingRetry], "BI CA/B"),
        ("26 cancelled in pause", S::Paused, &[E::SubscriptionCancelledDuringPause, E::SubscriptionTerminated], "CA/U"),
        ("27 ran out", S::Active, &[E::Deactivate, E::SubscriptionTerminated, E::TrialNotConverted], "EX/U"),
        (
            "27 cancelled in the same breath",
            S::Active,
            &[E::RenewalDisabled, E::Deactivate, E::SubscriptionTerminated],
            "CA/U EX/U",
        ),
        ("28 came back", S::Expired, &[E::Activate, E::SubscriptionReactivated, E::TransactionProcessed], "RN+"),
        ("29 refund undone", S::Revoked, &[E::Activate, E::RefundReversed, E::TransactionProcessed], "RR+"),
        ("30 former owner", S::Active, &[E::Deactivate, E::SubscriptionTransferred], "-"),
        ("30 new owner", S::Active, &[E::Activate, E::SubscriptionReceived], "TR"),
        (
            "33 ended unseen, came back",
            S::Active,
            &[E::Deactivate, E::SubscriptionTerminated, E::Activate, E::SubscriptionReactivated],
            "EX/U RN+",
        ),
        ("access withdrawn, nothing else known", S::Active, &[E::Deactivate], "EX/U"),
    ]
};

fn bundle(before: State, types: &[EventType]) -> Vec<Event> {
    let swap = types.contains(&EventType::Deactivate) && types.iter().any(is_plan_change);
    let handed_over =
        types.iter().any(|told| matches!(told, EventType::SubscriptionTransferred | EventType::SubscriptionReceived));
    types
        .iter()
        .map(|&event_type| {
            let mut event = sample::event(event_type, Store::AppStore);
            stand_in(&mut event, types);
            if let Some(previous) = &mut event.previous {
                previous.state = before;
            }
            event.edge = event.edge.map(|edge| {
                if swap {
                    Edge::Replaced
                } else if handed_over {
                    Edge::Transferred
                } else {
                    edge
                }
            });
            event
        })
        .collect()
}

fn is_plan_change(told: &EventType) -> bool {
    matches!(
        told,
        EventType::SubscriptionUpgraded | EventType::SubscriptionCrossgraded | EventType::SubscriptionDowngraded
    )
}

#[test]
fn every_row_of_the_transition_table_is_told_once() {
    for (row, before, types, expected) in ROWS {
        let told: Vec<_> =
            bundle(*before, types).iter().flat_map(|event| messages(event, &Options::webhook())).collect();
        assert_eq!(codes(&told), *expected, "row {row}");
    }
}

/// Whatever the bundle: at most one end, one start or renewal, one failure.
#[test]
fn no_bundle_tells_the_same_twice() {
    let starts = [RcType::InitialPurchase, RcType::Renewal, RcType::NonRenewingPurchase];
    for &event_type in EventType::ALL {
        for &store in Store::ALL {
            let events = sample::bundle(event_type, store);
            let options = Options { store_limits: false, ..Options::webhook() };
            let told: Vec<_> =
                events.iter().flat_map(|event| messages(event, &options)).map(|message| message.rc_type).collect();
            let count = |wanted: &[RcType]| told.iter().filter(|rc_type| wanted.contains(rc_type)).count();
            assert!(count(&[RcType::Expiration]) <= 1, "{event_type} {store}: {told:?}");
            assert!(count(&[RcType::BillingIssue]) <= 1, "{event_type} {store}: {told:?}");
            assert!(count(&[RcType::Cancellation]) <= 1, "{event_type} {store}: {told:?}");
            assert!(count(&starts) <= 1, "{event_type} {store}: {told:?}");
        }
    }
}

/// EXPIRATION is told exactly when a bundle takes access away for good or for now: not at a swap or a transfer.
#[test]
fn expiration_follows_the_edge() {
    for &event_type in EventType::ALL {
        let events = sample::bundle(event_type, Store::AppStore);
        let ends = events.iter().any(|event| event.edge == Some(Edge::Ended));
        let once_refunded = events.iter().any(|event| event.event_type == EventType::OneTimeRefunded);
        let told = events
            .iter()
            .flat_map(|event| messages(event, &Options::webhook()))
            .any(|message| message.rc_type == RcType::Expiration);
        assert_eq!(told, ends && !once_refunded, "{event_type}");
    }
}

/// A flow in RevenueCat's documentation ends in its status too.
#[test]
fn a_trial_that_lapses_ends_expired() {
    let ended = sample::event(EventType::TrialNotConverted, Store::AppStore);
    assert_eq!(status(&ended.purchase).map(super::super::Status::as_str), Some("expired"));
    assert_eq!(ended.reason, Some(Reason::Unsubscribe));
}
