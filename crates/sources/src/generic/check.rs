//! Facts that cannot be: a period that ends before it starts, an amount without a currency, an id that no database can
//! hold. Checked once here; behind it nobody asks again.

use super::wire::{Bought, Element, Reason, Refund};
use paidup_lifecycle::time::Timestamp;

/// The longest id, in characters.
pub(super) const MAX_ID: usize = 200;
/// Attributes of a customer: how many, and how long names and values may be.
const MAX_ATTRIBUTES: usize = 50;
const MAX_ATTRIBUTE_NAME: usize = 40;
const MAX_ATTRIBUTE_VALUE: usize = 500;
/// No price is larger: sums of many stay far within 64 bits.
const MAX_AMOUNT: i64 = 1_000_000_000_000_000;

/// What cannot be, and where (a JSON pointer within the element).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Impossible {
    pub(super) pointer: String,
    pub(super) detail: String,
}

type Checked = Result<(), Impossible>;

fn impossible(pointer: &str, detail: impl Into<String>) -> Checked {
    Err(Impossible { pointer: pointer.to_owned(), detail: detail.into() })
}

/// Checks one element.
pub(super) fn check(element: &Element<'_>) -> Checked {
    check_not_cleared(element)?;
    check_ids(element)?;
    check_times(element)?;
    check_money(element)?;
    check_attributes(element)?;
    check_reason(element)?;
    if let Some(Some(country)) = &element.country {
        let country = country.0.as_ref();
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return impossible("/country", "must be two letters (ISO 3166 alpha-2), e.g. DE");
        }
    }
    Ok(())
}

/// What every purchase has cannot be cleared: there is nothing that it would be cleared to. Said, not passed over, because
/// a sender that clears a facet expects that it is gone.
fn check_not_cleared(element: &Element<'_>) -> Checked {
    let cleared = [
        ("/kind", matches!(element.kind, Some(None)), "what was bought"),
        ("/product_id", matches!(element.product_id, Some(None)), "the product in force"),
        (
            "/period",
            matches!(element.period, Some(None)),
            "the running period; `ends_at: null` is a period without an end",
        ),
        (
            "/period_type",
            matches!(element.period_type, Some(None)),
            "how the period is paid for; `normal` is the regular price",
        ),
        ("/will_renew", matches!(element.will_renew, Some(None)), "whether it renews: true or false"),
    ];
    match cleared.into_iter().find(|(_, is_cleared, _)| *is_cleared) {
        Some((pointer, _, what)) => impossible(pointer, format!("cannot be cleared; leave it out, or say {what}")),
        None => Ok(()),
    }
}

fn check_ids(element: &Element<'_>) -> Checked {
    let refund = element.refund.as_ref();
    let offer = element.offer.as_ref().and_then(Option::as_ref);
    let ids = [
        ("/id", Some(element.id.0.as_ref())),
        ("/purchase_id", Some(element.purchase_id.0.as_ref())),
        ("/customer_id", element.customer_id.as_ref().and_then(Option::as_ref).map(|id| id.0.as_ref())),
        ("/transaction_id", element.transaction_id.as_ref().map(|id| id.0.as_ref())),
        ("/product_id", element.product_id()),
        ("/pending_product_id", element.pending_product_id.as_ref().and_then(Option::as_ref).map(|id| id.0.as_ref())),
        ("/transfer_to", element.transfer_to.as_ref().map(|id| id.0.as_ref())),
        ("/attempt_id", element.attempt_id.as_ref().map(|id| id.0.as_ref())),
        ("/refund/transaction_id", refund.map(|refund| refund.transaction_id.0.as_ref())),
        ("/refund/id", refund.and_then(|refund| refund.id.as_ref()).map(|id| id.0.as_ref())),
        ("/offer/id", offer.and_then(|offer| offer.id.as_deref())),
        ("/offer/code", offer.and_then(|offer| offer.code.as_deref())),
    ];
    for (pointer, id) in ids {
        let Some(id) = id else { continue };
        if id.trim().is_empty() {
            return impossible(pointer, "must not be empty");
        }
        if id.chars().count() > MAX_ID {
            return impossible(pointer, format!("must have at most {MAX_ID} characters"));
        }
        if id.chars().any(char::is_control) {
            return impossible(pointer, "must not have control characters");
        }
    }
    Ok(())
}

fn check_times(element: &Element<'_>) -> Checked {
    let starts_at = element.period().map(|period| period.starts_at);
    let pause = element.pause.as_ref().and_then(Option::as_ref);
    let order = [
        ("/period/ends_at", "period.starts_at", element.period().and_then(|period| period.ends_at), starts_at),
        ("/grace_ends_at", "period.starts_at", element.grace_ends_at.flatten(), starts_at),
        ("/extended_until", "period.starts_at", element.extended_until.flatten(), starts_at),
        (
            "/pause/resumes_at",
            "pause.starts_at",
            pause.and_then(|pause| pause.resumes_at),
            pause.and_then(|pause| pause.starts_at),
        ),
    ];
    for (pointer, name, later, earlier) in order {
        if let (Some(later), Some(earlier)) = (later, earlier) {
            check_after(pointer, name, later, earlier)?;
        }
    }
    let clears_pending = matches!(element.pending_product_id, Some(None));
    if element.pending_at.is_some() && (element.pending_product_id.is_none() || clears_pending) {
        return impossible("/pending_at", "needs pending_product_id beside it");
    }
    Ok(())
}

fn check_after(pointer: &str, name: &str, later: Timestamp, earlier: Timestamp) -> Checked {
    if later > earlier { Ok(()) } else { impossible(pointer, format!("must be after {name} ({earlier})")) }
}

fn check_money(element: &Element<'_>) -> Checked {
    if let Some(Some(price)) = &element.price
        && !(0..=MAX_AMOUNT).contains(&price.amount_minor)
    {
        return impossible("/price/amount_minor", format!("must be 0 to {MAX_AMOUNT}; a refund goes into refund"));
    }
    match &element.refund {
        Some(refund) => check_refund(refund, element),
        None => Ok(()),
    }
}

fn check_refund(refund: &Refund<'_>, element: &Element<'_>) -> Checked {
    match (refund.amount_minor, refund.currency) {
        (Some(amount), Some(_)) if (1..=MAX_AMOUNT).contains(&amount) => {}
        (Some(_), Some(_)) => return impossible("/refund/amount_minor", format!("must be 1 to {MAX_AMOUNT}")),
        (Some(_), None) => return impossible("/refund/currency", "must be given with amount_minor"),
        (None, Some(_)) => return impossible("/refund/amount_minor", "must be given with currency"),
        (None, None) => {}
    }
    if element.reason.refund_status().is_none() {
        let detail = "is taken with refund_requested, refunded, refund_declined and refund_reversed only";
        return impossible("/refund", detail);
    }
    Ok(())
}

fn check_attributes(element: &Element<'_>) -> Checked {
    let Some(attributes) = &element.attributes else { return Ok(()) };
    if attributes.len() > MAX_ATTRIBUTES {
        return impossible("/attributes", format!("must be at most {MAX_ATTRIBUTES}"));
    }
    for (name, value) in attributes {
        let pointer = || format!("/attributes/{}", name.replace('~', "~0").replace('/', "~1"));
        let length = name.chars().count();
        if length == 0 || length > MAX_ATTRIBUTE_NAME || name.chars().any(char::is_control) {
            return impossible(
                "/attributes",
                format!("names must have 1 to {MAX_ATTRIBUTE_NAME} characters, none of them control characters"),
            );
        }
        let Some(value) = value else { continue };
        if value.0.chars().count() > MAX_ATTRIBUTE_VALUE {
            return impossible(&pointer(), format!("must have at most {MAX_ATTRIBUTE_VALUE} characters"));
        }
        if value.0.contains('\0') {
            return impossible(&pointer(), "must not have NUL characters");
        }
    }
    Ok(())
}

/// What a reason cannot do without, or cannot stand with.
fn check_reason(element: &Element<'_>) -> Checked {
    let pending = element.pending_product_id.as_ref().and_then(Option::as_ref);
    if element.reason == Reason::ProductChangeScheduled && pending.is_none() {
        return impossible("/pending_product_id", "is needed with product_change_scheduled");
    }
    let until = element.extended_until.flatten().or(element.period().and_then(|period| period.ends_at));
    if element.reason == Reason::Extended && until.is_none() {
        return impossible("/extended_until", "is needed with extended (or period.ends_at)");
    }
    if element.reason == Reason::OneTimePurchased && element.kind == Some(Some(Bought::Subscription)) {
        return impossible("/kind", "one_time_purchased cannot be of a subscription");
    }
    let names_owner = element.transfer_to.is_some() || matches!(element.customer_id, Some(Some(_)));
    if element.reason == Reason::Transferred && !names_owner {
        return impossible("/transfer_to", "is needed with transferred: the customer who owns it now");
    }
    if element.reason != Reason::Transferred && element.transfer_to.is_some() {
        return impossible("/transfer_to", "is taken with transferred only");
    }
    Ok(())
}
