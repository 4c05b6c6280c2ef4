//! What a receiver's answer means. Receivers are other people's programs under repair: all but a clear 410 is retried.

use super::Format;
use crate::answers::{judged, retry, retry_after, status_words, wait};
use crate::{Answer, Reason, Verdict};
use bytes::Bytes;
use http::{Response, StatusCode};
use paidup_lifecycle::time::Timestamp;

/// The verdict on the answer to one POST.
pub(crate) fn of(answer: &Answer, format: Format, now: Timestamp) -> Verdict {
    judged(answer, |response| of_response(response, format, now))
}

fn of_response(response: &Response<Bytes>, format: Format, now: Timestamp) -> Verdict {
    let status = response.status();
    let words = status_words(status);
    if status.is_success() {
        return Verdict::Delivered;
    }
    if status.is_redirection() {
        return retry(
            None,
            format!("the receiver answered {words}: redirects are not followed; set `url` to the final address"),
        );
    }
    match status {
        // Standard Webhooks: the receiver wants nothing any more.
        StatusCode::GONE => {
            Verdict::SwitchOff(Reason(format!("the receiver answered {words}: it wants no more deliveries")))
        }
        StatusCode::TOO_MANY_REQUESTS => {
            wait(retry_after(response.headers(), now), format!("the receiver answered {words}"))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => retry(
            None,
            format!("the receiver answered {words}: check `headers`, `authorization` and the secret on its side"),
        ),
        // Purchasely's receivers say so of users they do not know, and mean that they are done (purchasely-events.md section 4).
        StatusCode::NOT_FOUND if format == Format::Purchasely => Verdict::Delivered,
        StatusCode::NOT_FOUND => retry(None, format!("the receiver answered {words}: check the path of `url`")),
        StatusCode::PAYLOAD_TOO_LARGE => {
            retry(None, format!("the receiver answered {words}: it must take bodies of at least 256 KiB"))
        }
        // 503 says by Retry-After when to come back; other failures rarely do, and it does no harm to obey.
        _ => retry(retry_after(response.headers(), now), format!("the receiver answered {words}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallFailure;
    use std::time::Duration;

    #[test]
    fn every_answer_has_its_verdict() {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        let counted = |after: Option<u64>| Some((after.map(Duration::from_secs), true));
        let waited = |after: Option<u64>| Some((after.map(Duration::from_secs), false));
        // `Some((after, counts))` is a retry; the text is in the reason.
        for (status, header, retry, text) in [
            (200, None, None, "delivered"),
            (204, None, None, "delivered"),
            (299, None, None, "delivered"),
            (301, None, counted(None), "redirects are not followed"),
            (308, Some("5"), counted(None), "redirects are not followed"),
            (400, None, counted(None), "400 Bad Request"),
            (401, None, counted(None), "check `headers`"),
            (404, None, counted(None), "check the path"),
            (410, None, None, "off: the receiver answered 410 Gone"),
            (413, None, counted(None), "256 KiB"),
            (429, None, waited(None), "429 Too Many Requests"),
            (429, Some("17"), waited(Some(17)), "429"),
            (500, None, counted(None), "500 Internal Server Error"),
            (503, Some("Sat, 31 Jan 2026 08:02:00 GMT"), counted(Some(120)), "503"),
            (503, Some("garbage"), counted(None), "503"),
            (599, None, counted(None), "599"),
        ] {
            let mut response = Response::builder().status(status);
            if let Some(value) = header {
                response = response.header("retry-after", value);
            }
            let answer = Answer::Response(response.body(Bytes::from_static(b"<html>")).unwrap());
            let (found, words) = match of(&answer, Format::Paidup, now) {
                Verdict::Delivered => (None, "delivered".to_owned()),
                Verdict::Retry { after, counts, reason } => (Some((after, counts)), reason.0),
                Verdict::SwitchOff(reason) => (None, format!("off: {}", reason.0)),
                Verdict::GiveUp(reason) | Verdict::Skip(reason) => (None, format!("unexpected: {}", reason.0)),
            };
            assert_eq!(found, retry, "{status} {header:?}");
            assert!(words.contains(text), "{status}: {words}");
        }
        let failed = of(&Answer::Failed(CallFailure::TimedOut), Format::Paidup, now);
        assert!(matches!(failed, Verdict::Retry { after: None, counts: true, .. }));
    }

    #[test]
    fn a_404_is_done_for_purchaselys_receivers_only() {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        let answer = Answer::Response(Response::builder().status(404).body(Bytes::new()).unwrap());
        for (format, is_done) in [(Format::Paidup, false), (Format::Revenuecat, false), (Format::Purchasely, true)] {
            assert_eq!(of(&answer, format, now) == Verdict::Delivered, is_done, "{format:?}");
        }
    }
}
