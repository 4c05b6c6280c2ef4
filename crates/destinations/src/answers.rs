//! What verdicts of all kinds read out of an answer: waiting times, whether a body is JSON, and words for failures.

use crate::{Answer, CallFailure, Reason, Verdict};
use http::HeaderMap;
use http::header::RETRY_AFTER;
use paidup_lifecycle::time::Timestamp;
use std::time::{Duration, UNIX_EPOCH};

/// The longest wait that a far side may ask for: beyond a day it is a mistake or an attack on the queue.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// `Retry-After` in seconds (decimals allowed, as Discord sends them) or as an HTTP date; at most [`MAX_WAIT`].
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return bounded_seconds(seconds);
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let since_epoch = at.duration_since(UNIX_EPOCH).ok()?;
    let at = Timestamp::from_millis_clamped(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX));
    Some(at.since(now).min(MAX_WAIT))
}

/// Seconds from outside as a span of at most [`MAX_WAIT`]; `None` for what is no span.
pub(crate) fn bounded_seconds(seconds: f64) -> Option<Duration> {
    if seconds.is_finite() && seconds >= 0.0 {
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(MAX_WAIT).min(MAX_WAIT))
    } else {
        None
    }
}

/// A failed attempt that is worth another.
pub(crate) fn retry(after: Option<Duration>, reason: impl Into<String>) -> Verdict {
    Verdict::Retry { after, counts: true, reason: Reason(reason.into()) }
}

/// A wait that is nobody's failure.
pub(crate) fn wait(after: Option<Duration>, reason: impl Into<String>) -> Verdict {
    Verdict::Retry { after, counts: false, reason: Reason(reason.into()) }
}

/// No answer came: the far side may or may not have acted, so the delivery is tried again.
pub(crate) fn no_answer(failure: CallFailure) -> Verdict {
    match failure {
        CallFailure::TimedOut
        | CallFailure::NotConnected
        | CallFailure::ConnectionLost
        | CallFailure::AddressRefused
        | CallFailure::NameNotFound
        | CallFailure::TlsFailed
        | CallFailure::BadAnswer => retry(None, failure.to_string()),
    }
}

/// `410 Gone`, or the bare number for a status without a name.
pub(crate) fn status_words(status: http::StatusCode) -> String {
    match status.canonical_reason() {
        Some(words) => format!("{} {words}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// The verdict on an answer, where `judge` decides about those that came.
pub(crate) fn judged(answer: &Answer, judge: impl FnOnce(&http::Response<bytes::Bytes>) -> Verdict) -> Verdict {
    match answer {
        Answer::Response(response) => judge(response),
        Answer::Failed(failure) => no_answer(*failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_in_every_form_and_bounded() {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("30", Some(Duration::from_secs(30))),
            ("0", Some(Duration::ZERO)),
            ("0.65", Some(Duration::from_millis(650))),
            (" 7 ", Some(Duration::from_secs(7))),
            ("Sat, 31 Jan 2026 08:01:00 GMT", Some(Duration::from_secs(60))),
            ("Sat, 31 Jan 2026 07:00:00 GMT", Some(Duration::ZERO)),
            ("Sat, 31 Jan 2099 07:00:00 GMT", Some(MAX_WAIT)),
            ("99999999999999999999", Some(MAX_WAIT)),
            ("1e400", None),
            ("-5", None),
            ("NaN", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, now), expected, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
