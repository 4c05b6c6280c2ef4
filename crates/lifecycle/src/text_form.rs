//! Values whose JSON is their one text form: ids, instants, closed sets. Reading one makes no text of its own, which is most
//! of what a row of a purchase consists of.

use serde::de::{Deserializer, Error, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// Reads a value by its text form; the error is that of the value's own `FromStr`.
pub fn read<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_str(Text(PhantomData))
}

struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// A short text that is built in place.
pub(crate) struct Short<const LONGEST: usize> {
    bytes: [u8; LONGEST],
    length: usize,
}

impl<const LONGEST: usize> Short<LONGEST> {
    pub(crate) fn new() -> Self {
        Short { bytes: [0; LONGEST], length: 0 }
    }

    /// What was written. Only whole texts are, so it is one.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl<const LONGEST: usize> fmt::Write for Short<LONGEST> {
    /// An error: it does not fit.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CustomerId;
    use crate::observation::Store;
    use crate::time::Timestamp;
    use serde_json::{from_str, from_value, json};
    use std::fmt::Write;

    #[test]
    fn what_is_no_text_form_says_so() {
        let reason = |error: serde_json::Error| error.to_string();
        assert!(
            reason(from_str::<Timestamp>("3").unwrap_err()).starts_with("invalid type: integer `3`, expected a string")
        );
        assert!(reason(from_str::<Timestamp>("\"soon\"").unwrap_err()).starts_with("not a time"));
        assert!(reason(from_str::<CustomerId>("\"cus_\"").unwrap_err()).starts_with("not an id of the form cus_"));
        assert!(reason(from_value::<Store>(json!("SHOP")).unwrap_err()).contains("SHOP"));
        // Written with escapes, owned and borrowed: the same.
        assert_eq!(from_str::<Store>("\"\\u0053TRIPE\"").unwrap(), Store::Stripe);
        assert_eq!(from_value::<Store>(json!("STRIPE")).unwrap(), Store::Stripe);
    }

    #[test]
    fn a_short_text_is_whole_or_refused() {
        let mut short = Short::<5>::new();
        assert!(short.write_str("abc").is_ok());
        assert!(short.write_str("def").is_err());
        assert!(short.write_str("de").is_ok());
        assert_eq!(short.as_str(), "abcde");
    }
}
