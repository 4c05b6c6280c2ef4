//! Who sent a message: SNS, for the topic that the operator named. The cheap checks go first, so that only who knows the
//! topic can make us fetch a certificate.

use super::wire::Message;
use crate::proof::sns::{Envelope, Kind, SnsError};
use crate::{Keys, Rejection, RejectionKind};
use bytes::Bytes;
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::time::Timestamp;

/// Whose messages are taken.
pub(super) struct Prover {
    pub(super) topic_arn: String,
    pub(super) package_name: Option<String>,
    /// `None`: both.
    pub(super) environment: Option<Environment>,
    /// The one place that certificates come from, where the operator set one.
    pub(super) sns: Option<String>,
}

/// What came of a message.
#[allow(clippy::large_enum_variant)] // one per request, taken apart at once
pub(super) enum Proven {
    /// It is SNS's, of our topic.
    Yes(Envelope),
    /// The certificate has to be fetched first.
    KeyNeeded(http::Request<Bytes>),
}

impl Prover {
    pub(super) fn prove(&self, body: &[u8], keys: &Keys, now: Timestamp) -> Result<Proven, Rejection> {
        let envelope = Envelope::parse(body).map_err(rejected)?;
        let kind = envelope.kind().map_err(rejected)?;
        if envelope.topic_arn != self.topic_arn {
            let named: String = envelope.topic_arn.chars().take(300).collect();
            let detail =
                format!("this source takes messages of {}, and it says that it is of {named:?}", self.topic_arn);
            return Err(Rejection::new(RejectionKind::WrongAddress, "wrong_topic", detail));
        }
        envelope.check_age(now).map_err(rejected)?;
        envelope.algorithm().map_err(rejected)?;
        let url = envelope.certificate_url(self.sns.as_deref()).map_err(rejected)?;
        if kind == Kind::SubscriptionConfirmation {
            envelope.subscribe_url(self.sns.as_deref()).map_err(rejected)?;
        }
        let Some(certificate) = keys.0.get(url) else {
            let request = http::Request::get(url).body(Bytes::new());
            return request.map(Proven::KeyNeeded).map_err(|_| rejected(SnsError::ForeignCertificate));
        };
        envelope.verify(certificate).map_err(rejected)?;
        Ok(Proven::Yes(envelope))
    }

    /// Whether a message is about our app, and of an environment that is taken.
    pub(super) fn check(&self, message: &Message) -> Result<(), Rejection> {
        let other = |reason, detail: String| Err(Rejection::new(RejectionKind::WrongAddress, reason, detail));
        if let (Some(ours), Some(theirs)) = (&self.package_name, &message.package)
            && ours != theirs
        {
            let theirs: String = theirs.chars().take(200).collect();
            return other("wrong_package", format!("it is about the app {theirs:?}"));
        }
        if self.environment.is_some_and(|environment| environment != message.environment) {
            return other("wrong_environment", format!("it is of {}", message.environment));
        }
        Ok(())
    }
}

fn rejected(error: SnsError) -> Rejection {
    let kind = match error {
        SnsError::Unreadable(_) | SnsError::UnknownType | SnsError::NoToken => RejectionKind::Malformed,
        // Not the sender's fault, and SNS never sends again what was answered with 4xx.
        SnsError::NoCertificate => RejectionKind::Unavailable,
        SnsError::UnknownVersion
        | SnsError::ForeignCertificate
        | SnsError::ForeignSubscription
        | SnsError::Stale
        | SnsError::Ahead
        | SnsError::OutOfDate
        | SnsError::WrongSignature => RejectionKind::Forged,
    };
    Rejection::new(kind, error.reason(), error.to_string())
}
