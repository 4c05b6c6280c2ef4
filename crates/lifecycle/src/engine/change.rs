//! What can have changed between two readings of a purchase: the closed set that the transition table is written over.

use crate::closed_set;

closed_set! {
    /// One change of a purchase. `transitions` says for each state what is told of it.
    pub enum Change {
        /// First payment open.
        Opened = "opened",
        /// First payment withdrawn or never completed.
        Withdrawn = "withdrawn",
        /// First paid or free period.
        Bought = "bought",
        /// First period of this purchase; the customer had the product in this store before.
        BoughtAgain = "bought_again",
        /// A paid start whose price comes in a later notification.
        StartAwaitsPrice = "start_awaits_price",
        /// That start, once the price has come or the wait is over.
        StartTold = "start_told",
        /// The same for a purchase that came back.
        ReactivationTold = "reactivation_told",
        /// First sight in mid-life: a renewal.
        FirstSeenRenewed = "first_seen_renewed",
        /// First sight in mid-life: paid after a failure.
        FirstSeenRecovered = "first_seen_recovered",
        /// First sight in mid-life: in grace.
        FirstSeenGrace = "first_seen_grace",
        /// First sight in mid-life: resumed after a pause.
        FirstSeenResumed = "first_seen_resumed",
        /// First sight in mid-life: another product in force.
        FirstSeenChanged = "first_seen_changed",
        /// First sight in mid-life: it runs; what the hint says is a change of its own.
        FirstSeenRunning = "first_seen_running",
        /// First sight without access.
        FirstSeenEnded = "first_seen_ended",
        /// Refunded or withdrawn in the running (or last) period.
        Revoked = "revoked",
        /// A family member lost the shared access.
        FamilyRevoked = "family_revoked",
        /// Another product in force, at once.
        PlanChanged = "plan_changed",
        /// Another product in force from a renewal on.
        PlanChangedAtRenewal = "plan_changed_at_renewal",
        /// Another product while the payment is open or the pause lasts.
        PlanChangedUnpaid = "plan_changed_unpaid",
        /// Another product in a later period than the one that follows: changed or bought anew, that was not heard.
        PlanFound = "plan_found",
        /// Another product is in force, in a period that was not heard of yet.
        PlanAhead = "plan_ahead",
        /// The replacement of a carrier that had been given up.
        ReplacementCame = "replacement_came",
        /// The product was not known before.
        ProductLearned = "product_learned",
        /// Another product from a later day on.
        PlanChangeScheduled = "plan_change_scheduled",
        /// Not after all.
        PlanChangeUnscheduled = "plan_change_unscheduled",
        /// New period, same product.
        Renewed = "renewed",
        /// New period right after one that the clock had closed.
        RenewedLate = "renewed_late",
        /// A renewal whose payment is not confirmed yet.
        RenewalAwaitsPrice = "renewal_awaits_price",
        /// That renewal, once the price has come or the wait is over.
        RenewalTold = "renewal_told",
        /// Cancelled but still running, and bought again.
        SignedUpAgain = "signed_up_again",
        /// The period's end moved later without a charge.
        Extended = "extended",
        /// Renewal off.
        RenewalOff = "renewal_off",
        /// Renewal on again.
        RenewalOn = "renewal_on",
        /// Renewal failed, access kept.
        GraceStarted = "grace_started",
        /// Renewal failed, access lost, the store keeps trying.
        RetryStarted = "retry_started",
        /// Paid after a failure.
        Recovered = "recovered",
        /// Paid after a failure that lay before the payment, as is seen now: the period is told already.
        RunsAgain = "runs_again",
        /// Over.
        Ended = "ended",
        /// The customer cancelled in grace, ended at once.
        CancelledInGrace = "cancelled_in_grace",
        /// A later period shows that the known one had ended before.
        LapsedUnseen = "lapsed_unseen",
        /// The carrier of the period was replaced, and no replacement came.
        CarrierGone = "carrier_gone",
        /// A pause is planned.
        PauseScheduled = "pause_scheduled",
        /// No longer.
        PauseUnscheduled = "pause_unscheduled",
        /// The pause began.
        PauseBegan = "pause_began",
        /// It runs again after a pause.
        Resumed = "resumed",
        /// New period of an ended purchase.
        Reactivated = "reactivated",
        /// The same period has access again after all.
        Reopened = "reopened",
        /// The refund of the last period was undone and the period still runs.
        RefundUndone = "refund_undone",
        /// Bought once.
        BoughtOnce = "bought_once",
        /// A one-time purchase was refunded.
        RefundedOnce = "refunded_once",
        /// A one-time purchase ran out.
        ExpiredOnce = "expired_once",
        /// An entitlement given by hand.
        Granted = "granted",
        /// The grant lasts longer.
        GrantExtended = "grant_extended",
        /// Taken away early.
        GrantRemoved = "grant_removed",
        /// The grant ran out.
        GrantEnded = "grant_ended",
        /// The customer bought what was given for trial.
        GrantConverted = "grant_converted",
        /// Access while a store cannot be asked about what was claimed.
        TemporaryGranted = "temporary_granted",
        /// The store says that it is none, or a day has passed.
        TemporaryEnded = "temporary_ended",
        /// The store says that it is one: the purchase itself gives access from here on.
        TemporaryReplaced = "temporary_replaced",
        /// An offer was redeemed that starts later.
        OfferRedeemed = "offer_redeemed",
        /// An offer began within the period.
        OfferBegan = "offer_began",
        /// A higher price was announced.
        PriceIncreaseAnnounced = "price_increase_announced",
        /// And agreed to.
        PriceIncreaseAccepted = "price_increase_accepted",
        /// One attempt to charge failed.
        PaymentFailed = "payment_failed",
        /// A refund was asked for, or a dispute opened.
        RefundRequested = "refund_requested",
        /// It was declined.
        RefundDeclined = "refund_declined",
        /// Money went back and access stays as it is.
        RefundKeepsAccess = "refund_keeps_access",
        /// A refund was undone and access stays as it is.
        RefundReversed = "refund_reversed",
        /// A price or an amount became known later than what it paid for.
        MoneyLearned = "money_learned",
        /// Another customer owns it.
        Transferred = "transferred",
        /// Another customer owns the one-time purchase.
        TransferredOnce = "transferred_once",
        /// The catalogue says something else about what the product unlocks.
        UnlocksChanged = "unlocks_changed",
        /// Nothing that is told: a repeat or a confirmation.
        Confirmed = "confirmed",
        /// Older than what is known.
        Older = "older",
    }
}
