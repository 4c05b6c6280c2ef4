//! Signing a request: Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`), RevenueCat's header,
//! Purchasely's header.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a Standard Webhooks secret starts with.
pub const SECRET_PREFIX: &str = "whsec_";
/// Standard Webhooks: a secret has 24 to 64 bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

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

/// `v1,<base64 of HMAC-SHA256 of "{id}.{timestamp}.{body}">`, one for each secret, separated by blanks: while a secret
/// rotates, receivers with the old and with the new one both agree.
#[must_use]
pub fn standard(secrets: &[Secret], id: &str, unix_seconds: i64, body: &[u8]) -> String {
    let head = format!("{id}.{unix_seconds}.");
    let signatures: Vec<String> = secrets
        .iter()
        .map(|secret| format!("v1,{}", LENIENT.encode(hmac_sha256(&secret.0, &[head.as_bytes(), body]))))
        .collect();
    signatures.join(" ")
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
        let signature = standard(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn several_secrets_give_several_signatures() {
        let one = Secret::parse(&Secret::make(&[1; 32])).unwrap();
        let other = Secret::parse(&Secret::make(&[2; 32])).unwrap();
        let both = standard(&[one.clone(), other.clone()], "evt_1", 7, b"{}");
        let alone = [standard(&[one], "evt_1", 7, b"{}"), standard(&[other], "evt_1", 7, b"{}")];
        assert_eq!(both, alone.join(" "));
        assert_ne!(alone[0], alone[1]);
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
