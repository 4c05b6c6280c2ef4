//! Senders that know a secret of the operator's: they send it as it is, or an HMAC-SHA256 made with it.

use ring::hmac;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whether two texts are the same, in a time that depends on neither: their digests are compared.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}

/// Whether `hex` is the HMAC-SHA256 of the parts, one after another, under the secret. In constant time; what is no hex
/// cannot be it.
pub(crate) fn is_signed(secret: &str, parts: &[&[u8]], hex: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex::decode(hex).is_ok_and(|tag| hmac::verify(&key, &parts.concat(), &tag).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_compared_whole() {
        assert!(is_same(b"Bearer abc", b"Bearer abc"));
        for other in [&b"Bearer ab"[..], b"Bearer abcd", b"bearer abc", b""] {
            assert!(!is_same(b"Bearer abc", other));
        }
    }

    /// Purchasely's published vector.
    #[test]
    fn a_published_signature_is_taken_and_nothing_near_it() {
        let (secret, time, body) = ("foobar", "1698322022", r#"{"a_random_key":"a_random_value_ad"}"#);
        let signature = "f3c2a452e9ea72f41107321aeaf7999f1054148866a710c9b23f9f501785e2a4";
        let is_signed =
            |secret: &str, time: &str, hex: &str| super::is_signed(secret, &[time.as_bytes(), body.as_bytes()], hex);
        assert!(is_signed(secret, time, signature));
        assert!(!is_signed("foobaz", time, signature));
        assert!(!is_signed(secret, "1698322023", signature));
        assert!(!is_signed(secret, time, &signature[..62]));
        assert!(!is_signed(secret, time, ""));
        assert!(!is_signed(secret, time, "no hex"));
    }
}
