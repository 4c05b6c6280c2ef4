//! Messages of AWS's Simple Notification Service over HTTPS: what is signed, where the certificate may come from, and the
//! signature itself.
//!
//! A valid signature proves that *some* customer of AWS published the message, so who uses this pins the topic. The
//! certificate's own chain is not followed: AWS asks to check the host that it comes from, and its own verifiers do no more.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use paidup_lifecycle::time::Timestamp;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use std::time::Duration;
use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
use x509_parser::pem::parse_x509_pem;

/// How old a message may be. SNS sends one again for at most an hour, with the time at which it was first published.
/// ASSUMPTION: AWS gives no number; five minutes are for clocks.
const MAX_AGE: Duration = Duration::from_secs(65 * 60);
/// How far ahead of our clock a message may be dated. ASSUMPTION.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// The largest certificate that is taken as one, in bytes; AWS's have about 2,500.
const MAX_CERTIFICATE: usize = 16 * 1024;
/// The longest address of a certificate.
const MAX_URL: usize = 512;
/// The longest address that confirms a subscription: a topic and a token of about 300 characters.
const MAX_SUBSCRIBE_URL: usize = 2048;

/// The envelope. Both spellings of the addresses are read: AWS writes `SigningCertURL` over HTTPS and `SigningCertUrl`
/// elsewhere. A field that stands there twice is refused.
#[derive(Deserialize)]
pub(crate) struct Envelope {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "MessageId")]
    pub(crate) message_id: String,
    #[serde(rename = "TopicArn")]
    pub(crate) topic_arn: String,
    #[serde(rename = "Message")]
    pub(crate) message: String,
    #[serde(rename = "Subject", default)]
    subject: Option<String>,
    #[serde(rename = "Timestamp")]
    timestamp: String,
    #[serde(rename = "SignatureVersion")]
    signature_version: String,
    #[serde(rename = "Signature")]
    signature: String,
    #[serde(rename = "SigningCertURL", alias = "SigningCertUrl")]
    certificate_url: String,
    #[serde(rename = "Token", default)]
    pub(crate) token: Option<String>,
    #[serde(rename = "SubscribeURL", alias = "SubscribeUrl", default)]
    pub(crate) subscribe_url: Option<String>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was published.
    Notification,
    /// Somebody subscribed this endpoint to the topic.
    SubscriptionConfirmation,
    /// Somebody ended the subscription.
    UnsubscribeConfirmation,
}

/// Why a message is not believed, or cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnsError {
    /// Not an envelope.
    #[error("the body is no SNS message: {0}")]
    Unreadable(String),
    /// A type that AWS does not document.
    #[error("SNS knows no messages of this Type")]
    UnknownType,
    /// A confirmation without token or address.
    #[error("a confirmation needs Token and SubscribeURL")]
    NoToken,
    /// Neither 1 nor 2.
    #[error("SignatureVersion must be 1 or 2")]
    UnknownVersion,
    /// The certificate is elsewhere.
    #[error("SigningCertURL is not that of an SNS certificate")]
    ForeignCertificate,
    /// The confirmation leads elsewhere.
    #[error("SubscribeURL does not lead to SNS")]
    ForeignSubscription,
    /// Published too long ago.
    #[error("the message was published more than 65 minutes ago")]
    Stale,
    /// Dated ahead of us.
    #[error("the message is dated ahead of our clock")]
    Ahead,
    /// What the certificate's server gave is no RSA certificate.
    #[error("what SigningCertURL leads to is no certificate of an RSA key")]
    NoCertificate,
    /// Its certificate was not valid when it was published.
    #[error("the certificate was not valid when the message was published")]
    OutOfDate,
    /// The signature is not of this message and certificate.
    #[error("the signature is not that of this message under its certificate")]
    WrongSignature,
}

impl SnsError {
    /// The constant name of the reason.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            SnsError::Unreadable(_) => "unreadable_body",
            SnsError::UnknownType => "unknown_type",
            SnsError::NoToken => "no_token",
            SnsError::UnknownVersion => "signature_version",
            SnsError::ForeignCertificate => "foreign_certificate",
            SnsError::ForeignSubscription => "foreign_subscription",
            SnsError::Stale => "stale_message",
            SnsError::Ahead => "future_message",
            SnsError::NoCertificate => "certificate_unreadable",
            SnsError::OutOfDate => "certificate_expired",
            SnsError::WrongSignature => "wrong_signature",
        }
    }
}

impl Envelope {
    /// Reads the body. Nothing in it is believed yet.
    pub(crate) fn parse(body: &[u8]) -> Result<Envelope, SnsError> {
        let envelope: Envelope = serde_json::from_slice(body).map_err(|error| {
            // Names of fields come from the body: cut short.
            SnsError::Unreadable(error.to_string().chars().take(200).collect())
        })?;
        let is_id = |id: &str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_id(&envelope.message_id) {
            return Err(SnsError::Unreadable("MessageId is no id".to_owned()));
        }
        Ok(envelope)
    }

    /// What it is.
    pub(crate) fn kind(&self) -> Result<Kind, SnsError> {
        match self.kind.as_str() {
            "Notification" => Ok(Kind::Notification),
            "SubscriptionConfirmation" => Ok(Kind::SubscriptionConfirmation),
            "UnsubscribeConfirmation" => Ok(Kind::UnsubscribeConfirmation),
            _ => Err(SnsError::UnknownType),
        }
    }

    /// When it was published.
    pub(crate) fn published_at(&self) -> Result<Timestamp, SnsError> {
        self.timestamp.parse().map_err(|_| SnsError::Unreadable("Timestamp is no time".to_owned()))
    }

    /// Whether it may still come at `now`: SNS repeats the time of publishing when it sends a message again.
    pub(crate) fn check_age(&self, now: Timestamp) -> Result<(), SnsError> {
        let at = self.published_at()?;
        if now.since(at) > MAX_AGE {
            return Err(SnsError::Stale);
        }
        if at.since(now) > AHEAD {
            return Err(SnsError::Ahead);
        }
        Ok(())
    }

    /// Where its certificate is. `origin` is the one place that certificates may come from, where the operator set one.
    pub(crate) fn certificate_url(&self, origin: Option<&str>) -> Result<&str, SnsError> {
        let url = self.certificate_url.as_str();
        let path = path_on_sns(url, origin).filter(|_| url.len() <= MAX_URL);
        match path {
            Some(path) if is_certificate_path(path) => Ok(url),
            Some(_) | None => Err(SnsError::ForeignCertificate),
        }
    }

    /// The address whose call confirms the subscription, when it leads to SNS.
    pub(crate) fn subscribe_url(&self, origin: Option<&str>) -> Result<&str, SnsError> {
        let url = self.subscribe_url.as_deref().ok_or(SnsError::NoToken)?;
        let is_plain =
            |rest: &str| rest.bytes().all(|byte| byte.is_ascii_graphic() && !br##""#<>\^`{|}"##.contains(&byte));
        let rest = path_on_sns(url, origin).filter(|rest| url.len() <= MAX_SUBSCRIBE_URL && is_plain(rest));
        rest.map(|_| url).ok_or(SnsError::ForeignSubscription)
    }

    /// Whether the certificate's key signed the message, and was valid when it was published.
    pub(crate) fn verify(&self, certificate: &[u8]) -> Result<(), SnsError> {
        let algorithm: &dyn VerificationAlgorithm = self.algorithm()?;
        let signed = self.string_to_sign()?;
        if certificate.len() > MAX_CERTIFICATE {
            return Err(SnsError::NoCertificate);
        }
        let (_, pem) = parse_x509_pem(certificate).map_err(|_| SnsError::NoCertificate)?;
        let parsed = pem.parse_x509().map_err(|_| SnsError::NoCertificate)?;
        let key = parsed.public_key();
        if key.algorithm.algorithm != OID_PKCS1_RSAENCRYPTION {
            return Err(SnsError::NoCertificate);
        }
        let (validity, at) = (parsed.validity(), self.published_at()?.as_seconds());
        if at < validity.not_before.timestamp() || at > validity.not_after.timestamp() {
            return Err(SnsError::OutOfDate);
        }
        let signature = STANDARD.decode(&self.signature).map_err(|_| SnsError::WrongSignature)?;
        UnparsedPublicKey::new(algorithm, &key.subject_public_key.data)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| SnsError::WrongSignature)
    }

    /// Version 1 is SHA-1, which AWS still signs with unless the topic's owner asks for version 2.
    pub(crate) fn algorithm(&self) -> Result<&'static dyn VerificationAlgorithm, SnsError> {
        match self.signature_version.as_str() {
            "1" => Ok(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
            "2" => Ok(&RSA_PKCS1_2048_8192_SHA256),
            _ => Err(SnsError::UnknownVersion),
        }
    }

    /// `Key\nValue\n` for each key, in AWS's order.
    fn string_to_sign(&self) -> Result<String, SnsError> {
        let mut signed = String::with_capacity(self.message.len() + 512);
        let mut add = |key: &str, value: &str| {
            for part in [key, "\n", value, "\n"] {
                signed.push_str(part);
            }
        };
        add("Message", &self.message);
        add("MessageId", &self.message_id);
        match self.kind()? {
            Kind::Notification => {
                if let Some(subject) = &self.subject {
                    add("Subject", subject);
                }
                add("Timestamp", &self.timestamp);
            }
            Kind::SubscriptionConfirmation | Kind::UnsubscribeConfirmation => {
                add("SubscribeURL", self.subscribe_url.as_deref().ok_or(SnsError::NoToken)?);
                add("Timestamp", &self.timestamp);
                add("Token", self.token.as_deref().ok_or(SnsError::NoToken)?);
            }
        }
        add("TopicArn", &self.topic_arn);
        add("Type", &self.kind);
        Ok(signed)
    }
}

/// What follows the host in an address on SNS: it begins with `/`. The host is compared letter by letter and nothing is
/// decoded, so look-alikes, user names, ports and tricks with the path are other texts.
fn path_on_sns<'a>(url: &'a str, origin: Option<&str>) -> Option<&'a str> {
    let path = match origin {
        Some(origin) => url.strip_prefix(origin)?,
        None => {
            let rest = url.strip_prefix("https://")?;
            let (host, path) = rest.split_at(rest.find('/')?);
            is_sns_host(host).then_some(path)?
        }
    };
    path.starts_with('/').then_some(path)
}

/// `sns.<region>.amazonaws.com`. ASSUMPTION: in China `.amazonaws.com.cn`, as for every other service of AWS.
fn is_sns_host(host: &str) -> bool {
    let region = host
        .strip_prefix("sns.")
        .and_then(|rest| rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn")));
    // us-east-1, us-gov-west-1, us-isob-east-1.
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    region.is_some_and(|region| {
        let words: Vec<&str> = region.split('-').collect();
        let Some((number, names)) = words.split_last() else { return false };
        region.len() <= 32 && names.len() >= 2 && names.iter().all(|name| is_word(name)) && is_number(number)
    })
}

/// `/SimpleNotificationService-<id>.pem`, perhaps in folders: plain names only.
fn is_certificate_path(path: &str) -> bool {
    let is_name = |name: &str| {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        plain && !name.is_empty() && !name.starts_with('.')
    };
    path.ends_with(".pem") && path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_name))
}
