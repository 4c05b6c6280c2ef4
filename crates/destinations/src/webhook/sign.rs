//! Signing a request: Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`) with a shared secret (`v1`) or
//! with a key pair of ours (`v1a`), RevenueCat's header, Purchasely's header.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};

/// What a Standard Webhooks secret starts with.
pub const SECRET_PREFIX: &str = "whsec_";
/// Standard Webhooks: a secret has 24 to 64 bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What the private half of a key pair starts with.
pub const SIGNING_KEY_PREFIX: &str = "whsk_";
/// What the public half starts with.
pub const PUBLIC_KEY_PREFIX: &str = "whpk_";
/// Bytes of an Ed25519 seed, and of a public key.
const KEY_BYTES: usize = 32;

/// Secrets are pasted from many tools: with or without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A Standard Webhooks secret. Has no text form, so that it cannot end up in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Not a Standard Webhooks secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `whsec_` followed by base64 of 24 to 64 bytes")]
pub struct InvalidSecret;

impl Secret {
    /// Reads `whsec_` + base64.
    pub fn parse(text: &str) -> Result<Secret, InvalidSecret> {
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(InvalidSecret)?;
        if encoded.len() > 100 {
            return Err(InvalidSecret);
        }
        let bytes = LENIENT.decode(encoded).map_err(|_| InvalidSecret)?;
        if SECRET_BYTES.contains(&bytes.len()) { Ok(Secret(bytes)) } else { Err(InvalidSecret) }
    }

    /// The text form of a fresh secret, from 32 bytes of chance.
    #[must_use]
    pub fn make(entropy: &[u8; 32]) -> String {
        format!("{SECRET_PREFIX}{}", LENIENT.encode(entropy))
    }
}

/// The private half of an Ed25519 key pair, with which `v1a` is signed. Has no text form, so that it cannot end up in a log.
pub struct SigningKey(Ed25519KeyPair);

/// Not the private half of a key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `whsk_` followed by base64 of 32 bytes (the seed of an Ed25519 key), or of 64 (with its public key)")]
pub struct InvalidSigningKey;

impl SigningKey {
    /// Reads `whsk_` + base64 of a seed, or of a seed and the public key that belongs to it.
    pub fn parse(text: &str) -> Result<SigningKey, InvalidSigningKey> {
        let encoded = text.strip_prefix(SIGNING_KEY_PREFIX).filter(|encoded| encoded.len() <= 100);
        let bytes = LENIENT.decode(encoded.ok_or(InvalidSigningKey)?).map_err(|_| InvalidSigningKey)?;
        let (seed, public) = bytes.split_at_checked(KEY_BYTES).ok_or(InvalidSigningKey)?;
        let pair = if public.is_empty() {
            Ed25519KeyPair::from_seed_unchecked(seed)
        } else {
            Ed25519KeyPair::from_seed_and_public_key(seed, public)
        };
        pair.map(SigningKey).map_err(|_| InvalidSigningKey)
    }

    /// The text form of a fresh one, from 32 bytes of chance. Not the same as what [`Secret::make`] makes of them.
    #[must_use]
    pub fn make(entropy: &[u8; 32]) -> String {
        let seed = Sha256::new().chain_update(SIGNING_KEY_PREFIX).chain_update(entropy).finalize();
        format!("{SIGNING_KEY_PREFIX}{}", LENIENT.encode(seed))
    }

    /// What receivers check with: `whpk_` + base64.
    #[must_use]
    pub fn public_key(&self) -> String {
        format!("{PUBLIC_KEY_PREFIX}{}", LENIENT.encode(self.0.public_key()))
    }
}

/// `v1,<base64 of HMAC-SHA256 of "{id}.{timestamp}.{body}">`.
#[must_use]
pub fn by_secret(secret: &Secret, id: &str, unix_seconds: i64, body: &[u8]) -> String {
    let head = format!("{id}.{unix_seconds}.");
    format!("v1,{}", LENIENT.encode(hmac_sha256(&secret.0, &[head.as_bytes(), body])))
}

/// `v1a,<base64 of the Ed25519 signature of "{id}.{timestamp}.{body}">`.
#[must_use]
pub fn by_key(key: &SigningKey, id: &str, unix_seconds: i64, body: &[u8]) -> String {
    let message = [format!("{id}.{unix_seconds}.").as_bytes(), body].concat();
    format!("v1a,{}", LENIENT.encode(key.0.sign(&message)))
}

/// RevenueCat's `X-RevenueCat-Webhook-Signature`: `t=<unix>,v1=<hex of HMAC-SHA256 of "{t}." + body>`.
/// The secret is used as text, as receivers do (revenuecat-events.md section 1).
#[must_use]
pub fn revenuecat(secret: &str, unix_seconds: i64, body: &[u8]) -> String {
    let head = format!("{unix_seconds}.");
    format!("t={unix_seconds},v1={}", hex::encode(hmac_sha256(secret.as_bytes(), &[head.as_bytes(), body])))
}

/// Purchasely's `X-PURCHASELY-REQUEST-SIGNATURE`: hex of HMAC-SHA256 of the timestamp's text and the body, with nothing
/// between them (purchasely-events.md section 4).
#[must_use]
pub fn purchasely(secret: &str, unix_seconds: i64, body: &[u8]) -> String {
    hex::encode(hmac_sha256(secret.as_bytes(), &[unix_seconds.to_string().as_bytes(), body]))
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that the Standard Webhooks libraries share in their tests.
    #[test]
    fn agrees_with_the_published_vector() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = by_secret(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// Another implementation checks it; a flipped bit anywhere is seen.
    #[test]
    fn a_signature_fits_its_public_key_and_nothing_else() {
        use ring::signature::{ED25519, UnparsedPublicKey};
        let key = SigningKey::parse(&SigningKey::make(&[7; 32])).unwrap();
        let public = LENIENT.decode(key.public_key().strip_prefix("whpk_").unwrap()).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, public);
        let signature = by_key(&key, "evt_1", 7, b"{}");
        let signature = LENIENT.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
        assert!(public.verify(b"evt_1.7.{}", &signature).is_ok());
        for other in [&b"evt_2.7.{}"[..], b"evt_1.8.{}", b"evt_1.7.{ }"] {
            assert!(public.verify(other, &signature).is_err());
        }
    }

    #[test]
    fn signing_keys_are_seeds_with_or_without_their_public_key() {
        // RFC 8032, section 7.1, test 2.
        let seed = hex::decode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let public = hex::decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").unwrap();
        let of = |bytes: &[u8]| format!("whsk_{}", LENIENT.encode(bytes));
        let expected = format!("whpk_{}", LENIENT.encode(&public));
        for (name, text, fine) in [
            ("seed", of(&seed), true),
            ("seed and public key", of(&[seed.clone(), public.clone()].concat()), true),
            ("another public key", of(&[seed.clone(), seed.clone()].concat()), false),
            ("short", of(&seed[1..]), false),
            ("between", of(&[&seed[..], &public[1..]].concat()), false),
            ("empty", of(b""), false),
            ("no prefix", LENIENT.encode(&seed), false),
            ("a secret", Secret::make(&[7; 32]), false),
            ("huge", of(&[7; 10_000]), false),
        ] {
            let key = SigningKey::parse(&text).ok();
            assert_eq!(key.map(|key| key.public_key()), fine.then(|| expected.clone()), "{name}");
        }
    }

    #[test]
    fn secrets_are_bounded() {
        let of = |bytes: usize| format!("whsec_{}", LENIENT.encode(vec![7u8; bytes]));
        for (name, text, fine) in [
            ("24 bytes", of(24), true),
            ("64 bytes", of(64), true),
            ("without padding", of(32).trim_end_matches('=').to_owned(), true),
            ("23 bytes", of(23), false),
            ("65 bytes", of(65), false),
            ("no prefix", LENIENT.encode([7u8; 32]), false),
            ("no base64", "whsec_!!!!".to_owned(), false),
            ("huge", of(10_000), false),
        ] {
            assert_eq!(Secret::parse(&text).is_ok(), fine, "{name}");
        }
    }

    #[test]
    fn revenuecat_signs_time_and_body() {
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
        let expected = "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
        assert_eq!(revenuecat("secret", 1_700_000_000, b"{}"), expected);
    }

    /// Purchasely's published vector.
    #[test]
    fn purchasely_signs_time_and_body_without_a_separator() {
        let expected = "f3c2a452e9ea72f41107321aeaf7999f1054148866a710c9b23f9f501785e2a4";
        let body = br#"{"a_random_key":"a_random_value_ad"}"#;
        assert_eq!(purchasely("foobar", 1_698_322_022, body), expected);
    }
}
