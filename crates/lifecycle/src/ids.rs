//! Our own ids: a prefix that says what it names, and 26 letters (Crockford base 32 of 16 bytes).
//!
//! Ids are never drawn here: they are derived from bytes that the caller gives (a journal entry's seed, a key), so that
//! folding the journal again mints the same ones.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::text_form::{self, Short};
use crate::time::Timestamp;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix} followed by 26 letters or digits")]
pub struct InvalidId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What each letter stands for; 255: it is none of the alphabet.
const DIGITS: [u8; 256] = {
    let mut digits = [255; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

/// The longest text form: a prefix of four letters, and the letters.
const LONGEST_TEXT: usize = 4 + 26;

fn encode(bytes: [u8; 16]) -> [u8; 26] {
    let mut value = u128::from_be_bytes(bytes);
    let mut text = [b'0'; 26];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(value & 31) as usize];
        value >>= 5;
    }
    text
}

fn decode(text: &str) -> Option<[u8; 16]> {
    if text.len() != 26 || text.as_bytes()[0] > b'7' {
        return None;
    }
    let mut value: u128 = 0;
    for byte in text.bytes() {
        let digit = DIGITS[usize::from(byte)];
        if digit == 255 {
            return None;
        }
        value = (value << 5) | u128::from(digit);
    }
    Some(value.to_be_bytes())
}

/// The first 16 bytes of SHA-256 over the parts, each preceded by its length, so that no two lists of parts collide.
#[must_use]
pub fn digest16(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let full: [u8; 32] = hash.finalize().into();
    let mut first = [0; 16];
    first.copy_from_slice(&full[..16]);
    first
}

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident = $prefix:literal),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Derived from `parts`: the same parts give the same id.
            #[must_use]
            pub fn derive(parts: &[&[u8]]) -> Self {
                let mut all: Vec<&[u8]> = Vec::with_capacity(parts.len() + 1);
                all.push($prefix.as_bytes());
                all.extend_from_slice(parts);
                Self(digest16(&all))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(std::str::from_utf8(&encode(self.0)).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix).and_then(decode).map(Self).ok_or(InvalidId { prefix: $prefix })
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool { true }
            fn schema_name() -> std::borrow::Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": concat!("^", $prefix, "[0-7][0-9a-hjkmnp-tv-z]{25}$")})
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                let mut text = Short::<LONGEST_TEXT>::new();
                write!(text, "{self}").map_err(serde::ser::Error::custom)?;
                s.serialize_str(text.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                text_form::read(d)
            }
        }
    )+};
}

ids! {
    /// An access key for the API.
    ApiKeyId = "key_",
    /// A walk over all customers that brings a destination up to date.
    BackfillId = "bkf_",
    /// Events that belong together.
    BundleId = "bun_",
    /// What an app's backend says that a customer bought.
    ClaimId = "clm_",
    /// Who bought.
    CustomerId = "cus_",
    /// Where events go.
    DestinationId = "dst_",
    /// What we say happened.
    EventId = "evt_",
    /// An entitlement given by hand.
    GrantId = "grt_",
    /// What is to be looked up at a store.
    LookupId = "lkp_",
    /// What a source received.
    NotificationId = "ntf_",
    /// An offer.
    OfferId = "ofr_",
    /// A product in the catalogue.
    ProductId = "prd_",
    /// A subscription, a one-time purchase or a grant.
    PurchaseId = "pur_",
    /// A run that compares what is known with a store.
    ReconcileId = "rcn_",
    /// Events of a range that are told again.
    ReplayId = "rpl_",
    /// Where notifications come from.
    SourceId = "src_",
}

impl EventId {
    /// The id of the `index`-th event that journal entry `entry` gave about `purchase`: 48 bits of the time at which it
    /// was decided, so that ids sort roughly by age and new ones sit together on disk, then 80 bits of a hash of the
    /// three. The same entry folded again gives the same id.
    #[must_use]
    pub fn of(purchase: PurchaseId, entry: u64, index: u32, decided_at: Timestamp) -> EventId {
        let hash = digest16(&[b"evt", &purchase.0, &entry.to_be_bytes(), &index.to_be_bytes()]);
        let mut id = hash;
        let ms = u64::try_from(decided_at.as_millis()).unwrap_or(0).to_be_bytes();
        id[..6].copy_from_slice(&ms[2..]);
        EventId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_refuses_other_kinds() {
        let id = CustomerId::derive(&[b"a", b"b"]);
        assert_eq!(id.to_string().parse::<CustomerId>().unwrap(), id);
        assert_eq!(id.to_string().len(), 30);
        assert!(id.to_string().parse::<EventId>().is_err());
        assert_ne!(CustomerId::derive(&[b"ab", b""]), CustomerId::derive(&[b"a", b"b"]));
        assert_eq!(CustomerId([255; 16]).to_string().parse::<CustomerId>().unwrap(), CustomerId([255; 16]));
        assert!("cus_zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<CustomerId>().is_err());
    }
}
