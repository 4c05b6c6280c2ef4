//! What the facets are for: notifications of one purchase, played through the engine, give the events that Apple meant.

use super::samples::sample;
use super::signing::Chain;
use super::{open_with_root, verify};
use crate::Source;
use crate::golden::play;

/// The events of each notification, without those of money.
pub(super) fn played(source: &dyn Source, bodies: &[Vec<u8>]) -> Vec<Vec<&'static str>> {
    play(bodies.iter().map(|body| verify(source, body.clone()).unwrap().reading.observations.remove(0)))
}

#[test]
#[allow(clippy::too_many_lines)] // one table
fn lives_of_self_made_notifications_give_their_events() {
    let chain = Chain::new();
    let source = open_with_root(&chain.root_pem);
    let lives: &[&[(&str, &[&str])]] = &[
        &[
            ("subscribed_free_trial", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRIAL_STARTED"]),
            ("trial_auto_renew_disabled", &["RENEWAL_DISABLED"]),
        ],
        &[
            ("subscribed_free_trial", &["ACTIVATE", "SUBSCRIPTION_STARTED", "TRIAL_STARTED"]),
            ("trial_converted", &["ACTIVATE", "SUBSCRIPTION_RENEWED", "TRIAL_CONVERTED"]),
        ],
        &[
            ("subscribed_initial_buy", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("auto_renew_disabled", &["RENEWAL_DISABLED"]),
            ("auto_renew_enabled", &["RENEWAL_ENABLED"]),
            ("expired_voluntary", &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]),
            ("subscribed_win_back", &["ACTIVATE", "SUBSCRIPTION_REACTIVATED", "PROMOTIONAL_OFFER_STARTED"]),
        ],
        &[
            ("subscribed_initial_buy", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("renewal_pref_downgrade", &["PLAN_CHANGE_SCHEDULED"]),
            (
                "did_renew_on_other_product",
                &["DEACTIVATE", "ACTIVATE", "SUBSCRIPTION_CROSSGRADED", "SUBSCRIPTION_RENEWED"],
            ),
        ],
        &[
            ("subscribed_initial_buy", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("renewal_pref_downgrade", &["PLAN_CHANGE_SCHEDULED"]),
            ("renewal_pref_taken_back", &["PLAN_CHANGE_UNSCHEDULED"]),
            ("renewal_extended", &["SUBSCRIPTION_DEFERRED"]),
        ],
        &[
            ("subscribed_initial_buy", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("fail_to_renew_grace", &["ACTIVATE", "GRACE_PERIOD_STARTED", "PAYMENT_FAILED"]),
            ("did_renew_billing_recovery", &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_GRACE_PERIOD"]),
        ],
        &[
            ("subscribed_initial_buy", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("fail_to_renew", &["DEACTIVATE", "ENTERED_BILLING_RETRY", "PAYMENT_FAILED"]),
            ("did_renew_billing_recovery", &["ACTIVATE", "SUBSCRIPTION_RECOVERED_FROM_BILLING_RETRY"]),
        ],
        &[
            ("subscribed_initial_buy", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("fail_to_renew_grace", &["ACTIVATE", "GRACE_PERIOD_STARTED", "PAYMENT_FAILED"]),
            ("grace_period_expired", &["DEACTIVATE", "GRACE_PERIOD_TERMINATED", "ENTERED_BILLING_RETRY"]),
            ("expired_billing_retry", &["SUBSCRIPTION_TERMINATED"]),
        ],
        &[
            ("subscribed_initial_buy", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("did_renew", &["ACTIVATE", "SUBSCRIPTION_RENEWED"]),
            ("consumption_request_for_old_period", &["REFUND_REQUESTED"]),
            ("refund_of_earlier_period", &["REFUND_RECORDED"]),
        ],
        &[
            ("subscribed_initial_buy", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("refund_of_running_period", &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]),
            ("refund_reversed", &["ACTIVATE", "REFUND_REVERSED"]),
            ("refund_again", &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]),
        ],
        &[
            ("subscribed_initial_buy", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("refund_of_running_period_without_status", &["DEACTIVATE", "SUBSCRIPTION_REFUNDED_REVOKED"]),
        ],
        &[
            ("subscribed_initial_buy", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("refund_prorated", &["REFUND_RECORDED"]),
            ("refund_declined", &["ACTIVATE", "REFUND_DECLINED"]),
        ],
        &[
            ("subscribed_family_shared", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("revoke_family", &["DEACTIVATE", "FAMILY_SHARED_REVOKED"]),
        ],
        &[
            ("subscribed_initial_buy", &["ACTIVATE", "SUBSCRIPTION_STARTED"]),
            ("offer_redeemed_for_next_period", &["OFFER_REDEEMED"]),
            ("price_increase_pending", &["PRICE_INCREASE_PENDING"]),
            ("price_increase_accepted", &["PRICE_INCREASE_ACCEPTED"]),
            ("price_increase_in_force", &["ACTIVATE", "SUBSCRIPTION_RENEWED"]),
        ],
        &[
            ("one_time_non_consumable", &["ACTIVATE", "ONE_TIME_PURCHASED"]),
            ("one_time_refund", &["DEACTIVATE", "ONE_TIME_REFUNDED"]),
        ],
        // The first thing ever heard of a chain is about an old period.
        &[("refund_of_earlier_period", &["ACTIVATE", "REFUND_RECORDED"])],
    ];
    let mut wrong = Vec::new();
    for life in lives {
        let bodies: Vec<Vec<u8>> = life.iter().map(|(name, _)| chain.sign_sample(&sample(name))).collect();
        for ((name, expected), events) in life.iter().zip(played(source.as_ref(), &bodies)) {
            if events != *expected {
                wrong.push(format!("{} > {name}: expected {expected:?}, got {events:?}", life[0].0));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
