//! The closed sets of words in which a store's word is put.

use crate::closed_set;

closed_set! {
    /// Which store sold it (RevenueCat's names and contract.md's list).
    pub enum Store {
        /// Apple, iOS.
        AppStore = "APP_STORE",
        /// Apple, macOS.
        MacAppStore = "MAC_APP_STORE",
        /// Google Play.
        PlayStore = "PLAY_STORE",
        /// Amazon Appstore.
        Amazon = "AMAZON",
        /// Stripe.
        Stripe = "STRIPE",
        /// Paddle.
        Paddle = "PADDLE",
        /// Discord app subscriptions.
        Discord = "DISCORD",
        /// Grants given by hand.
        Promotional = "PROMOTIONAL",
        /// Anything else.
        External = "EXTERNAL",
    }
}

closed_set! {
    /// Real money or a test.
    pub enum Environment {
        /// Real purchases.
        Production = "PRODUCTION",
        /// Tests.
        Sandbox = "SANDBOX",
    }
}

closed_set! {
    /// What was bought.
    pub enum Kind {
        /// Renews by itself.
        Subscription = "subscription",
        /// Used up; gives no lasting access.
        Consumable = "consumable",
        /// Bought once, kept for ever.
        NonConsumable = "non_consumable",
        /// Runs for a time and ends.
        NonRenewing = "non_renewing",
        /// An entitlement given by hand (lifecycle.md section 12).
        Grant = "grant",
        /// What a claimed purchase would unlock, while its store cannot say whether it is one: ends when the store answers,
        /// and after a day at last. No source tells of it.
        Temporary = "temporary",
    }
}

closed_set! {
    /// Why the store spoke. It only decides between events that comparing facets cannot tell apart (lifecycle.md 1.2).
    /// The first part is contract.md's `reason` list for the generic source.
    pub enum Hint {
        /// First purchase, or bought again.
        Purchased = "purchased",
        /// A new period.
        Renewed = "renewed",
        /// Renewal was switched off.
        RenewalDisabled = "renewal_disabled",
        /// Renewal was switched on again.
        RenewalEnabled = "renewal_enabled",
        /// One attempt to charge failed.
        PaymentFailed = "payment_failed",
        /// Renewal failed, access is kept.
        GraceStarted = "grace_started",
        /// Renewal failed, access is lost, the store keeps trying.
        BillingRetryStarted = "billing_retry_started",
        /// Paid after a failure.
        Recovered = "recovered",
        /// Another product is in force.
        ProductChanged = "product_changed",
        /// Another product will be in force.
        ProductChangeScheduled = "product_change_scheduled",
        /// It will not after all.
        ProductChangeCancelled = "product_change_cancelled",
        /// It will pause.
        PauseScheduled = "pause_scheduled",
        /// It will not after all.
        PauseCancelled = "pause_cancelled",
        /// It is paused.
        Paused = "paused",
        /// It runs again.
        Resumed = "resumed",
        /// The period's end moved later without a charge.
        Extended = "extended",
        /// The customer asked for money back; or a dispute was opened.
        RefundRequested = "refund_requested",
        /// Money went back.
        Refunded = "refunded",
        /// The store said no to a refund.
        RefundDeclined = "refund_declined",
        /// A refund was undone.
        RefundReversed = "refund_reversed",
        /// Access was withdrawn.
        Revoked = "revoked",
        /// It ended.
        Expired = "expired",
        /// Another customer owns it.
        Transferred = "transferred",
        /// Bought once.
        OneTimePurchased = "one_time_purchased",
        /// The store announced a higher price, or the customer agreed to one.
        PriceIncrease = "price_increase",
        /// The store tests the line.
        Test = "test",
        /// An offer was redeemed.
        OfferRedeemed = "offer_redeemed",
        /// An up-, cross- or downgrade in the store's own word.
        Upgraded = "upgraded",
        /// See `Upgraded`.
        Crossgraded = "crossgraded",
        /// See `Upgraded`.
        Downgraded = "downgraded",
        /// A family member lost the shared access.
        FamilyRevoked = "family_revoked",
        /// A period carrier (Play token, Amazon receipt) ended because another one replaced it.
        Replaced = "replaced",
        /// The store was asked and said how things are.
        Answered = "answered",
    }
}

closed_set! {
    /// How the current period was paid for (RevenueCat's `period_type`, in lower case).
    pub enum PeriodType {
        /// Free.
        Trial = "trial",
        /// Paid introductory price.
        Intro = "intro",
        /// An offer code or promotion.
        Promo = "promo",
        /// The regular price.
        Normal = "normal",
        /// Play prepaid plan.
        Prepaid = "prepaid",
        /// A grant.
        Promotional = "promotional",
    }
}

closed_set! {
    /// Canonical offers (lifecycle.md section 6).
    pub enum OfferType {
        /// A free trial.
        FreeTrial = "FREE_TRIAL",
        /// An introductory price.
        IntroOffer = "INTRO_OFFER",
        /// A code.
        PromoCode = "PROMO_CODE",
        /// An offer to an existing or former subscriber.
        PromotionalOffer = "PROMOTIONAL_OFFER",
    }
}

closed_set! {
    /// Why renewal was switched off or access ended (RevenueCat's values, lifecycle.md section 9).
    pub enum Reason {
        /// The customer's wish.
        Unsubscribe = "UNSUBSCRIBE",
        /// A charge failed.
        BillingError = "BILLING_ERROR",
        /// The developer's doing.
        DeveloperInitiated = "DEVELOPER_INITIATED",
        /// A price increase was not accepted.
        PriceIncrease = "PRICE_INCREASE",
        /// A refund.
        CustomerSupport = "CUSTOMER_SUPPORT",
        /// A pause began (expiration only).
        SubscriptionPaused = "SUBSCRIPTION_PAUSED",
        /// The store gave none.
        Unknown = "UNKNOWN",
    }
}

closed_set! {
    /// Whether the customer agreed to a higher price.
    pub enum Consent {
        /// Not yet.
        Pending = "pending",
        /// Yes.
        Accepted = "accepted",
    }
}

closed_set! {
    /// The store's word on how the purchase stands (lifecycle.md section 3). Access follows from it.
    pub enum Standing {
        /// The first payment is open.
        Pending = "pending",
        /// Paid, or in a free trial.
        Active = "active",
        /// Renewal failed, access is kept.
        Grace = "grace",
        /// Renewal failed, access is lost, the store keeps trying.
        BillingRetry = "billing_retry",
        /// Paused, no access.
        Paused = "paused",
        /// Ended.
        Expired = "expired",
        /// Refunded or withdrawn.
        Revoked = "revoked",
    }
}

closed_set! {
    /// Who says so: for equal times the later member wins (architecture.md section 1).
    pub enum Origin {
        /// A notification.
        Notification = "notification",
        /// The answer to a question of ours.
        Answer = "answer",
        /// A command of the operator.
        Command = "command",
    }
}

closed_set! {
    /// How something was found that the store did not tell.
    pub enum DetectedBy {
        /// By comparing what is known with the store's own API or history.
        Reconcile = "reconcile",
    }
}

closed_set! {
    /// How far a refund has come.
    pub enum RefundStatus {
        /// Asked for, or a dispute is open.
        Requested = "requested",
        /// The store said no.
        Declined = "declined",
        /// Money went back.
        Refunded = "refunded",
        /// It was undone.
        Reversed = "reversed",
    }
}
