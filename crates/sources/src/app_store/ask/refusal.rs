//! What the App Store Server API means by an error.
//! <https://developer.apple.com/documentation/appstoreserverapi/error-codes>

use super::Wanted;
use crate::Refusal;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use paidup_lifecycle::time::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;

/// Not there yet, or not on the server that was asked: to be tried again (Apple calls them retryable), and a test whose
/// result is not in yet.
const NOT_YET: [i64; 5] = [4_040_002, 4_040_004, 4_040_006, 4_040_008, 5_000_001];

/// The token of a page is wrong or too old.
const STALE_TOKEN: [i64; 2] = [4_000_014, 4_000_017];

/// Kept in the stead of an answer when the token of a page is not taken any more.
pub(super) const STALE_PAGE: &str = r#"{"staleToken":true}"#;

/// An error's body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiError<'a> {
    #[serde(default)]
    pub(super) error_code: Option<i64>,
    #[serde(borrow, default)]
    pub(super) error_message: Option<Cow<'a, str>>,
}

impl ApiError<'_> {
    pub(super) fn parse(body: &[u8]) -> ApiError<'_> {
        serde_json::from_slice(body).unwrap_or(ApiError { error_code: None, error_message: None })
    }
}

/// What is to be done about it.
pub(in crate::app_store) fn meaning(name: &str, status: StatusCode, body: &[u8]) -> Refusal {
    let code = ApiError::parse(body).error_code;
    let is_one_of = |codes: &[i64]| code.is_some_and(|code| codes.contains(&code));
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Refusal::Credentials,
        _ if is_one_of(&NOT_YET) => Refusal::Later,
        StatusCode::BAD_REQUEST if is_one_of(&STALE_TOKEN) && is_page(name) => {
            Refusal::Answer(Bytes::from_static(STALE_PAGE.as_bytes()))
        }
        // Apple says which of the two it is by a number; without one it was no answer of this API.
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND if code.is_some() => Refusal::Final,
        _ => Refusal::Later,
    }
}

fn is_page(name: &str) -> bool {
    matches!(Wanted::of_name(name), Some(Wanted::History(_, _)))
}

/// Apple's `Retry-After` is a moment, in milliseconds since 1970. What cannot be one is left to the hub.
/// <https://developer.apple.com/documentation/appstoreserverapi/identifying-rate-limits>
pub(in crate::app_store) fn again_at(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let moment = Timestamp::from_millis(value.trim().parse().ok()?).ok()?;
    // Seconds, as HTTP has them, would be a moment of 1970.
    (moment > now.minus(std::time::Duration::from_secs(86_400))).then_some(moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_error_has_its_meaning() {
        let page = "history/production/all/1/2/0.1";
        let stale = Refusal::Answer(Bytes::from_static(STALE_PAGE.as_bytes()));
        for (name, status, code, expected) in [
            ("status/production/1", 401, None, Refusal::Credentials),
            ("status/production/1", 404, Some(4_040_010), Refusal::Final),
            ("status/production/1", 404, Some(4_040_005), Refusal::Final),
            ("status/production/1", 404, Some(4_040_006), Refusal::Later),
            ("status/production/1", 404, None, Refusal::Later),
            ("status/production/1", 400, Some(4_000_006), Refusal::Final),
            ("status/production/1", 429, Some(4_290_000), Refusal::Later),
            ("status/production/1", 500, Some(5_000_000), Refusal::Later),
            ("status/production/1", 500, Some(5_000_001), Refusal::Later),
            ("status/production/1", 503, None, Refusal::Later),
            (page, 400, Some(4_000_012), Refusal::Final),
            (page, 400, Some(4_000_014), stale.clone()),
            (page, 400, Some(4_000_017), stale),
            ("consumption/production/1", 400, Some(4_000_047), Refusal::Final),
        ] {
            let body = code.map_or_else(|| "<html>".to_owned(), |code| json!({"errorCode": code}).to_string());
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(meaning(name, status, body.as_bytes()), expected, "{name} {status} {code:?}");
        }
    }

    #[test]
    fn apples_retry_after_is_a_moment() {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        let headers = |value: &str| HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
        let soon = now.plus(std::time::Duration::from_millis(1_500));
        assert_eq!(again_at(&headers(&soon.as_millis().to_string()), now), Some(soon));
        assert_eq!(again_at(&headers("120"), now), None, "seconds are the hub's");
        assert_eq!(again_at(&headers("Sat, 31 Jan 2026 08:01:00 GMT"), now), None);
        assert_eq!(again_at(&headers("99999999999999999999"), now), None);
        assert_eq!(again_at(&HeaderMap::new(), now), None);
    }
}
