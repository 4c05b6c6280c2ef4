//! JSON Web Signatures in compact form (RFC 7515 section 7.1), signed with ES256 by a key whose certificates stand in
//! the `x5c` header. It takes them apart and checks signatures; whether a certificate is to be believed is `x509`'s.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// The three segments, still encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compact<'a> {
    /// The protected header.
    pub(crate) header: &'a str,
    /// What is signed.
    pub(crate) payload: &'a str,
    /// r and s, 32 bytes each.
    pub(crate) signature: &'a str,
    /// Header, dot, payload: the bytes that the signature is over.
    signing_input: &'a str,
}

/// Why a JWS is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwsError {
    /// Not three segments of base64url with a JSON header in front.
    #[error("is not a JWS in compact form")]
    Malformed,
    /// Any `alg` but ES256. `none` and the HMAC family are how forgers try it.
    #[error("is not signed with ES256")]
    WrongAlgorithm,
    /// It demands an extension by `crit`; none is known.
    #[error("demands an unknown extension of JWS")]
    UnknownExtension,
    /// No certificates.
    #[error("carries no certificates (x5c)")]
    MissingX5c,
    /// The signature does not fit.
    #[error("has a signature that does not fit")]
    BadSignature,
}

impl JwsError {
    /// The constant name of the reason.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            JwsError::Malformed => "not_a_jws",
            JwsError::WrongAlgorithm => "wrong_algorithm",
            JwsError::UnknownExtension => "unknown_jws_extension",
            JwsError::MissingX5c => "missing_x5c",
            JwsError::BadSignature => "bad_signature",
        }
    }
}

/// Only what decides is read. A doubled name is an error of the JSON reader, so nobody can be shown another `alg`.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow, default)]
    x5c: Option<Vec<Cow<'a, str>>>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

impl<'a> Compact<'a> {
    /// Cuts at the two dots. Nothing is decoded yet.
    pub(crate) fn split(text: &'a str) -> Result<Compact<'a>, JwsError> {
        let (signing_input, signature) = text.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::Malformed)?;
        if header.is_empty() || payload.is_empty() || payload.contains('.') {
            return Err(JwsError::Malformed);
        }
        Ok(Compact { header, payload, signature, signing_input })
    }

    /// The certificates of the header, leaf first, in DER.
    pub(crate) fn certificates(&self) -> Result<Vec<Vec<u8>>, JwsError> {
        let json = decode(self.header)?;
        let header: Header<'_> = serde_json::from_slice(&json).map_err(|_| JwsError::Malformed)?;
        if header.alg != "ES256" {
            return Err(JwsError::WrongAlgorithm);
        }
        if header.crit.is_some() {
            return Err(JwsError::UnknownExtension);
        }
        let certificates = header.x5c.ok_or(JwsError::MissingX5c)?;
        // x5c is plain base64 with padding, unlike everything else in a JWS (RFC 7515 section 4.1.6).
        certificates.iter().map(|text| STANDARD.decode(text.as_bytes()).map_err(|_| JwsError::Malformed)).collect()
    }

    /// Checks the signature with a P-256 key (uncompressed point). To be called only for a header whose `alg` was seen
    /// to be ES256.
    pub(crate) fn check_signature(&self, public_key: &[u8]) -> Result<(), JwsError> {
        let signature = decode(self.signature).map_err(|_| JwsError::BadSignature)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key)
            .verify(self.signing_input.as_bytes(), &signature)
            .map_err(|_| JwsError::BadSignature)
    }

    /// The bytes that the signature is over.
    pub(crate) fn signing_input(&self) -> &'a str {
        self.signing_input
    }

    /// What is signed, decoded.
    pub(crate) fn payload_bytes(&self) -> Result<Vec<u8>, JwsError> {
        decode(self.payload)
    }
}

/// Strict base64url: no padding, no stray bits, so that a segment has one spelling only.
fn decode(segment: &str) -> Result<Vec<u8>, JwsError> {
    URL_SAFE_NO_PAD.decode(segment.as_bytes()).map_err(|_| JwsError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> Result<Vec<Vec<u8>>, JwsError> {
        let text = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(json));
        Compact::split(&text).unwrap().certificates()
    }

    #[test]
    fn a_header_is_read_strictly() {
        for (name, json, expected) in [
            ("plain", r#"{"alg":"ES256","x5c":["AAE="]}"#, Ok(vec![vec![0, 1]])),
            ("none", r#"{"alg":"none","x5c":["AAE="]}"#, Err(JwsError::WrongAlgorithm)),
            ("lower case", r#"{"alg":"es256","x5c":["AAE="]}"#, Err(JwsError::WrongAlgorithm)),
            ("no alg", r#"{"x5c":["AAE="]}"#, Err(JwsError::Malformed)),
            ("alg twice", r#"{"alg":"ES256","alg":"none","x5c":[]}"#, Err(JwsError::Malformed)),
            ("crit", r#"{"alg":"ES256","crit":["b64"],"b64":false,"x5c":[]}"#, Err(JwsError::UnknownExtension)),
            ("no x5c", r#"{"alg":"ES256"}"#, Err(JwsError::MissingX5c)),
            ("x5c null", r#"{"alg":"ES256","x5c":null}"#, Err(JwsError::MissingX5c)),
            ("x5c of no base64", r#"{"alg":"ES256","x5c":["*"]}"#, Err(JwsError::Malformed)),
            ("x5c of numbers", r#"{"alg":"ES256","x5c":[1]}"#, Err(JwsError::Malformed)),
        ] {
            assert_eq!(header(json), expected, "{name}");
        }
    }

    #[test]
    fn only_three_segments_are_a_jws() {
        for text in ["", ".", "..", "a.b", "a..c", ".b.c", "a.b.c.d"] {
            assert_eq!(Compact::split(text).err(), Some(JwsError::Malformed), "{text:?}");
        }
        assert!(Compact::split("a.b.").is_ok(), "an empty signature is for check_signature to refuse");
    }
}
