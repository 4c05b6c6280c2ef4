//! Texts that become values: each has one value, and each value one text that reads as itself.

use paidup_lifecycle::event::EventType;
use paidup_lifecycle::ids::{
    ApiKeyId, CustomerId, DestinationId, EventId, GrantId, LookupId, NotificationId, PurchaseId, SourceId,
};
use paidup_lifecycle::money::{Currency, Money};
use paidup_lifecycle::observation::{Environment, Kind, OfferType, PeriodType, Reason, Store};
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{is_reconciled_id, looked_up_id, parse_answer_id, parse_looked_up_id, reconciled_id};
use std::fmt::{Debug, Display};
use std::str::FromStr;

/// One text only stands for a value.
fn exact<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text, "another text for the same value");
    }
}

/// Several texts may stand for a value; its own is read as itself.
fn settled<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    assert_eq!(value.to_string().parse().ok().as_ref(), Some(&value), "{value} of {text:?}");
    Some(value)
}

/// The target.
pub(crate) fn any(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        ids(text);
        sets(text);
        times(text);
        answers(text);
        settled::<Currency>(text);
    }
    if let Some((number, rest)) = data.split_first_chunk::<8>() {
        let text = std::str::from_utf8(rest).unwrap_or_default();
        let currency = text.parse().unwrap_or(Currency::USD);
        money(f64::from_bits(u64::from_le_bytes(*number)), i64::from_le_bytes(*number), currency);
    }
}

fn ids(text: &str) {
    exact::<ApiKeyId>(text);
    exact::<CustomerId>(text);
    exact::<DestinationId>(text);
    exact::<EventId>(text);
    exact::<GrantId>(text);
    exact::<LookupId>(text);
    exact::<NotificationId>(text);
    exact::<PurchaseId>(text);
    exact::<SourceId>(text);
    exact::<Snowflake>(text);
    if let Some(native) = Snowflake::native(text) {
        assert_eq!(native.to_string(), text);
        assert_eq!(Snowflake::from_i64(native.as_i64()), Some(native));
    }
}

fn sets(text: &str) {
    exact::<EventType>(text);
    exact::<Environment>(text);
    exact::<Kind>(text);
    exact::<OfferType>(text);
    exact::<PeriodType>(text);
    exact::<Reason>(text);
    exact::<Store>(text);
}

fn times(text: &str) {
    let Some(time) = settled::<Timestamp>(text) else { return };
    assert!((Timestamp::MIN..=Timestamp::MAX).contains(&time));
    assert_eq!(Timestamp::from_millis(time.as_millis()), Ok(time));
    let (earlier, later) = (time.minus(std::time::Duration::from_secs(1)), time.plus(std::time::Duration::MAX));
    assert!(earlier <= time && later >= time && later <= Timestamp::MAX);
    assert!(
        time.to_rfc3339_seconds().parse::<Timestamp>().is_ok_and(|whole| whole <= time || time < Timestamp::default())
    );
}

fn answers(text: &str) {
    for id in [text.to_owned(), reconciled_id(text)] {
        if let Some((at, name, context)) = parse_looked_up_id(&id) {
            let again = looked_up_id(at, name, context);
            assert_eq!(parse_looked_up_id(&again), Some((at, name, context)));
            assert!(parse_answer_id(&again).is_none(), "one or the other");
            assert!(is_reconciled_id(&reconciled_id(&again)));
        }
        let _ = parse_answer_id(&id);
    }
}

fn money(units: f64, minor: i64, currency: Currency) {
    if let Some(money) = Money::from_units(units, currency) {
        // What is rounded up to the bound is beyond it when it is read again.
        let again = Money::from_units(money.as_units(), currency);
        assert!(again == Some(money) || money.as_units().abs() >= 1e12, "{units} {currency}: {again:?}");
        let off = (money.as_units() - units).abs();
        assert!(off <= 0.51 / 10f64.powi(currency.exponent().cast_signed()) + units.abs() * 1e-12, "{units} {money}");
    }
    let rounded = Money::from_thousandths(minor, currency);
    for money in [rounded, Money { amount_minor: minor, currency }, rounded.negated()] {
        let json = serde_json::to_string(&money).expect("money is JSON");
        assert_eq!(serde_json::from_str::<Money>(&json).ok(), Some(money));
        assert!(money.to_string().ends_with(currency.as_str()) && money.to_string().len() < 32, "{money}");
    }
}
