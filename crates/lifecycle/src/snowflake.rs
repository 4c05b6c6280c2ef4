//! Discord's ids. <https://discord.com/developers/docs/reference#snowflakes>
//!
//! A snowflake is a number of 63 bits: 41 (42 with the sign) of milliseconds since 2015, then 22 that tell ids of the same
//! millisecond apart. Ours are minted from the start of what they name, because Discord's clients read it from them, and
//! from a hash of our own id, so that folding the journal again mints the same ones.

use crate::ids::digest16;
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// An id as Discord writes it. In JSON always a text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snowflake(u64);

/// Why a text is no snowflake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSnowflake {
    /// It is not a whole number without a sign and without leading zeros.
    #[error("not a snowflake")]
    Malformed,
    /// Discord reads snowflakes as signed numbers of 64 bits.
    #[error("a snowflake is at most {}", Snowflake::MAX)]
    TooLarge,
}

/// Bits below the time.
const TAIL_BITS: u32 = 22;

impl Snowflake {
    /// 2015-01-01T00:00:00Z.
    pub const EPOCH: Timestamp = Timestamp::from_millis_clamped(1_420_070_400_000);
    /// Below every id.
    pub const ZERO: Snowflake = Snowflake(0);
    /// The largest that Discord takes.
    pub const MAX: Snowflake = Snowflake(i64::MAX.unsigned_abs());

    /// The number as databases keep it.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// From a database; `None`: negative.
    #[must_use]
    pub fn from_i64(number: i64) -> Option<Snowflake> {
        u64::try_from(number).ok().map(Snowflake)
    }

    /// The `attempt`-th id for `key`, which began at `start`: another attempt is made when the one before is taken. Each
    /// attempt is a millisecond later, so that however many things begin at once, free ids are found after a few. Even:
    /// the odd neighbour ([`Snowflake::twin`]) is kept free for a second thing of the same start.
    ///
    /// ASSUMPTION: what began before 2015 cannot be told by a snowflake; it gets the first ones of 2015.
    #[must_use]
    pub fn mint(start: Timestamp, key: &[u8; 16], attempt: u32) -> Snowflake {
        let since = u64::try_from(start.as_millis().saturating_sub(Self::EPOCH.as_millis())).unwrap_or(0);
        let time = since.saturating_add(u64::from(attempt)).min(Self::MAX.0 >> TAIL_BITS);
        let hash = digest16(&[b"snowflake", key, &attempt.to_be_bytes()]);
        let tail = u64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])) & ((1 << TAIL_BITS) - 1);
        Snowflake((time << TAIL_BITS) | (tail & !1))
    }

    /// The id of the other thing that has the same start: a purchase's entitlement.
    #[must_use]
    pub const fn twin(self) -> Snowflake {
        Snowflake(self.0 ^ 1)
    }

    /// The moment that it was minted from.
    #[must_use]
    pub const fn time(self) -> Timestamp {
        let since = (self.0 >> TAIL_BITS).cast_signed();
        Timestamp::from_millis_clamped(Self::EPOCH.as_millis() + since)
    }

    /// A text that is one of Discord's own ids rather than some other number: those since mid-2015 have 17 digits or more.
    #[must_use]
    pub fn native(text: &str) -> Option<Snowflake> {
        text.parse().ok().filter(|_| text.len() >= 17)
    }
}

impl fmt::Display for Snowflake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Snowflake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Snowflake {
    type Err = NoSnowflake;
    fn from_str(text: &str) -> Result<Self, NoSnowflake> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || (text.len() > 1 && text.starts_with('0')) {
            return Err(NoSnowflake::Malformed);
        }
        // Digits that do not fit are a number that is too large.
        let number = text.parse::<u64>().map_err(|_| NoSnowflake::TooLarge)?;
        if number > Self::MAX.0 { Err(NoSnowflake::TooLarge) } else { Ok(Snowflake(number)) }
    }
}

impl Serialize for Snowflake {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Snowflake {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        crate::text_form::read(d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_discord_writes_them() {
        for (id, time) in [
            ("1278078770116427839", "2024-08-27T19:48:44.351Z"),
            ("1019653849998299136", "2022-09-14T17:00:22.092Z"),
            ("1158857122189168803", "2023-10-03T20:04:28.454Z"),
            ("0", "2015-01-01T00:00:00Z"),
        ] {
            assert_eq!(id.parse::<Snowflake>().unwrap().time().to_string(), time, "{id}");
        }
    }

    #[test]
    fn minted_ids_tell_the_start_and_are_told_apart() {
        let start: Timestamp = "2024-08-27T19:48:44.406Z".parse().unwrap();
        let one = Snowflake::mint(start, &[1; 16], 0);
        assert_eq!(one.time(), start);
        assert!(one.to_string().as_str() >= "1278078770346983424");
        assert_eq!(one, Snowflake::mint(start, &[1; 16], 0), "the same again");
        assert_ne!(one, Snowflake::mint(start, &[2; 16], 0));
        assert_eq!(Snowflake::mint(start, &[1; 16], 3).time(), start.plus(std::time::Duration::from_millis(3)));
        assert_eq!(one.twin().twin(), one);
        assert_eq!(one.twin().time(), start);
        assert_ne!(one.twin(), one);
        assert_eq!(Snowflake::mint(Timestamp::MIN, &[1; 16], 0).time(), Snowflake::EPOCH, "before 2015");
        assert!(Snowflake::mint(Timestamp::MAX, &[1; 16], 9) <= Snowflake::MAX);
    }

    #[test]
    fn only_plain_numbers_are_snowflakes() {
        for text in ["0", "1", "9223372036854775807"] {
            assert_eq!(text.parse::<Snowflake>().unwrap().to_string(), text);
        }
        for text in ["", "-1", "+1", "01", "00", "1.0", "abc", " 1", "1 ", "٣", "0x1", "1e3"] {
            assert_eq!(text.parse::<Snowflake>(), Err(NoSnowflake::Malformed), "{text:?}");
        }
        for text in ["9223372036854775808", "18446744073709551616", "99999999999999999999999999"] {
            assert_eq!(text.parse::<Snowflake>(), Err(NoSnowflake::TooLarge), "{text:?}");
        }
        assert_eq!(Snowflake::native("1234567890"), None, "some number");
        assert!(Snowflake::native("1278078770116427839").is_some());
    }
}
