//! RevenueCat's `subscription_status`, as it writes it into contacts of Intercom and others.
//! <https://www.revenuecat.com/docs/integrations/third-party-integrations/intercom>

use super::{RcPeriod, rc_period};
use crate::closed_set;
use crate::event::PurchaseView;
use crate::money::Money;
use crate::observation::{Kind, OfferType, PeriodType};
use crate::purchase::State;

closed_set! {
    /// The eleven values.
    pub enum Status {
        /// Paid, will renew.
        Active = "active",
        /// In a paid introductory period.
        Intro = "intro",
        /// Paid, will end with the period.
        Cancelled = "cancelled",
        /// The charge failed, access is kept.
        GracePeriod = "grace_period",
        /// Free, will convert.
        Trial = "trial",
        /// Free, will end.
        CancelledTrial = "cancelled_trial",
        /// The trial's first charge failed, access is kept.
        GracePeriodTrial = "grace_period_trial",
        /// Ended.
        Expired = "expired",
        /// Access by a grant.
        Promotional = "promotional",
        /// A grant that ended.
        ExpiredPromotional = "expired_promotional",
        /// Paused.
        Paused = "paused",
    }
}

impl Status {
    /// Which of several purchases of one customer is shown: the smallest. What is paid for and goes on comes before what
    /// somebody should look after, that before what ends by the customer's wish, and that before what has ended.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Status::Active => 0,
            Status::Intro => 1,
            Status::Trial => 2,
            Status::GracePeriod => 3,
            Status::GracePeriodTrial => 4,
            Status::Cancelled => 5,
            Status::CancelledTrial => 6,
            Status::Promotional => 7,
            Status::Paused => 8,
            Status::Expired => 9,
            Status::ExpiredPromotional => 10,
        }
    }
}

/// What a status follows from.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// What was bought.
    pub kind: Kind,
    /// Lifecycle state.
    pub state: State,
    /// Renewal is on.
    pub will_renew: Option<bool>,
    /// How the period is paid for.
    pub period_type: Option<PeriodType>,
    /// The offer in use.
    pub offer: Option<OfferType>,
    /// What the period cost.
    pub price: Option<Money>,
}

/// The status that this purchase gives its customer. None: the purchase says nothing about it, because it was bought
/// once, or is not paid yet.
#[must_use]
pub fn status(purchase: &PurchaseView) -> Option<Status> {
    status_of(&Standing {
        kind: purchase.kind,
        state: purchase.state,
        will_renew: purchase.will_renew,
        period_type: purchase.period_type,
        offer: purchase.offer.as_ref().map(|offer| offer.offer_type),
        price: purchase.price,
    })
}

/// The same, from the parts.
#[must_use]
pub fn status_of(purchase: &Standing) -> Option<Status> {
    let is_grant = match purchase.kind {
        Kind::Subscription => false,
        Kind::Grant => true,
        Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing | Kind::Temporary => return None,
    };
    let period = rc_period(purchase.kind, purchase.period_type, purchase.offer, purchase.price);
    match purchase.state {
        State::None | State::Pending => None,
        State::Active if is_grant => Some(Status::Promotional),
        State::Active if purchase.will_renew == Some(false) => {
            Some(if period == RcPeriod::Trial { Status::CancelledTrial } else { Status::Cancelled })
        }
        State::Active => Some(match period {
            RcPeriod::Trial => Status::Trial,
            RcPeriod::Intro => Status::Intro,
            RcPeriod::Promotional => Status::Promotional,
            RcPeriod::Normal | RcPeriod::Prepaid => Status::Active,
        }),
        State::Grace if period == RcPeriod::Trial => Some(Status::GracePeriodTrial),
        State::Grace => Some(Status::GracePeriod),
        State::Paused => Some(Status::Paused),
        State::BillingRetry => Some(Status::Expired),
        State::Expired | State::Revoked if is_grant => Some(Status::ExpiredPromotional),
        State::Expired | State::Revoked => Some(Status::Expired),
    }
}
