//! The rows of the transition table beside a subscription's own: O one-time purchases, G grants, M money and other
//! one-off facts, C the catalogue; and rows 6, 30, 31 and 32, which hold in (nearly) every state.

use super::Emit::{Activate, Deactivate, Former, Money, OfferNotConverted, OfferStarted, Tell};
use super::Row;
use super::rows::{BEGAN, ENDED, REFRESH, at, row};
use super::states::{ACCESS, ALL, NOT_RUNNING, RUNNING, SEEN};
use crate::engine::Change as C;
use crate::event::{Edge, EventType as E};
use crate::purchase::State::{Active, BillingRetry, Expired, None as Unknown, Paused, Pending, Revoked};

pub(super) const ONCE: &[Row] = &[
    at(
        "lifecycle section 4",
        row(
            "O1",
            "bought once",
            NOT_RUNNING,
            C::BoughtOnce,
            "a transaction of a one-time product",
            Some(Active),
            &[BEGAN, Tell(E::OneTimePurchased), Money],
        ),
    ),
    at(
        "lifecycle section 4",
        row(
            "O1a",
            "bought once more",
            &[Active],
            C::BoughtOnce,
            "another transaction",
            Some(Active),
            &[REFRESH, Tell(E::OneTimePurchased), Money],
        ),
    ),
    at(
        "lifecycle section 8",
        row(
            "O2",
            "one-time refund",
            &[Active],
            C::RefundedOnce,
            "refunded or withdrawn",
            Some(Revoked),
            &[ENDED, Tell(E::OneTimeRefunded), Money],
        ),
    ),
    at(
        "lifecycle section 8",
        row(
            "O2a",
            "one-time refund after the end",
            &[Expired],
            C::RefundedOnce,
            "the end is told already",
            Some(Revoked),
            &[Tell(E::OneTimeRefunded), Money],
        ),
    ),
    at(
        "architecture section 2",
        row(
            "O3",
            "ran out",
            &[Active],
            C::ExpiredOnce,
            "non-renewing, over by date or told",
            Some(Expired),
            &[ENDED, Tell(E::OneTimeExpired)],
        ),
    ),
];

pub(super) const GRANTS: &[Row] = &[
    at(
        "lifecycle section 12",
        row(
            "G1",
            "granted",
            &[Unknown, Pending, Expired, Revoked],
            C::Granted,
            "given by hand",
            Some(Active),
            &[BEGAN, Tell(E::PromoGranted), OfferStarted],
        ),
    ),
    at(
        "lifecycle section 12",
        row(
            "G2",
            "grant extended",
            &[Active],
            C::GrantExtended,
            "the end moved later",
            Some(Active),
            &[REFRESH, Tell(E::SubscriptionDeferred)],
        ),
    ),
    at(
        "lifecycle section 12",
        row(
            "G3",
            "grant removed",
            &[Active],
            C::GrantRemoved,
            "taken away early",
            Some(Revoked),
            &[ENDED, Tell(E::PromoRevoked), OfferNotConverted],
        ),
    ),
    at(
        "lifecycle section 12",
        row(
            "G4",
            "grant ran out",
            &[Active],
            C::GrantEnded,
            "over by date",
            Some(Expired),
            &[ENDED, Tell(E::SubscriptionTerminated), OfferNotConverted],
        ),
    ),
    at(
        "architecture section 2",
        row(
            "G5",
            "grant converted",
            &[Active],
            C::GrantConverted,
            "a trial grant's entitlement was bought",
            Some(Expired),
            &[Deactivate(Edge::Replaced), Tell(E::TrialConverted)],
        ),
    ),
];

pub(super) const TEMPORARY: &[Row] = &[
    at(
        "revenuecat section 2",
        row(
            "T1",
            "temporary entitlement",
            &[Unknown],
            C::TemporaryGranted,
            "claimed, and its store cannot be asked",
            Some(Active),
            &[BEGAN, Tell(E::TemporaryEntitlementGranted)],
        ),
    ),
    at(
        "revenuecat section 3",
        row(
            "T2",
            "temporary entitlement over",
            &[Active],
            C::TemporaryEnded,
            "the store says that it is none, or a day has passed",
            Some(Expired),
            &[ENDED],
        ),
    ),
    at(
        "revenuecat section 3",
        row(
            "T3",
            "temporary entitlement replaced",
            &[Active],
            C::TemporaryReplaced,
            "the store says that it is one",
            Some(Expired),
            &[Deactivate(Edge::Replaced)],
        ),
    ),
];

pub(super) const FACTS: &[Row] = &[
    row(
        "6",
        "refund that keeps access as it is",
        ALL,
        C::RefundKeepsAccess,
        "of an earlier period, in part, or without a revoke",
        None,
        &[Tell(E::RefundRecorded), Money],
    ),
    at(
        "lifecycle section 8",
        row(
            "29a",
            "earlier refund undone",
            ALL,
            C::RefundReversed,
            "access stays as it is",
            None,
            &[Tell(E::RefundReversed), Money],
        ),
    ),
    at(
        "lifecycle section 8",
        row("M1", "refund asked for", ALL, C::RefundRequested, "once per refund", None, &[Tell(E::RefundRequested)]),
    ),
    at(
        "lifecycle section 8",
        row(
            "M2",
            "refund declined",
            ACCESS,
            C::RefundDeclined,
            "access is on",
            None,
            &[REFRESH, Tell(E::RefundDeclined)],
        ),
    ),
    at(
        "lifecycle section 8",
        row(
            "M2a",
            "refund declined without access",
            &[Unknown, Pending, BillingRetry, Paused, Expired, Revoked],
            C::RefundDeclined,
            "access is off",
            None,
            &[Tell(E::RefundDeclined)],
        ),
    ),
    at(
        "architecture section 2",
        row("M3", "price learned late", ALL, C::MoneyLearned, "what it paid for is told already", None, &[Money]),
    ),
    at(
        "architecture section 2",
        row(
            "M4",
            "charge failed",
            SEEN,
            C::PaymentFailed,
            "once per attempt of the store",
            None,
            &[Tell(E::PaymentFailed)],
        ),
    ),
    at(
        "lifecycle section 6",
        row(
            "M5",
            "offer redeemed",
            RUNNING,
            C::OfferRedeemed,
            "it starts with a later period",
            None,
            &[Tell(E::OfferRedeemed)],
        ),
    ),
    at(
        "lifecycle section 6",
        row("M6", "offer began", &[Active], C::OfferBegan, "within the period", None, &[OfferStarted]),
    ),
    at(
        "lifecycle section 4",
        row(
            "M7",
            "price increase announced",
            RUNNING,
            C::PriceIncreaseAnnounced,
            "not agreed to yet",
            None,
            &[Tell(E::PriceIncreasePending)],
        ),
    ),
    at(
        "lifecycle section 4",
        row(
            "M8",
            "price increase accepted",
            RUNNING,
            C::PriceIncreaseAccepted,
            "agreed to",
            None,
            &[Tell(E::PriceIncreaseAccepted)],
        ),
    ),
    row(
        "30",
        "owner changed",
        ACCESS,
        C::Transferred,
        "another customer owns it",
        None,
        &[Former(E::SubscriptionTransferred), Activate(Edge::Transferred), Tell(E::SubscriptionReceived)],
    ),
    row(
        "30a",
        "owner of a one-time purchase changed",
        ACCESS,
        C::TransferredOnce,
        "another customer owns it",
        None,
        &[Former(E::OneTimePurchaseTransferred), Activate(Edge::Transferred), Tell(E::OneTimePurchaseReceived)],
    ),
    at(
        "architecture section 3",
        row(
            "C1",
            "catalogue changed",
            ACCESS,
            C::UnlocksChanged,
            "the product unlocks something else",
            None,
            &[Tell(E::EntitlementsChanged)],
        ),
    ),
    row("31", "confirmed", ALL, C::Confirmed, "equal to what is known", None, &[]),
    row("32", "older", ALL, C::Older, "older than what is known; one-off facts are changes of their own", None, &[]),
];
