//! A request as people may see it (`POST /v1/destinations/{id}/preview`): everything but credentials.

use crate::Destination;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

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
    /// The body as JSON text: its very bytes where they are JSON, else a JSON string of them. (Credentials stand in addresses
    /// and headers; no kind puts one into a body.)
    pub body: String,
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
        body: json_text(request.body()),
    }
}

fn json_text(body: &[u8]) -> String {
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(raw) => raw.get().to_owned(),
        Err(_) => Value::String(String::from_utf8_lossy(body).into_owned()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_byte_by_byte_where_it_is_json() {
        for (body, expected) in [
            (
                &br#"{"b": 1.50,"a":  "\u00e9", "n": 12345678901234567890123}"#[..],
                r#"{"b": 1.50,"a":  "\u00e9", "n": 12345678901234567890123}"#,
            ),
            (b"", r#""""#),
            (b"a=1&b=\"2\"", r#""a=1&b=\"2\"""#),
            (b"\xff", "\"\u{fffd}\""),
        ] {
            assert_eq!(json_text(body), expected, "{}", String::from_utf8_lossy(body));
        }
    }
}
