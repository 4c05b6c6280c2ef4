//! The ten names that RevenueCat's chat and CRM integrations (Discord, Intercom) use: webhook types, split by trial.
//! <https://www.revenuecat.com/docs/integrations/third-party-integrations/discord>

use super::{Message, Options, RcPeriod, RcType, is_told_in, is_trial_grant, messages};
use crate::closed_set;
use crate::event::Event;
use crate::observation::Reason;

closed_set! {
    /// The names, in the order of RevenueCat's pages.
    pub enum IntegrationEvent {
        /// A paid subscription began.
        InitialPurchase = "INITIAL_PURCHASE",
        /// A free one began.
        TrialStarted = "TRIAL_STARTED",
        /// A free one became a paid one.
        TrialConverted = "TRIAL_CONVERTED",
        /// The customer turned renewal off in a trial.
        TrialCancelled = "TRIAL_CANCELLED",
        /// A new period was paid.
        Renewal = "RENEWAL",
        /// Renewal off, a failed charge, a refund, or a grant that was taken away.
        Cancellation = "CANCELLATION",
        /// Bought once, or granted.
        NonSubscriptionPurchase = "NON_SUBSCRIPTION_PURCHASE",
        /// A charge failed.
        BillingIssue = "BILLING_ISSUE",
        /// Another product.
        ProductChange = "PRODUCT_CHANGE",
        /// Access ended. Not one of Discord's nine: told there only on request.
        Expiration = "EXPIRATION",
    }
}

closed_set! {
    /// Where RevenueCat's words go: each has its own store matrix.
    pub enum Outlet {
        /// RevenueCat's webhooks. They have no names of their own; here the matrix is Intercom's.
        Webhook = "webhook",
        /// RevenueCat's Discord integration.
        Discord = "discord",
        /// RevenueCat's Intercom integration.
        Intercom = "intercom",
    }
}

impl IntegrationEvent {
    /// Whether the integration has it without being asked: Discord's page has nine events, Intercom's ten.
    #[must_use]
    pub const fn is_on_by_default(self, outlet: Outlet) -> bool {
        !(matches!(outlet, Outlet::Discord) && matches!(self, IntegrationEvent::Expiration))
    }
}

/// A message under its integration name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationMessage {
    /// The name.
    pub event: IntegrationEvent,
    /// The message that it was derived from, with product, reason and amount.
    pub message: Message,
}

/// What RevenueCat's integration would say of this event, in order. `options.store_limits` means the integration's own
/// matrix here.
#[must_use]
pub fn integration_events(event: &Event, options: &Options) -> Vec<IntegrationMessage> {
    messages(event, &Options { store_limits: false, ..*options })
        .into_iter()
        .filter_map(|message| {
            let name = name(event, &message, options.outlet)?;
            let is_told = !options.store_limits || is_told_in(options.outlet, name, event.store);
            is_told.then_some(IntegrationMessage { event: name, message })
        })
        .collect()
}

fn name(event: &Event, message: &Message, outlet: Outlet) -> Option<IntegrationEvent> {
    // Where the outlet has no trial events for grants, a granted trial is a grant like any other.
    let granted_trial =
        is_trial_grant(&event.purchase) && is_told_in(outlet, IntegrationEvent::TrialStarted, event.store);
    let in_trial = message.period_type == RcPeriod::Trial || granted_trial;
    match message.rc_type {
        RcType::InitialPurchase if in_trial => Some(IntegrationEvent::TrialStarted),
        RcType::InitialPurchase => Some(IntegrationEvent::InitialPurchase),
        RcType::Renewal if message.is_trial_conversion == Some(true) => Some(IntegrationEvent::TrialConverted),
        RcType::Renewal => Some(IntegrationEvent::Renewal),
        // A failed charge is no wish of the customer, so it never is a cancelled trial.
        RcType::Cancellation if in_trial && message.cancel_reason != Some(Reason::BillingError) => {
            Some(IntegrationEvent::TrialCancelled)
        }
        RcType::Cancellation => Some(IntegrationEvent::Cancellation),
        RcType::NonRenewingPurchase if granted_trial => Some(IntegrationEvent::TrialStarted),
        RcType::NonRenewingPurchase => Some(IntegrationEvent::NonSubscriptionPurchase),
        RcType::Expiration => Some(IntegrationEvent::Expiration),
        RcType::BillingIssue => Some(IntegrationEvent::BillingIssue),
        RcType::ProductChange => Some(IntegrationEvent::ProductChange),
        RcType::Uncancellation
        | RcType::SubscriptionPaused
        | RcType::Transfer
        | RcType::SubscriptionExtended
        | RcType::TemporaryEntitlementGrant
        | RcType::RefundReversed
        | RcType::PriceIncreaseConsentRequired
        | RcType::PriceIncreaseConsentApproved
        | RcType::Test => None,
    }
}
