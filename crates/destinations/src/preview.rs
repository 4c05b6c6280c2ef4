//! A request as people may see it (`POST /v1/destinations/{id}/preview`): everything but credentials.

use crate::Destination;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

/// What stands for a credential.
pub const MASK: &str = "***";

/// A request without its credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// `POST`
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// In the order in which they are sent; what is secret or proves who we are is masked.
    pub headers: Vec<(String, String)>,
    /// The body: JSON where it is JSON, else text.
    pub body: Value,
}

/// `request` of `destination`, without credentials.
#[must_use]
pub fn shown(destination: &dyn Destination, request: &http::Request<Bytes>) -> Shown {
    let credentials = destination.credentials();
    let masked = |text: &str| {
        let hide = |text: String, credential: &&str| text.replace(*credential, MASK);
        credentials.iter().filter(|credential| !credential.is_empty()).fold(text.to_owned(), hide)
    };
    let headers = request.headers().iter().map(|(name, value)| {
        let text =
            if value.is_sensitive() { MASK.to_owned() } else { masked(&String::from_utf8_lossy(value.as_bytes())) };
        (name.to_string(), text)
    });
    Shown {
        method: request.method().to_string(),
        url: masked(&request.uri().to_string()),
        headers: headers.collect(),
        body: serde_json::from_slice(request.body())
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(request.body()).into_owned())),
    }
}
