//! Discord's words: what a purchase is as a subscription, an entitlement and an SKU of a Discord app.
//! <https://discord.com/developers/docs/resources/subscription>
//!
//! This file has the status and its two numberings; `shape.rs` the objects. Their JSON is written at the edge (`web`).
//!
//! Discord's documentation had ENDING and INACTIVE swapped from 2024-08 to 2026-06; the live API always sent the other
//! numbers. So the hub keeps names and turns them into numbers at its edge only. The status is not the access switch:
//! entitlements are.

mod shape;

pub use shape::{
    EntitlementShape, EntitlementType, SkuShape, SkuType, SubscriptionShape, entitlement, sku_of, skus, snowflake,
    subscription,
};

use crate::closed_set;
use crate::event::PurchaseView;
use crate::purchase::State;

closed_set! {
    /// Discord's subscription statuses.
    pub enum Status {
        /// Running, will be charged again (also while a failed charge is retried).
        Active = "ACTIVE",
        /// Running, will not be charged again.
        Ending = "ENDING",
        /// Not charged.
        Inactive = "INACTIVE",
    }
}

closed_set! {
    /// Which number stands for which status (setting `PAIDUP_DISCORD_STATUS_NUMBERING`).
    pub enum Numbering {
        /// ACTIVE 0, ENDING 1, INACTIVE 2: Discord's page of 2024.
        Contract = "contract",
        /// ACTIVE 0, INACTIVE 1, ENDING 2: what Discord sends. Reading Discord always uses it.
        Discord = "discord",
    }
}

impl Status {
    /// The number in that numbering.
    #[must_use]
    pub const fn number(self, numbering: Numbering) -> u8 {
        match (self, numbering) {
            (Status::Active, _) => 0,
            (Status::Ending, Numbering::Contract) | (Status::Inactive, Numbering::Discord) => 1,
            (Status::Inactive, Numbering::Contract) | (Status::Ending, Numbering::Discord) => 2,
        }
    }

    /// The status of that number; None for a number that Discord has not defined.
    #[must_use]
    pub fn from_number(number: u64, numbering: Numbering) -> Option<Status> {
        Status::ALL.iter().copied().find(|status| u64::from(status.number(numbering)) == number)
    }
}

/// The status of a purchase (lifecycle.md section 3).
#[must_use]
pub fn status(purchase: &PurchaseView) -> Status {
    match purchase.state {
        State::Active if purchase.will_renew == Some(false) => Status::Ending,
        // Whoever is in grace or retry is still charged, so Discord calls the subscription active.
        State::Active | State::Grace | State::BillingRetry => Status::Active,
        State::None | State::Pending | State::Paused | State::Expired | State::Revoked => Status::Inactive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;
    use crate::observation::Store;
    use crate::sample;

    #[test]
    fn every_state_has_its_status() {
        for (state, will_renew, expected) in [
            (State::None, None, "INACTIVE"),
            (State::Pending, Some(true), "INACTIVE"),
            (State::Active, Some(true), "ACTIVE"),
            (State::Active, None, "ACTIVE"),
            (State::Active, Some(false), "ENDING"),
            (State::Grace, Some(true), "ACTIVE"),
            (State::BillingRetry, Some(true), "ACTIVE"),
            (State::Paused, Some(true), "INACTIVE"),
            (State::Expired, Some(false), "INACTIVE"),
            (State::Revoked, Some(false), "INACTIVE"),
        ] {
            let mut purchase = sample::event(EventType::SubscriptionStarted, Store::Discord).purchase;
            purchase.state = state;
            purchase.will_renew = will_renew;
            assert_eq!(status(&purchase).as_str(), expected, "{state} {will_renew:?}");
        }
    }

    #[test]
    fn both_numberings_round_trip() {
        for (status, contract, live) in [(Status::Active, 0, 0), (Status::Ending, 1, 2), (Status::Inactive, 2, 1)] {
            assert_eq!(status.number(Numbering::Contract), contract, "{status}");
            assert_eq!(status.number(Numbering::Discord), live, "{status}");
            for &numbering in Numbering::ALL {
                let number = u64::from(status.number(numbering));
                assert_eq!(Status::from_number(number, numbering), Some(status), "{status} {numbering}");
            }
        }
        assert_eq!(Status::from_number(3, Numbering::Discord), None);
    }
}
