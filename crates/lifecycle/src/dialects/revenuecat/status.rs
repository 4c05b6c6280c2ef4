//! RevenueCat's `subscription_status`, as it writes it into contacts of Intercom and others.
//! <https://www.revenuecat.com/docs/integrations/third-party-integrations/intercom>

use super::{RcPeriod, period_type};
use crate::closed_set;
use crate::event::PurchaseView;
use crate::observation::Kind;
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

/// The status that this purchase gives its customer. None: the purchase says nothing about it, because it was bought
/// once, or is not paid yet.
#[must_use]
pub fn status(purchase: &PurchaseView) -> Option<Status> {
    let is_grant = match purchase.kind {
        Kind::Subscription => false,
        Kind::Grant => true,
        Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing => return None,
    };
    let period = period_type(purchase);
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
