//! Instants. A `Timestamp` is whole milliseconds since 1970 in UTC: what every store gives at best.
//!
//! There is no `now()` here: time is a parameter everywhere below the hub.

use crate::text_form::{self, Short};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z. In JSON: RFC 3339, UTC, fraction only when not zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The longest text form: `2026-01-31T08:00:00.123Z`.
const LONGEST_TEXT: usize = 24;

/// A text that is no RFC 3339 time, or a number outside of the years 0001 to 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time between the years 0001 and 9999 in RFC 3339 form, such as 2026-01-31T08:00:00Z")]
pub struct InvalidTime;

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Timestamp = Timestamp(-62_135_596_800_000);
    /// 9999-12-30T22:00:00Z: the last moment that has a text form in every zone (jiff's bound).
    pub const MAX: Timestamp = Timestamp(253_402_207_200_000);

    /// From milliseconds since the epoch; refuses what no store can mean.
    pub const fn from_millis(ms: i64) -> Result<Timestamp, InvalidTime> {
        if ms < Self::MIN.0 || ms > Self::MAX.0 { Err(InvalidTime) } else { Ok(Timestamp(ms)) }
    }

    /// From milliseconds; outside of the range the nearest bound. For arithmetic and our own rows, not for input.
    #[must_use]
    pub const fn from_millis_clamped(ms: i64) -> Timestamp {
        if ms < Self::MIN.0 {
            Self::MIN
        } else if ms > Self::MAX.0 {
            Self::MAX
        } else {
            Timestamp(ms)
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Later by `span`, at most `MAX`.
    #[must_use]
    pub fn plus(self, span: Duration) -> Timestamp {
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis_clamped(self.0.saturating_add(ms))
    }

    /// Earlier by `span`, at least `MIN`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Timestamp {
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis_clamped(self.0.saturating_sub(ms))
    }

    /// How long after `earlier`; zero when it is not after.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole seconds, `Z`: the form that Discord's and RevenueCat's samples use.
    #[must_use]
    pub fn to_rfc3339_seconds(self) -> String {
        Timestamp(self.as_seconds() * 1000).to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at}"),
            Err(_) => Err(fmt::Error),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let at: jiff::Timestamp = text.parse().map_err(|_| InvalidTime)?;
        Timestamp::from_millis(at.as_millisecond())
    }
}

impl schemars::JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut text = Short::<LONGEST_TEXT>::new();
        write!(text, "{self}").map_err(serde::ser::Error::custom)?;
        s.serialize_str(text.as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        text_form::read(d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_utc_and_drops_an_empty_fraction() {
        let at: Timestamp = "2026-01-31T09:00:00+01:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-01-31T08:00:00Z");
        assert_eq!(Timestamp::from_millis(1).unwrap().to_string(), "1970-01-01T00:00:00.001Z");
        assert!("2026-01-31".parse::<Timestamp>().is_err());
        assert!(Timestamp::from_millis(i64::MAX).is_err());
        for edge in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(edge.to_string().parse::<Timestamp>().unwrap(), edge, "what can be held can be written");
            let last = edge.plus(Duration::from_millis(999)).minus(Duration::from_millis(1));
            assert_eq!(serde_json::to_value(last).unwrap(), last.to_string(), "in JSON too");
        }
    }
}
