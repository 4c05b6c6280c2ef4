//! What is not told, and why: with the rows this makes the table total, which a test proves cell by cell.

use super::Ignored;
use super::states::{FRESH, NOT_ACTIVE, NOT_EXPIRED, NOT_RUNNING, OVER, RUNNING, SEEN};
use crate::engine::Change as C;
use crate::purchase::State::{self, Active, BillingRetry, Expired, Grace, None as Unknown, Paused, Pending, Revoked};

const fn skip(change: C, from: &'static [State], reason: &'static str) -> Ignored {
    Ignored { change, from, reason }
}

const ALREADY_KNOWN: &str = "a first period is of a purchase that nobody knew; a later one is a renewal or a return";
const NEVER_PAID: &str = "there was no access and no payment";
const NO_PERIOD: &str = "without a running period the facet says nothing to a customer";
const ONLY_ACTIVE: &str = "told as the change of state that goes with it";

/// What is not told, and why.
pub const IGNORED: &[Ignored] = &[
    skip(C::Opened, &[Pending], "it is open already"),
    skip(C::Withdrawn, &[Unknown], "nothing was known of it"),
    skip(C::Withdrawn, SEEN, "it was paid once; its end is told as an end"),
    skip(C::Bought, SEEN, ALREADY_KNOWN),
    skip(C::BoughtAgain, SEEN, ALREADY_KNOWN),
    skip(C::StartAwaitsPrice, RUNNING, ALREADY_KNOWN),
    skip(C::StartTold, NOT_ACTIVE, "a start is told before anything else happens to it"),
    skip(C::ReactivationTold, NOT_ACTIVE, "a return is told before anything else happens to it"),
    skip(C::FirstSeenRenewed, SEEN, ALREADY_KNOWN),
    skip(C::FirstSeenRecovered, SEEN, ALREADY_KNOWN),
    skip(C::FirstSeenGrace, SEEN, ALREADY_KNOWN),
    skip(C::FirstSeenResumed, SEEN, ALREADY_KNOWN),
    skip(C::FirstSeenChanged, SEEN, ALREADY_KNOWN),
    skip(C::FirstSeenRunning, SEEN, ALREADY_KNOWN),
    skip(C::FirstSeenEnded, SEEN, ALREADY_KNOWN),
    skip(C::Revoked, FRESH, NEVER_PAID),
    skip(C::Revoked, &[Revoked], "it is told already"),
    skip(C::FamilyRevoked, FRESH, NEVER_PAID),
    skip(C::FamilyRevoked, OVER, "access was off and no money moves"),
    skip(C::PlanChanged, FRESH, "the first product is no change"),
    skip(C::PlanChanged, OVER, "a new period of an ended purchase is a return, whatever the product"),
    skip(C::PlanChangedAtRenewal, FRESH, "the first product is no change"),
    skip(
        C::PlanChangedAtRenewal,
        &[Grace, BillingRetry, Paused],
        "told as plan changed: the recovery says that it was paid",
    ),
    skip(C::PlanChangedAtRenewal, OVER, "a new period of an ended purchase is a return, whatever the product"),
    skip(C::PlanChangedUnpaid, NOT_RUNNING, "without a running period the product says nothing to a customer"),
    skip(C::ReplacementCame, NOT_EXPIRED, "nothing had been given up"),
    skip(
        C::ProductLearned,
        &[Unknown, Pending, BillingRetry, Paused, Expired, Revoked],
        "without access it unlocks nothing",
    ),
    skip(C::PlanChangeScheduled, NOT_RUNNING, NO_PERIOD),
    skip(C::PlanChangeUnscheduled, NOT_RUNNING, NO_PERIOD),
    skip(C::Renewed, FRESH, "a first period is no renewal"),
    skip(C::Renewed, &[Grace, BillingRetry], "told as a recovery: no renewal beside it"),
    skip(C::Renewed, &[Paused], "told as the return from the pause"),
    skip(C::Renewed, OVER, "told as a return"),
    skip(C::RenewedLate, NOT_EXPIRED, "the clock had not closed it"),
    skip(C::RenewalAwaitsPrice, NOT_ACTIVE, "only a renewal of a running purchase waits"),
    skip(C::RenewalTold, NOT_ACTIVE, "a failed or ended renewal is not told as one"),
    skip(C::SignedUpAgain, NOT_ACTIVE, "it was not running: a start or a return"),
    skip(C::Extended, NOT_RUNNING, "a longer period without access is told when access returns"),
    skip(C::RenewalOff, &[Unknown, Pending, Expired], "nothing would renew"),
    skip(C::RenewalOn, &[Unknown, Pending, Expired, Revoked], "nothing would renew; a return is told as one"),
    skip(C::GraceStarted, FRESH, "told as first sight in grace"),
    skip(C::GraceStarted, &[Grace], "it is in grace already"),
    skip(C::RetryStarted, FRESH, "told as first sight without access"),
    skip(C::RetryStarted, &[BillingRetry], "it is in billing retry already"),
    skip(C::RetryStarted, &[Revoked], "access was withdrawn before and is not given back"),
    skip(C::Recovered, FRESH, "a first payment is a start"),
    skip(C::Recovered, &[Active, Paused], "no charge was open"),
    skip(C::Recovered, OVER, "told as a return"),
    skip(C::Ended, FRESH, NEVER_PAID),
    skip(C::Ended, OVER, "it is over already: one DEACTIVATE per ending"),
    skip(
        C::CancelledInGrace,
        &[Unknown, Pending, Active, BillingRetry, Paused, Expired, Revoked],
        "not in grace: told as an end",
    ),
    skip(C::LapsedUnseen, &[Unknown, Pending, Expired, Revoked], "no period was open"),
    skip(C::LapsedUnseen, &[Grace, BillingRetry, Paused], "the trouble is known; a new period is its end"),
    skip(C::CarrierGone, &[Unknown, Pending, BillingRetry, Paused, Expired, Revoked], "no access hangs on it"),
    skip(
        C::PauseScheduled,
        &[Unknown, Pending, BillingRetry, Paused, Expired, Revoked],
        "nothing runs that could pause",
    ),
    skip(
        C::PauseUnscheduled,
        &[Unknown, Pending, BillingRetry, Paused, Expired, Revoked],
        "nothing runs that could pause; a pause that runs ends as a return",
    ),
    skip(C::PauseBegan, FRESH, "told as first sight without access"),
    skip(C::PauseBegan, &[Paused], "it is paused already"),
    skip(C::PauseBegan, &[Revoked], "access was withdrawn before and is not given back"),
    skip(C::Resumed, &[Unknown, Pending, Active, Grace, BillingRetry, Expired, Revoked], "it was not paused"),
    skip(C::Reactivated, FRESH, "a first period is a start"),
    skip(C::Reactivated, RUNNING, "it had not ended"),
    skip(C::Reopened, NOT_EXPIRED, "it was not closed"),
    skip(
        C::RefundUndone,
        &[Unknown, Pending, Active, Grace, BillingRetry, Paused, Expired],
        "access was not withdrawn: told as an earlier refund undone",
    ),
    skip(C::BoughtOnce, &[Grace, BillingRetry, Paused], "a one-time purchase knows no renewal"),
    skip(C::RefundedOnce, FRESH, NEVER_PAID),
    skip(C::RefundedOnce, &[Grace, BillingRetry, Paused], "a one-time purchase knows no renewal"),
    skip(C::RefundedOnce, &[Revoked], "it is told already"),
    skip(C::ExpiredOnce, FRESH, NEVER_PAID),
    skip(C::ExpiredOnce, &[Grace, BillingRetry, Paused], "a one-time purchase knows no renewal"),
    skip(C::ExpiredOnce, OVER, "it is over already"),
    skip(C::Granted, RUNNING, "it is given already"),
    skip(C::GrantExtended, NOT_ACTIVE, "only a running grant can last longer; a new one is granted"),
    skip(C::GrantRemoved, NOT_ACTIVE, "there is nothing to take away"),
    skip(C::GrantEnded, NOT_ACTIVE, "it is over already"),
    skip(C::GrantConverted, NOT_ACTIVE, "a grant that is over converts nothing"),
    skip(C::TemporaryGranted, &[Pending, Active, Grace, BillingRetry, Paused, Expired, Revoked], "once for each claim"),
    skip(C::TemporaryEnded, NOT_ACTIVE, "it is over already"),
    skip(C::TemporaryReplaced, NOT_ACTIVE, "it is over already"),
    skip(C::OfferRedeemed, NOT_RUNNING, NO_PERIOD),
    skip(C::OfferBegan, NOT_ACTIVE, ONLY_ACTIVE),
    skip(C::PriceIncreaseAnnounced, NOT_RUNNING, NO_PERIOD),
    skip(C::PriceIncreaseAccepted, NOT_RUNNING, NO_PERIOD),
    skip(C::PaymentFailed, FRESH, "a first payment that fails is no purchase"),
    skip(
        C::Transferred,
        &[Unknown, Pending, BillingRetry, Paused, Expired, Revoked],
        "nobody loses or gains access: the owner is kept silently",
    ),
    skip(
        C::TransferredOnce,
        &[Unknown, Pending, BillingRetry, Paused, Expired, Revoked],
        "nobody loses or gains access: the owner is kept silently",
    ),
    skip(
        C::UnlocksChanged,
        &[Unknown, Pending, BillingRetry, Paused, Expired, Revoked],
        "without access it unlocks nothing",
    ),
];
