//! What Pub/Sub makes of a notification: the push envelope, and the OpenID Connect token that says who pushes. Pages:
//! "Receive push messages", "Authenticate push subscriptions".

use super::wire::{App, Notification, time};
use super::{AUDIENCE, PUSH_ACCOUNT};
use crate::rsa::{Holder, RsaKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

/// A token lives for an hour.
const TOKEN_SECONDS: i64 = 3600;

/// A token could not be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no signed token")]
pub struct PushError;

/// Google's keys for signing OpenID Connect tokens: one, and its successor after a rotation.
pub struct Google {
    keys: [RsaKey; 2],
    rotated: AtomicBool,
}

impl Default for Google {
    fn default() -> Google {
        Google::new()
    }
}

impl Google {
    /// Before any rotation.
    #[must_use]
    pub fn new() -> Google {
        Google { keys: [RsaKey::of(Holder::Google), RsaKey::of(Holder::GoogleNext)], rotated: AtomicBool::new(false) }
    }

    /// From now on the next key signs. The old one stays published, as at Google.
    pub fn rotate(&self) {
        self.rotated.store(true, Ordering::SeqCst);
    }

    fn current(&self) -> usize {
        usize::from(self.rotated.load(Ordering::SeqCst))
    }

    /// `https://www.googleapis.com/oauth2/v3/certs`: the keys that are published.
    #[must_use]
    pub fn key_set(&self) -> Value {
        let key = |number: usize| {
            let (n, e) = self.keys[number].public();
            json!({
                "kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid(number),
                "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e)
            })
        };
        json!({"keys": (0..=self.current()).map(key).collect::<Vec<_>>()})
    }

    /// The token of a push at `now_ms`.
    #[must_use]
    pub fn push_token(&self, now_ms: i64) -> String {
        self.token(&claims(now_ms))
    }

    /// A token with these claims, signed with the present key.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let number = self.current();
        signed(&self.keys[number], &json!({"alg": "RS256", "kid": kid(number), "typ": "JWT"}), claims)
    }
}

fn kid(number: usize) -> String {
    format!("{:040x}", 0x51_0000 + number)
}

/// The claims of a push's token.
#[must_use]
pub(super) fn claims(now_ms: i64) -> Value {
    let now = now_ms.div_euclid(1000);
    json!({
        "aud": AUDIENCE, "azp": "113000000000000000001", "email": PUSH_ACCOUNT, "email_verified": true,
        "exp": now + TOKEN_SECONDS, "iat": now, "iss": "https://accounts.google.com", "sub": "113000000000000000001"
    })
}

/// A JWT in compact form.
#[must_use]
pub(super) fn signed(key: &RsaKey, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let content = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign_sha256(content.as_bytes()));
    format!("{content}.{signature}")
}

/// Header and claims of a JWT that this key signed with RS256.
pub(crate) fn verified(key: &RsaKey, token: &str) -> Result<Value, PushError> {
    let (content, signature) = token.rsplit_once('.').ok_or(PushError)?;
    let (header, claims) = content.split_once('.').ok_or(PushError)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| PushError);
    let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| PushError);
    let is_right = json(header)?["alg"] == "RS256" && key.verifies_sha256(content.as_bytes(), &decode(signature)?);
    if is_right { json(claims) } else { Err(PushError) }
}

/// The push. Google repeats two members in snake case.
pub(super) fn envelope(app: &App, notification: &Notification, subscription: &str) -> Vec<u8> {
    let data = notification.json(&app.package_name).to_string();
    let published = time(notification.at);
    let body = json!({
        "message": {
            "data": STANDARD.encode(data), "messageId": notification.message_id, "message_id": notification.message_id,
            "publishTime": published, "publish_time": published
        },
        "subscription": subscription
    });
    body.to_string().into_bytes()
}
