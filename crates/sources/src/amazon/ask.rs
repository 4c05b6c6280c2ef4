//! What is asked of Amazon: the receipt verification service (RVS), and the address that confirms a subscription.
//!
//! A lookup's name is the receipt with its user and environment, `receipt/production/<user>/<receipt>`; its context says what
//! the receipt is wanted for. The shared secret stands in the path of the request, and nowhere else: neither in the
//! lookup nor in what is kept of the answer. <https://developer.amazon.com/docs/in-app-purchasing/iap-rvs-for-android-apps.html>

use crate::{Lookup, Refusal};
use bytes::Bytes;
use http::StatusCode;
use paidup_lifecycle::observation::{Environment, Kind};
use paidup_lifecycle::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What is kept for a receipt that RVS calls gone: its answer has no body of ours to read.
pub(super) const GONE: &str = r#"{"status":410}"#;
/// The same for a receipt that production does not know, when a backend claims it: it may be a test's.
pub(super) const UNKNOWN: &str = r#"{"status":400}"#;

/// A receipt, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) environment: Environment,
    pub(super) user: String,
    pub(super) receipt: String,
}

/// What a lookup is for. Kept as text with it; a field that was ever written is never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub(super) enum About {
    /// A notification.
    Told {
        /// SNS's id of it.
        message: String,
        /// Amazon's `notificationType`.
        #[serde(rename = "type")]
        type_name: String,
        /// Amazon's time of it.
        at: Timestamp,
        /// The receipt that this one took the place of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<String>,
    },
    /// A question of the engine's.
    Asked {
        /// What is known to have been bought: a receipt that RVS calls gone does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<Kind>,
    },
    /// An app's own backend says that it was bought.
    Claimed,
    /// A subscription to the topic.
    Confirm {
        /// The address to call.
        url: String,
    },
}

impl About {
    pub(super) fn context(&self) -> String {
        serde_json::to_string(self).expect("texts and times can always be written as JSON")
    }

    pub(super) fn parse(context: &str) -> Option<About> {
        serde_json::from_str(context).ok()
    }
}

impl Wanted {
    pub(super) fn name(&self) -> String {
        format!("receipt/{}/{}", self.ask_with(), encoded(&self.receipt))
    }

    /// What is needed beside the receipt to ask again: the purchase keeps it.
    pub(super) fn ask_with(&self) -> String {
        let environment = match self.environment {
            Environment::Production => "production",
            Environment::Sandbox => "sandbox",
        };
        format!("{environment}/{}", encoded(&self.user))
    }

    pub(super) fn of_name(name: &str) -> Option<Wanted> {
        let (ask_with, receipt) = name.strip_prefix("receipt/")?.rsplit_once('/')?;
        Wanted::again(ask_with, decoded(receipt)?)
    }

    /// The receipt, with what was kept to ask for it.
    pub(super) fn again(ask_with: &str, receipt: String) -> Option<Wanted> {
        let (environment, user) = ask_with.split_once('/')?;
        let environment = match environment {
            "production" => Environment::Production,
            "sandbox" => Environment::Sandbox,
            _ => return None,
        };
        let user = decoded(user)?;
        (!user.is_empty() && !receipt.is_empty()).then_some(Wanted { environment, user, receipt })
    }

    pub(super) fn lookup(&self, about: &About, why: &'static str) -> Lookup {
        Lookup { name: self.name(), context: about.context(), why, unless_known: None }
    }
}

/// RVS, with the developer's shared secret.
pub(super) struct Rvs {
    base: String,
    /// Encoded for a path.
    secret: String,
}

impl Rvs {
    pub(super) fn new(base: &str, secret: &str) -> Rvs {
        Rvs { base: base.to_owned(), secret: encoded(secret) }
    }

    pub(super) fn request(&self, wanted: &Wanted) -> Option<http::Request<Bytes>> {
        let sandbox = match wanted.environment {
            Environment::Production => "",
            Environment::Sandbox => "/sandbox",
        };
        let (user, receipt) = (encoded(&wanted.user), encoded(&wanted.receipt));
        let url = format!(
            "{}{sandbox}/version/1.0/verifyReceiptId/developer/{}/user/{user}/receiptId/{receipt}",
            self.base, self.secret
        );
        http::Request::get(url).body(Bytes::new()).ok()
    }
}

/// The request that confirms a subscription.
pub(super) fn confirmation(url: &str) -> Option<http::Request<Bytes>> {
    http::Request::get(url).body(Bytes::new()).ok()
}

/// What RVS means by a status that is no success. A claimed receipt that production does not know may be a test's, where
/// tests are taken.
pub(super) fn refused(wanted: &Wanted, about: Option<&About>, status: StatusCode, takes_tests: bool) -> Refusal {
    let is_claim = about == Some(&About::Claimed);
    let may_be_a_test = is_claim && takes_tests && wanted.environment == Environment::Production;
    match status.as_u16() {
        400 if may_be_a_test => Refusal::Answer(Bytes::from_static(UNKNOWN.as_bytes())),
        // An invalid receipt, or a user who does not have it: they stay so.
        400 | 497 => Refusal::Final,
        410 if is_claim => Refusal::Final,
        410 => Refusal::Answer(Bytes::from_static(GONE.as_bytes())),
        // 496: the shared secret is wrong.
        401 | 403 | 496 => Refusal::Credentials,
        _ => Refusal::Later,
    }
}

/// One segment of a path: what may not stand there plainly is percent-encoded (RFC 3986, `pchar`).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    // Segments of dots are steps in a path, not names.
    if !encoded.is_empty() && encoded.bytes().all(|byte| byte == b'.') { encoded.replace('.', "%2E") } else { encoded }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        bytes.extend(hex::decode(digits).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}
