//! SNS messages that a hub must refuse: each is a genuine one with one thing wrong, by name.

use super::Amazon;
use super::sns::{self, Signer, SnsError};
use super::wire::Notification;
use crate::rsa::Holder;
use crate::stores::forgery::{FORGED, Forgery, MALFORMED, TOO_LARGE};
use serde_json::{Map, Value};

/// It is SNS's, but another topic's: any customer of AWS can have that sent. A hub may see it as a missing proof or as a wrong
/// address.
pub const FOREIGN: &[u16] = &[401, 403, 422];
/// More than any hub reads: SNS delivers at most 256 kB.
const OVERSIZED: usize = 8 * 1024 * 1024;
/// Deeper than any reader should follow.
const DEPTH: usize = 10_000;

/// Every forgery of this genuine notification.
pub fn all(amazon: &Amazon, genuine: &Notification) -> Result<Vec<Forgery>, SnsError> {
    let mut all = forged(amazon, genuine)?;
    all.extend(misdirected(amazon, genuine));
    all.extend(malformed(amazon, genuine));
    Ok(all)
}

fn forgery(name: &'static str, body: Vec<u8>, answers: &'static [u16]) -> Forgery {
    Forgery { name, headers: vec![("x-amz-sns-message-type", "Notification".to_owned())], body, answers }
}

/// The genuine message's members before it is signed.
fn envelope(topic: &str, message: &str, genuine: &Notification) -> Map<String, Value> {
    sns::envelope("Notification", &genuine.message_id, topic, message, genuine.at)
}

fn forged(amazon: &Amazon, genuine: &Notification) -> Result<Vec<Forgery>, SnsError> {
    let stranger = Signer::new(Holder::Stranger, (2020, 2060))?;
    let message = genuine.json(&amazon.app).to_string();
    let body: Value = serde_json::from_slice(&amazon.body(genuine)).unwrap_or_default();
    let changed = |name, member: &str, value: Value| {
        let mut changed = body.clone();
        changed[member] = value;
        forgery(name, changed.to_string().into_bytes(), FORGED)
    };
    let without = |name, member: &str| {
        let mut changed = body.clone();
        changed.as_object_mut().map(|all| all.remove(member));
        forgery(name, changed.to_string().into_bytes(), MALFORMED)
    };
    // Signed by whoever owns the address: a reader that fetches it is lost.
    let from = |name, url: &str| {
        let mut envelope = envelope(&amazon.topic_arn, &message, genuine);
        envelope.insert("SigningCertURL".to_owned(), url.into());
        forgery(name, stranger.signed(amazon.version, envelope).to_string().into_bytes(), FORGED)
    };
    let by_stranger = {
        let envelope = envelope(&amazon.topic_arn, &message, genuine);
        amazon.sealed(&stranger, envelope)
    };
    let other_version = if amazon.version == sns::Version::One { "2" } else { "1" };
    let tampered = message.replacen("SUBSCRIPTION_", "SUBSCRIPTIOM_", 1).replacen("_PURCHASED", "_PURCHASEE", 1);
    Ok(vec![
        forgery("signed by a stranger", by_stranger, FORGED),
        changed("tampered message", "Message", tampered.into()),
        changed("tampered time", "Timestamp", "2026-01-01T00:00:00.000Z".into()),
        changed("tampered id", "MessageId", "00000000-0000-4000-8000-000000000000".into()),
        changed("a subject that was not signed", "Subject", "hello".into()),
        changed("another version's signature", "SignatureVersion", other_version.into()),
        changed("version 3", "SignatureVersion", "3".into()),
        changed("a signature that is none", "Signature", "EXAMPLEab123...".into()),
        changed("an empty signature", "Signature", "".into()),
        without("no signature", "Signature"),
        without("no certificate", "SigningCertURL"),
        from("a certificate of somebody's", "https://sns.us-east-1.example.com/SimpleNotificationService-1.pem"),
        from(
            "a certificate at a look-alike",
            "https://sns.us-east-1.amazonaws.com.example.com/SimpleNotificationService-1.pem",
        ),
        from("a certificate in a bucket", "https://s3.us-east-1.amazonaws.com/SimpleNotificationService-1.pem"),
        from("a certificate without TLS", "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem"),
        from(
            "a certificate behind a user name",
            "https://sns.us-east-1.amazonaws.com@example.com/SimpleNotificationService-1.pem",
        ),
        from(
            "a certificate on another port",
            "https://sns.us-east-1.amazonaws.com:8443/SimpleNotificationService-1.pem",
        ),
        from("a certificate in no file", "https://sns.us-east-1.amazonaws.com/?SimpleNotificationService-1.pem"),
    ])
}

fn misdirected(amazon: &Amazon, genuine: &Notification) -> Vec<Forgery> {
    let message = genuine.json(&amazon.app).to_string();
    let topic = "arn:aws:sns:us-east-1:111111111111:somebody-elses";
    let notification = amazon.sealed(&amazon.signer, envelope(topic, &message, genuine));
    let mut confirmation = sns::envelope("SubscriptionConfirmation", &genuine.message_id, topic, "Confirm", genuine.at);
    confirmation.insert("Token".to_owned(), "2336412f37fb687f5d51e6e241d09c805a5a57b30d712f794cc5f6a988666d92".into());
    confirmation.insert("SubscribeURL".to_owned(), format!("{}/?Action=ConfirmSubscription", amazon.origin()).into());
    vec![
        forgery("another topic", notification, FOREIGN),
        forgery("a confirmation of another topic", amazon.sealed(&amazon.signer, confirmation), FOREIGN),
    ]
}

fn malformed(amazon: &Amazon, genuine: &Notification) -> Vec<Forgery> {
    let body = amazon.body(genuine);
    let deep = ["[".repeat(DEPTH), "]".repeat(DEPTH)].concat();
    let mut not_text = body.clone();
    not_text[20] = 0xFF;
    let sealed = |message: &str| amazon.sealed(&amazon.signer, envelope(&amazon.topic_arn, message, genuine));
    let malformed = |name, body| forgery(name, body, MALFORMED);
    vec![
        malformed("truncated", body[..body.len() / 2].to_vec()),
        malformed("empty", Vec::new()),
        malformed("not UTF-8", not_text),
        malformed("deep nesting", format!("{{\"Message\":{deep}}}").into_bytes()),
        malformed("deep nesting inside", sealed(&deep)),
        malformed("not JSON inside", sealed("Hello world")),
        malformed("no type", b"{\"MessageId\":\"1\"}".to_vec()),
        forgery("oversized", [b"{\"Message\":\"", vec![b'A'; OVERSIZED].as_slice(), b"\"}"].concat(), TOO_LARGE),
    ]
}
