//! The eleven statuses (revenuecat-events.md section 8, lifecycle.md section 3).

use super::super::{RcPeriod, Status, period_type, status};
use crate::event::EventType;
use crate::money::{Currency, Money};
use crate::observation::{Kind, Offer, OfferType, PeriodType, Store};
use crate::purchase::State;
use crate::sample;
use std::collections::BTreeSet;

#[test]
fn every_state_and_period_has_its_status() {
    use Kind as K;
    use PeriodType as P;
    use State as S;
    let mut seen = BTreeSet::new();
    for (kind, state, will_renew, period, expected) in [
        (K::Subscription, S::None, None, P::Normal, None),
        (K::Subscription, S::Pending, Some(true), P::Normal, None),
        (K::Subscription, S::Active, Some(true), P::Normal, Some("active")),
        (K::Subscription, S::Active, None, P::Prepaid, Some("active")),
        (K::Subscription, S::Active, Some(true), P::Intro, Some("intro")),
        (K::Subscription, S::Active, Some(true), P::Trial, Some("trial")),
        (K::Subscription, S::Active, Some(false), P::Normal, Some("cancelled")),
        (K::Subscription, S::Active, Some(false), P::Intro, Some("cancelled")),
        (K::Subscription, S::Active, Some(false), P::Trial, Some("cancelled_trial")),
        (K::Subscription, S::Grace, Some(true), P::Normal, Some("grace_period")),
        (K::Subscription, S::Grace, Some(true), P::Trial, Some("grace_period_trial")),
        (K::Subscription, S::BillingRetry, Some(true), P::Normal, Some("expired")),
        (K::Subscription, S::Paused, Some(true), P::Normal, Some("paused")),
        (K::Subscription, S::Expired, Some(false), P::Normal, Some("expired")),
        (K::Subscription, S::Revoked, Some(false), P::Normal, Some("expired")),
        (K::Grant, S::Active, None, P::Promotional, Some("promotional")),
        (K::Grant, S::Active, None, P::Trial, Some("promotional")),
        (K::Grant, S::Expired, None, P::Promotional, Some("expired_promotional")),
        (K::Grant, S::Revoked, None, P::Promotional, Some("expired_promotional")),
        (K::NonConsumable, S::Active, None, P::Normal, None),
        (K::Consumable, S::Active, None, P::Normal, None),
        (K::NonRenewing, S::Expired, None, P::Normal, None),
    ] {
        let mut purchase = sample::event(EventType::SubscriptionStarted, Store::AppStore).purchase;
        (purchase.kind, purchase.state, purchase.will_renew) = (kind, state, will_renew);
        purchase.period_type = Some(period);
        let told = status(&purchase);
        seen.extend(told);
        assert_eq!(told.map(Status::as_str), expected, "{kind} {state} {will_renew:?} {period}");
    }
    assert_eq!(seen.len(), Status::ALL.len(), "every status is reached");
}

#[test]
fn every_offer_has_its_period_type() {
    use OfferType as O;
    use PeriodType as P;
    for (period, offer, price, expected) in [
        (Some(P::Trial), Some(O::FreeTrial), 0, RcPeriod::Trial),
        (None, Some(O::FreeTrial), 0, RcPeriod::Trial),
        (Some(P::Promo), Some(O::PromoCode), 0, RcPeriod::Trial),
        (Some(P::Promo), Some(O::PromoCode), 499, RcPeriod::Intro),
        (Some(P::Promo), Some(O::PromotionalOffer), 499, RcPeriod::Normal),
        (Some(P::Promo), None, 499, RcPeriod::Normal),
        (Some(P::Intro), Some(O::IntroOffer), 299, RcPeriod::Intro),
        (None, Some(O::IntroOffer), 299, RcPeriod::Intro),
        (Some(P::Normal), None, 999, RcPeriod::Normal),
        (None, None, 999, RcPeriod::Normal),
        (Some(P::Prepaid), None, 999, RcPeriod::Prepaid),
        (Some(P::Promotional), None, 0, RcPeriod::Promotional),
    ] {
        let mut purchase = sample::event(EventType::SubscriptionStarted, Store::AppStore).purchase;
        purchase.period_type = period;
        purchase.offer = offer.map(|offer_type| Offer { offer_type, id: None, code: None });
        purchase.price = Some(Money { amount_minor: price, currency: Currency::USD });
        assert_eq!(period_type(&purchase), expected, "{period:?} {offer:?} {price}");
    }
}
