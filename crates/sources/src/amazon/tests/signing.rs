//! Messages signed as SNS signs them, by keys of our own, with anything odd about them on demand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Map, Value, json};

/// The topic that the tests' sources take messages of.
pub(super) const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:rtn-test";
/// Where the tests' certificate would be.
pub(super) const CERTIFICATE_URL: &str =
    "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";

/// Which of the keys signs. Both were made for these tests and guard nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signer {
    Sns,
    SomebodyElse,
}

impl Signer {
    fn pem(self) -> &'static str {
        match self {
            Signer::Sns => include_str!("sns_test_key.pem"),
            Signer::SomebodyElse => include_str!("other_test_key.pem"),
        }
    }

    fn der(self) -> Vec<u8> {
        let text: String = self.pem().lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(text).unwrap()
    }

    /// Its certificate, valid in these years.
    pub(super) fn certificate(self, from: i32, to: i32) -> String {
        let key = KeyPair::from_pem(self.pem()).unwrap();
        let mut params = CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        params.self_signed(&key).unwrap().pem()
    }

    /// Signature version 2.
    fn sign(self, text: &str) -> String {
        let key = RsaKeyPair::from_pkcs8(&self.der()).unwrap();
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        STANDARD.encode(signature)
    }
}

/// Signs the envelope as it stands.
pub(super) fn signed(mut envelope: Value, signer: Signer) -> Value {
    let is_notification = envelope["Type"] == "Notification";
    let keys: &[&str] = match is_notification {
        true => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        false => &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"],
    };
    let text: String =
        keys.iter().filter_map(|key| Some(format!("{key}\n{}\n", envelope.get(*key)?.as_str()?))).collect();
    envelope["Signature"] = json!(signer.sign(&text));
    envelope
}

/// An envelope around `message`, published then, not signed yet.
pub(super) fn envelope(id: &str, message: &str, at: &str) -> Value {
    json!({
        "Type": "Notification", "MessageId": id, "TopicArn": TOPIC, "Message": message, "Timestamp": at,
        "SignatureVersion": "2", "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=x"
    })
}

/// What Amazon writes, with `more` in it or in its place.
pub(super) fn message(kind: &str, millis: i64, more: &Value) -> Value {
    let mut message = json!({
        "appPackageName": "com.example.app", "notificationType": kind, "appUserId": "user-1",
        "receiptId": "receipt-1:3:11", "relatedReceipts": {}, "timestamp": millis, "betaProductTransaction": false
    });
    let none = Map::new();
    for (name, value) in more.as_object().unwrap_or(&none) {
        message[name] = value.clone();
    }
    message
}
