//! What SNS makes of a message: the envelope, signed with the topic's certificate. Page: "Verifying the signatures of
//! Amazon SNS messages".

use crate::rsa::{Holder, RsaKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
use serde_json::{Map, Value, json};

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("a certificate for SNS could not be made")]
pub struct SnsError(#[from] rcgen::Error);

/// `SignatureVersion`, an attribute of the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// SHA-1.
    One,
    /// SHA-256.
    Two,
}

impl Version {
    const fn word(self) -> &'static str {
        match self {
            Version::One => "1",
            Version::Two => "2",
        }
    }
}

/// A key with its certificate.
pub struct Signer {
    key: RsaKey,
    certificate: String,
}

impl Signer {
    /// The key of this holder under a certificate in SNS's name that is valid in these years.
    pub fn new(holder: Holder, years: (i32, i32)) -> Result<Signer, SnsError> {
        let key = RsaKey::of(holder);
        let pair = KeyPair::from_pem_and_sign_algo(key.pem(), &PKCS_RSA_SHA256)?;
        let mut params = CertificateParams::new(vec!["sns.amazonaws.com".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "sns.amazonaws.com");
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let certificate = params.self_signed(&pair)?.pem();
        Ok(Signer { key, certificate })
    }

    /// What is served at `SigningCertURL`.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Adds version and signature to an envelope.
    #[must_use]
    pub fn signed(&self, version: Version, mut envelope: Map<String, Value>) -> Value {
        let text = string_to_sign(&envelope);
        let signature = match version {
            Version::One => self.key.sign_sha1(text.as_bytes()),
            Version::Two => self.key.sign_sha256(text.as_bytes()),
        };
        envelope.insert("SignatureVersion".to_owned(), version.word().into());
        envelope.insert("Signature".to_owned(), STANDARD.encode(signature).into());
        Value::Object(envelope)
    }
}

/// The members that are signed, in AWS's order.
const NOTIFICATION: &[&str] = &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: &[&str] = &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// `Key\nValue\n` of each signed member that is there.
#[must_use]
pub fn string_to_sign(envelope: &Map<String, Value>) -> String {
    let keys =
        if envelope.get("Type").is_some_and(|kind| kind == "Notification") { NOTIFICATION } else { CONFIRMATION };
    let present = keys.iter().filter_map(|key| Some((key, envelope.get(*key)?.as_str()?)));
    present.map(|(key, value)| format!("{key}\n{value}\n")).collect()
}

/// An envelope before it is signed.
#[must_use]
pub(super) fn envelope(kind: &str, message_id: &str, topic: &str, message: &str, at_ms: i64) -> Map<String, Value> {
    // AWS writes three digits, always.
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    let all = json!({
        "Type": kind, "MessageId": message_id, "TopicArn": topic, "Message": message, "Timestamp": format!("{at:.3}")
    });
    match all {
        Value::Object(all) => all,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
