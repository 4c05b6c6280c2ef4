//! JSON of senders that add fields and leave others out without notice: a field that is missing, null, of another type or
//! longer than anything that is meant is absent, never an error.

use crate::{Rejection, RejectionKind};
use paidup_lifecycle::money::{Currency, Money};
use paidup_lifecycle::time::Timestamp;
use serde_json::Value;

/// The longest text that is taken as an id or a name, in bytes.
pub(crate) const MAX_TEXT: usize = 512;

/// The body as JSON.
pub(crate) fn parse(body: &[u8]) -> Result<Value, Rejection> {
    serde_json::from_slice(body).map_err(|error| {
        Rejection::new(RejectionKind::Malformed, "unreadable_body", format!("the body is no JSON: {error}"))
    })
}

/// A JSON object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a>(pub(crate) &'a Value);

impl<'a> Object<'a> {
    /// A field that is there and not null.
    pub(crate) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text that is neither empty nor too long.
    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str().filter(|text| is_text(text))
    }

    /// A whole number.
    pub(crate) fn int(self, name: &str) -> Option<i64> {
        self.get(name)?.as_i64()
    }

    /// A yes or no.
    pub(crate) fn flag(self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    /// Milliseconds since 1970.
    pub(crate) fn millis(self, name: &str) -> Option<Timestamp> {
        Timestamp::from_millis(self.int(name)?).ok()
    }

    /// An amount in whole units of a currency.
    pub(crate) fn amount(self, name: &str, currency: Currency) -> Option<Money> {
        let value = self.get(name)?;
        // Some senders write their numbers as texts.
        let units = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
        Money::from_units(units, currency)
    }

    /// An object inside of it.
    pub(crate) fn object(self, name: &str) -> Option<Object<'a>> {
        self.get(name).filter(|value| value.is_object()).map(Object)
    }

    /// Texts of a list, at most `most`.
    pub(crate) fn texts(self, name: &str, most: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        let list = self.get(name).and_then(Value::as_array);
        list.into_iter().flatten().take(most).filter_map(Value::as_str).filter(|text| is_text(text))
    }
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT && !text.contains('\0')
}
