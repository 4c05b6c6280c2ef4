//! Money: integer minor units and an ISO 4217 currency. A price that a store did not tell is absent, never guessed.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// An ISO 4217 code: three upper-case letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Not three letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 4217 currency code of three letters")]
pub struct InvalidCurrency;

impl Currency {
    /// US dollars: RevenueCat reports revenue in them.
    pub const USD: Currency = Currency(*b"USD");

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// How many decimals the minor unit has (ISO 4217): 2 for most, 0 for the yen, 3 for the Kuwaiti dinar.
    #[must_use]
    pub fn exponent(&self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX"
            | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            _ => 2,
        }
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;
    fn from_str(text: &str) -> Result<Self, InvalidCurrency> {
        let bytes: [u8; 3] = text.as_bytes().try_into().map_err(|_| InvalidCurrency)?;
        if !bytes.iter().all(u8::is_ascii_alphabetic) {
            return Err(InvalidCurrency);
        }
        Ok(Currency(bytes.map(|b| b.to_ascii_uppercase())))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl JsonSchema for Currency {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[A-Z]{3}$"})
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        crate::text_form::read(d)
    }
}

/// No price has as many units: amounts up to it are exact as doubles and as minor units.
const MAX_UNITS: f64 = 1e12;

/// An amount in a currency's minor units; negative for money that went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Cents for USD, yen for JPY, fils for KWD.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: Currency,
}

impl Money {
    /// From thousandths of the currency unit, as Apple writes prices (`price` 1990, AUD = 1.99), rounded half away
    /// from zero to the minor unit.
    #[must_use]
    pub fn from_thousandths(thousandths: i64, currency: Currency) -> Money {
        let amount_minor = match currency.exponent() {
            0 => round_div(thousandths, 1000),
            2 => round_div(thousandths, 10),
            _ => thousandths,
        };
        Money { amount_minor, currency }
    }

    /// From whole units, as dialects write them. The decimal number that the double stands for is rounded half away from
    /// zero to the minor unit, so 9.99 is 9.99 and 1.005 is 1.01. `None`: no amount that a price can have.
    #[must_use]
    pub fn from_units(units: f64, currency: Currency) -> Option<Money> {
        if !units.is_finite() || units.abs() >= MAX_UNITS {
            return None;
        }
        // The shortest text that stands for this double: what the sender wrote. Never with an exponent.
        let text = units.abs().to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let places = currency.exponent() as usize;
        let digits: String = fraction.chars().chain("000".chars()).take(places).collect();
        let rounds_up = fraction.as_bytes().get(places).is_some_and(|digit| *digit >= b'5');
        let amount: i64 = format!("{whole}{digits}").parse().ok()?;
        let amount = amount + i64::from(rounds_up);
        Some(Money { amount_minor: if units < 0.0 { -amount } else { amount }, currency })
    }

    /// The amount in whole units, for dialects that speak in doubles.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // amounts beyond 2^53 minor units are no prices
    pub fn as_units(&self) -> f64 {
        self.amount_minor as f64 / 10f64.powi(i32::try_from(self.currency.exponent()).unwrap_or(2))
    }

    /// The same amount going the other way.
    #[must_use]
    pub fn negated(self) -> Money {
        Money { amount_minor: self.amount_minor.saturating_neg(), currency: self.currency }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent();
        let scale = 10u64.pow(exponent);
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let amount = self.amount_minor.unsigned_abs();
        if exponent == 0 {
            write!(f, "{sign}{amount} {}", self.currency)
        } else {
            let width = exponent as usize;
            write!(f, "{sign}{}.{:0width$} {}", amount / scale, amount % scale, self.currency)
        }
    }
}

fn round_div(value: i64, by: i64) -> i64 {
    let half = by / 2;
    if value >= 0 { value.saturating_add(half) / by } else { value.saturating_sub(half) / by }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_minor_units_without_a_rounding_error() {
        for (units, code, minor) in [
            (9.99, "USD", Some(999)),
            (1.005, "USD", Some(101)),
            (25.487, "USD", Some(2549)),
            (0.07, "EUR", Some(7)),
            (1.1, "EUR", Some(110)),
            (-9.99, "USD", Some(-999)),
            (0.0, "USD", Some(0)),
            (-0.0, "USD", Some(0)),
            (980.0, "JPY", Some(980)),
            (979.5, "JPY", Some(980)),
            (1.2345, "KWD", Some(1235)),
            (1e-9, "USD", Some(0)),
            (999_999_999_999.99, "USD", Some(99_999_999_999_999)),
            (1e12, "USD", None),
            (f64::NAN, "USD", None),
            (f64::INFINITY, "USD", None),
        ] {
            let money = Money::from_units(units, code.parse().unwrap());
            assert_eq!(money.map(|money| money.amount_minor), minor, "{units} {code}");
        }
        for minor in (0..200_000).step_by(7) {
            for code in ["USD", "JPY", "KWD"] {
                let money = Money { amount_minor: minor, currency: code.parse().unwrap() };
                assert_eq!(Money::from_units(money.as_units(), money.currency), Some(money));
            }
        }
    }

    #[test]
    fn thousandths_become_minor_units() {
        for (thousandths, code, minor, text) in [
            (1990, "AUD", 199, "1.99 AUD"),
            (230_000, "JPY", 230, "230 JPY"),
            (1_500, "KWD", 1_500, "1.500 KWD"),
            (-9_990, "usd", -999, "-9.99 USD"),
        ] {
            let money = Money::from_thousandths(thousandths, code.parse().unwrap());
            assert_eq!(money.amount_minor, minor, "{code}");
            assert_eq!(money.to_string(), text);
        }
    }
}
