//! The key to the App Store Server API, and the token that is made with it for each request.
//! <https://developer.apple.com/documentation/appstoreserverapi/generating-json-web-tokens-for-api-requests>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use paidup_lifecycle::time::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;
use x509_parser::pem::parse_x509_pem;

/// For how long a token is good, in seconds. Apple advises a fresh token for each request, and its library gives each
/// five minutes.
const GOOD_FOR: i64 = 300;

/// The audience of every token.
const AUDIENCE: &str = "appstoreconnect-v1";

/// A key for in-app purchases. It can be neither shown nor written.
pub(in crate::app_store) struct ApiKey {
    key: EcdsaKeyPair,
    key_id: String,
    issuer_id: String,
    bundle_id: String,
}

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app_store) enum KeyError {
    /// Not PEM of a private key in PKCS#8.
    NotPem,
    /// Of another algorithm.
    NotP256,
}

impl ApiKey {
    /// `private_key` is the text of the .p8 file.
    pub(in crate::app_store) fn new(
        issuer_id: &str,
        key_id: &str,
        private_key: &str,
        bundle_id: &str,
    ) -> Result<ApiKey, KeyError> {
        // Environment variables and JSON often carry the line ends as two characters.
        let text = private_key.replace("\\n", "\n");
        let (_, pem) = parse_x509_pem(text.trim().as_bytes()).map_err(|_| KeyError::NotPem)?;
        if pem.label != "PRIVATE KEY" {
            return Err(KeyError::NotPem);
        }
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pem.contents, &SystemRandom::new());
        Ok(ApiKey {
            key: key.map_err(|_| KeyError::NotP256)?,
            key_id: key_id.to_owned(),
            issuer_id: issuer_id.to_owned(),
            bundle_id: bundle_id.to_owned(),
        })
    }

    /// The header of a request that is made at `now`. `None`: the system gives no randomness, which ECDSA needs.
    pub(super) fn authorization(&self, now: Timestamp) -> Option<HeaderValue> {
        let header = json!({"alg": "ES256", "kid": self.key_id, "typ": "JWT"});
        let issued = now.as_seconds();
        let claims = json!({
            "iss": self.issuer_id, "iat": issued, "exp": issued + GOOD_FOR, "aud": AUDIENCE, "bid": self.bundle_id,
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        // The randomness is the signature's own: nothing that is kept or decided depends on it.
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        let token = format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        let mut value = HeaderValue::from_str(&token).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::KeyPair;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    const NOW: &str = "2026-01-31T08:00:00Z";

    fn parts(value: &HeaderValue) -> (serde_json::Value, serde_json::Value) {
        let token = value.to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
        let part = |index: usize| {
            let text = token.split('.').nth(index).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
        };
        (part(0), part(1))
    }

    #[test]
    fn a_token_is_as_apple_wants_it_and_made_anew_for_each_request() {
        let pair = KeyPair::generate().unwrap();
        let key = ApiKey::new("issuer", "KEY1", &pair.serialize_pem(), "com.example.app").unwrap();
        let value = key.authorization(NOW.parse().unwrap()).unwrap();
        assert!(value.is_sensitive());
        let (header, claims) = parts(&value);
        assert_eq!(header, json!({"alg": "ES256", "kid": "KEY1", "typ": "JWT"}));
        let issued = NOW.parse::<Timestamp>().unwrap().as_seconds();
        let expected = json!({
            "iss": "issuer", "iat": issued, "exp": issued + 300, "aud": "appstoreconnect-v1", "bid": "com.example.app",
        });
        assert_eq!(claims, expected);
        let token = value.to_str().unwrap().strip_prefix("Bearer ").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key_raw())
            .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
        assert_ne!(key.authorization(NOW.parse().unwrap()).unwrap(), value);
    }

    #[test]
    fn only_a_p256_key_in_pkcs8_is_one() {
        let pem = KeyPair::generate().unwrap().serialize_pem();
        let new = |text: &str| ApiKey::new("i", "k", text, "b").map(|_| ());
        assert_eq!(new(&pem), Ok(()));
        assert_eq!(new(&format!("\n  {pem}\n\n")), Ok(()), "pasted with blanks around it");
        assert_eq!(new(&pem.replace("\r\n", "\n").replace('\n', "\\n")), Ok(()), "line ends as two characters");
        assert_eq!(new("secret"), Err(KeyError::NotPem));
        assert_eq!(new(&pem.replace("PRIVATE KEY", "CERTIFICATE")), Err(KeyError::NotPem));
        let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
        assert_eq!(new(&p384), Err(KeyError::NotP256));
    }

    /// App Store Connect's files name the curve inside the key once more, which other tools leave out.
    #[test]
    fn a_key_is_taken_as_app_store_connect_writes_it() {
        let der = KeyPair::generate().unwrap().serialize_der();
        // SEQUENCE { 0, SEQUENCE { oid, oid }, OCTET STRING { SEQUENCE { 1, OCTET STRING(32), [1] { BIT STRING } } } }
        let place = der.windows(3).position(|bytes| bytes == [0xa1, 0x44, 0x03]).unwrap();
        let curve = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
        let mut apples = [&der[..place], &curve, &der[place..]].concat();
        let grow = u8::try_from(curve.len()).unwrap();
        assert_eq!((apples[1], apples[28], apples[30]), (0x81, 0x6d, 0x6b), "the lengths that grow");
        for length in [2, 28, 30] {
            apples[length] += grow;
        }
        let pem = x509_pem(&apples);
        assert!(pem.contains("MIGTAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBHkwdwIBAQQg"), "{pem}");
        assert!(ApiKey::new("i", "k", &pem, "b").is_ok());
    }

    fn x509_pem(der: &[u8]) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }
}
