//! What a receiver's answer means. Receivers are other people's programs under repair: all but a clear 410 is retried.

use super::Format;
use crate::answers::{judged, retry, retry_after, status_words, wait};
use crate::{Answer, Reason, Verdict};
use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, Response, StatusCode};
use paidup_lifecycle::time::Timestamp;

/// Most characters of a redirect's target that are repeated.
const MAX_TARGET: usize = 120;

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
        let to = target(response.headers()).map(|target| format!(" to {target}")).unwrap_or_default();
        let why =
            format!("the receiver answered {words}{to}: redirects are not followed; set `url` to the final address");
        return retry(None, why);
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

/// Where a redirect points, without the parts of an address in which secrets stand (user, query). Text from outside: it is
/// repeated for people, never followed.
fn target(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(LOCATION)?.to_str().ok()?;
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let text = match text.split_once("//") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}//{host}{path}")
        }
        None => text.to_owned(),
    };
    (!text.is_empty()).then(|| text.chars().filter(|one| !one.is_control()).take(MAX_TARGET).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallFailure;
    use http::HeaderValue;
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

    #[test]
    fn a_redirect_is_named_with_its_target_and_no_secret_of_it() {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        let long = format!("https://a.example/{}", "x".repeat(5_000));
        for (location, expected) in [
            ("https://new.example/hook", "Permanently to https://new.example/hook: redirects"),
            ("https://new.example/hook?token=hunter2#hunter2", "Permanently to https://new.example/hook: redirects"),
            ("https://me:hunter2@new.example", "Permanently to https://new.example: redirects"),
            ("//me:hunter2@new.example/a@b", "Permanently to //new.example/a@b: redirects"),
            ("/moved?key=hunter2", "Permanently to /moved: redirects"),
            ("?hunter2", "Permanently: redirects"),
            ("", "Permanently: redirects"),
            ("https://\u{fc}.example/", "Permanently: redirects"),
            (&long, "https://a.example/xxx"),
        ] {
            let location = HeaderValue::from_bytes(location.as_bytes()).unwrap();
            let response = Response::builder().status(301).header(LOCATION, &location).body(Bytes::new()).unwrap();
            let Verdict::Retry { reason, .. } = of(&Answer::Response(response), Format::Paidup, now) else {
                panic!("{location:?}: no retry");
            };
            assert!(reason.0.contains(expected) && !reason.0.contains("hunter2"), "{location:?}: {}", reason.0);
            assert!(reason.0.len() < 300, "{location:?}: what to do is cut off");
        }
    }
}
