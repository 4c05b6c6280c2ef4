//! What an app's own backend says that a customer bought (`POST /v1/customers/{id}/purchases`).

use crate::{Lookup, Notification, Rejection, RejectionKind};
use paidup_lifecycle::observation::PurchaseKey;
use serde::Deserialize;

/// The proof of a purchase, in the words of the store that sold it. Which of them a source takes is its own business;
/// what it does not take is refused with a pointer to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Claim {
    /// App Store: a transaction as StoreKit gives it, signed by Apple.
    pub signed_transaction: Option<String>,
    /// Play Store: the token, with `product_id`.
    pub purchase_token: Option<String>,
    /// What was bought, in the store's words. It may stand beside every proof: while a store cannot be asked, it says what to
    /// unlock meanwhile.
    pub product_id: Option<String>,
    /// Amazon: the receipt, with `user_id`.
    pub receipt_id: Option<String>,
    /// Amazon: the buyer's id there.
    pub user_id: Option<String>,
    /// Stripe, Discord: the subscription (or, for Discord, the entitlement).
    pub subscription_id: Option<String>,
}

impl Claim {
    /// Refuses, with a pointer, what stands in it beside `taken` (and the product, which may stand beside every proof).
    pub(crate) fn takes_only(&self, taken: &[&str]) -> Result<(), Rejection> {
        let given = [
            ("signed_transaction", &self.signed_transaction),
            ("purchase_token", &self.purchase_token),
            ("receipt_id", &self.receipt_id),
            ("user_id", &self.user_id),
            ("subscription_id", &self.subscription_id),
        ];
        let odd = given.into_iter().find(|(name, value)| value.is_some() && !taken.contains(name));
        odd.map_or(Ok(()), |(name, _)| {
            Err(Claim::refused(name, format!("this type of source takes {}", taken.join(", "))))
        })
    }

    /// The text of a field that must be there, of at most `longest` bytes and without control characters.
    pub(crate) fn required<'c>(value: Option<&'c String>, name: &str, longest: usize) -> Result<&'c str, Rejection> {
        match value {
            Some(text) if text.is_empty() || text.len() > longest || text.chars().any(char::is_control) => {
                Err(Claim::refused(name, format!("must be 1 to {longest} bytes of text without control characters")))
            }
            Some(text) => Ok(text),
            None => Err(Claim::refused(name, format!("{name} is missing; this type of source needs it"))),
        }
    }

    /// A refusal that names the field.
    pub(crate) fn refused(name: &str, detail: String) -> Rejection {
        Rejection {
            pointer: Some(format!("/{name}")),
            ..Rejection::new(RejectionKind::WrongAddress, "unfit_claim", detail)
        }
    }
}

/// What a claim comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one for each claim, taken apart at once")]
pub enum Claimed {
    /// It proves itself: it is kept and read like a notification.
    Notification(Notification),
    /// The store has to be asked.
    LookUp(Vec<Lookup>),
    /// The store cannot be asked (no credentials): it counts if the purchase is known already, under one of these keys.
    Known(Vec<PurchaseKey>),
}
