//! What Discord's answer means: for the delivery, and for the budgets (discord-delivery.md sections 7 and 8). What can be put
//! right within a delivery is decided before, in `posting`.
//!
//! <https://discord.com/developers/docs/topics/opcodes-and-status-codes> and
//! <https://discord.com/developers/docs/topics/rate-limits>. A reason never repeats the address: it holds the token.

use super::budget;
use crate::answers::{bounded_seconds, no_answer, retry, retry_after, status_words, wait};
use crate::{Answer, BudgetHint, BudgetKey, Reason, Verdict};
use bytes::Bytes;
use http::{HeaderMap, Response};
use paidup_lifecycle::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// After a block by Cloudflare: one try after ten minutes, growing to an hour (seen to last about an hour).
const BLOCKED: Duration = Duration::from_secs(600);
const BLOCKED_MAX: Duration = Duration::from_secs(3600);
/// Too many posts are open on the server: they are archived by the hour.
const CROWDED: Duration = Duration::from_secs(600);
/// A 429 that does not say how long: long enough for every window that is known.
const UNTOLD: Duration = Duration::from_secs(60);
/// How much of Discord's `errors` tree goes into a reason.
const MAX_FAULTS: usize = 5;

/// Discord's error body. Everything is optional: proxies answer too.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: Option<i64>,
    message: Option<String>,
    retry_after: Option<f64>,
    global: Option<bool>,
    errors: Option<Value>,
}

/// Verdict and budget hints for the answer to one call of webhook `id`.
pub(super) fn of(answer: &Answer, id: &str, attempt: u32, now: Timestamp) -> (Vec<BudgetHint>, Verdict) {
    match answer {
        Answer::Response(response) => of_response(response, id, attempt, now),
        Answer::Failed(failure) => (Vec::new(), no_answer(*failure)),
    }
}

/// Discord's code for a refusal, if that is what came.
pub(super) fn code(answer: &Answer) -> Option<i64> {
    match answer {
        Answer::Response(response) if response.status().is_client_error() => {
            serde_json::from_slice::<ErrorBody>(response.body()).ok()?.code
        }
        Answer::Response(_) | Answer::Failed(_) => None,
    }
}

/// What an answer says of the webhook's window, whatever else it says.
pub(super) fn window_of(answer: &Answer, id: &str) -> Option<BudgetHint> {
    match answer {
        Answer::Response(response) => window(response.headers(), id),
        Answer::Failed(_) => None,
    }
}

fn of_response(response: &Response<Bytes>, id: &str, attempt: u32, now: Timestamp) -> (Vec<BudgetHint>, Verdict) {
    let status = response.status();
    let words = status_words(status);
    let mut hints: Vec<BudgetHint> = window(response.headers(), id).into_iter().collect();
    // `None`: not JSON, so not Discord itself.
    let body: Option<ErrorBody> = serde_json::from_slice(response.body()).ok();
    let is_json_object = response.body().trim_ascii_start().starts_with(b"{");
    if status.is_success() {
        let verdict = if is_json_object || response.body().is_empty() {
            Verdict::Delivered
        } else {
            retry(None, format!("{words}, but the answer is not Discord's: something stands in between"))
        };
        return (hints, verdict);
    }
    if status.is_redirection() {
        return (hints, retry(None, format!("{words}: redirects are not followed")));
    }
    if status.as_u16() == 429 {
        let (hint, verdict) = limited(response.headers(), body.as_ref(), id, attempt, now);
        hints.push(hint);
        return (hints, verdict);
    }
    let Some(body) = body.filter(|_| is_json_object) else {
        return without_json(status.as_u16(), response.body().is_empty(), &words, attempt, hints);
    };
    if status.as_u16() == 403 && body.code == Some(40333) {
        hints.push(stop_all(attempt));
        let after = blocked_for(attempt);
        return (hints, retry(Some(after), "Discord's protection blocks this hub (40333); everything waits"));
    }
    (hints, refused(status.as_u16(), &words, &body))
}

/// What a refusal with Discord's own JSON means.
fn refused(status: u16, words: &str, body: &ErrorBody) -> Verdict {
    let said = body.message.as_deref().unwrap_or_default();
    let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
    let code = body.code.unwrap_or(0);
    let head = format!("Discord answered {words} ({code}): {said}");
    let off = |hint: &str| Verdict::SwitchOff(Reason(format!("{head}. {hint}")));
    match (status, code) {
        // Decided by the code, whatever the status.
        (_, 200_000 | 240_000 | 50_009) => Verdict::GiveUp(Reason(format!("{head}. The channel refuses this message"))),
        (_, 10_015) => off("The webhook was deleted; make a new one and set `url`"),
        (_, 10_003) => off("The channel or the thread was deleted; set another `url` or `thread_id`"),
        // A message that is gone is posted anew; what is gone again the next time may be there later.
        (_, 10_008) => retry(None, head),
        (_, 50_027) => off("The webhook's token is wrong; copy `url` from Discord again"),
        (_, 40_067) => off("The posts of this forum need a tag: set `applied_tags`"),
        (_, 220_001 | 220_002) => off("This is a forum channel: set `thread_id`, or `post_per`"),
        (_, 220_003) => off("This is no forum channel: remove `post_per`"),
        (_, 160_005 | 50_083) => off("The thread is locked or archived: open it, or set another `thread_id`"),
        (_, 160_006) => retry(Some(CROWDED), format!("{head}. Old posts are put away by Discord after a while")),
        (_, 50_013 | 50_001) => off("The webhook lacks the right to post in its channel"),
        (401, _) => off("The webhook's token is refused; copy `url` from Discord again"),
        // Discord restricts senders that keep calling what does not exist.
        (404, _) => off("The webhook does not exist; copy `url` from Discord again"),
        (400 | 405 | 413 | 415, _) => Verdict::GiveUp(Reason(format!("{head}{}", faults(body.errors.as_ref())))),
        (_, _) => retry(None, head),
    }
}

/// An answer of which the status is all we understand: Cloudflare, a proxy, an outage.
fn without_json(
    status: u16,
    is_empty: bool,
    words: &str,
    attempt: u32,
    mut hints: Vec<BudgetHint>,
) -> (Vec<BudgetHint>, Verdict) {
    let verdict = match status {
        403 => {
            hints.push(stop_all(attempt));
            retry(Some(blocked_for(attempt)), format!("{words} from Discord's protection; everything waits"))
        }
        401 | 404 if is_empty => Verdict::SwitchOff(Reason(format!(
            "Discord answered {words}: the webhook does not exist or its token is wrong"
        ))),
        _ => retry(None, format!("{words} without Discord's error body")),
    };
    (hints, verdict)
}

/// A 429: whose limit it was, and how long to wait.
fn limited(
    headers: &HeaderMap,
    body: Option<&ErrorBody>,
    id: &str,
    attempt: u32,
    now: Timestamp,
) -> (BudgetHint, Verdict) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let told = body.and_then(|body| body.retry_after).and_then(bounded_seconds);
    let after = [retry_after(headers, now), told].into_iter().flatten().max();
    let scope = text("x-ratelimit-scope");
    let is_global = scope == Some("global")
        || text("x-ratelimit-global").is_some()
        || body.is_some_and(|body| body.global == Some(true));
    let Some(after) = after else {
        if scope.is_none() {
            // Neither scope nor time: the address is blocked, not limited.
            let reason = "Discord's protection blocks this hub for a while; everything waits";
            return (stop_all(attempt), retry(Some(blocked_for(attempt)), reason));
        }
        return (empty(budget::webhook(id), UNTOLD), wait(Some(UNTOLD), "rate limited by Discord"));
    };
    let (key, whose) = if is_global {
        (budget::global(), "this hub's")
    } else if scope == Some("shared") {
        // Others' calls used it up: whoever posts in the channel waits.
        (budget::channel_of(id), "the channel's")
    } else {
        (budget::webhook(id), "the webhook's")
    };
    (empty(key, after), wait(Some(after), format!("Discord: {whose} rate limit; goes on by itself")))
}

/// What the headers say of the webhook's window.
fn window(headers: &HeaderMap, id: &str) -> Option<BudgetHint> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let resets_after = number("x-ratelimit-reset-after").and_then(bounded_seconds)?;
    let remaining = number("x-ratelimit-remaining").filter(|left| *left >= 0.0 && left.is_finite())?;
    // Headers have lied for hours (50,000 left while 5 were allowed); the hub lets hints narrow a budget, never widen it.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded on both sides
    let remaining = remaining.min(1000.0) as u32;
    Some(BudgetHint { key: budget::webhook(id), remaining: Some(remaining), resets_after })
}

fn empty(key: BudgetKey, resets_after: Duration) -> BudgetHint {
    BudgetHint { key, remaining: Some(0), resets_after }
}

fn stop_all(attempt: u32) -> BudgetHint {
    empty(budget::global(), blocked_for(attempt))
}

fn blocked_for(attempt: u32) -> Duration {
    BLOCKED.saturating_mul(1 << attempt.saturating_sub(1).min(4)).min(BLOCKED_MAX)
}

/// The places and codes of Discord's `errors` tree, e.g. `embeds.0.description BASE_TYPE_MAX_LENGTH`.
fn faults(errors: Option<&Value>) -> String {
    let mut found = Vec::new();
    let mut open: Vec<(String, &Value)> = errors.map(|errors| (String::new(), errors)).into_iter().collect();
    while let Some((path, value)) = open.pop() {
        let Some(object) = value.as_object() else { continue };
        for (key, inner) in object {
            if key == "_errors" {
                let codes = inner.as_array().into_iter().flatten().filter_map(|error| error["code"].as_str());
                found.extend(codes.map(|code| format!("{} {code}", path.trim_start_matches('.'))));
            } else if path.len() < 200 {
                open.push((format!("{path}.{key}"), inner));
            }
        }
    }
    found.sort();
    found.truncate(MAX_FAULTS);
    let text: String = found.join("; ").chars().filter(|c| !c.is_control()).take(500).collect();
    if text.is_empty() { text } else { format!(". {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallFailure;

    /// Verdict in short, and the budgets that were told something.
    fn found(status: u16, headers: &[(&str, &str)], body: &str, attempt: u32) -> (String, Vec<String>) {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let answer = Answer::Response(response.body(Bytes::copy_from_slice(body.as_bytes())).unwrap());
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        let (hints, verdict) = of(&answer, "7", attempt, now);
        let verdict = match verdict {
            Verdict::Delivered => "delivered".to_owned(),
            Verdict::Retry { after, counts, reason } => {
                let kind = if counts { "retry" } else { "wait" };
                format!("{kind} {:?} {}", after.map(|after| after.as_secs_f64()), reason.0)
            }
            Verdict::GiveUp(reason) => format!("give up {}", reason.0),
            Verdict::SwitchOff(reason) => format!("off {}", reason.0),
            Verdict::Skip(reason) => format!("skip {}", reason.0),
        };
        let hints = hints.iter().map(|hint| {
            let left = hint.remaining.map_or(String::new(), |left| left.to_string());
            format!("{} {left} {}", hint.key.0, hint.resets_after.as_secs_f64())
        });
        (verdict, hints.collect())
    }

    /// discord-delivery.md section 7, row by row.
    #[test]
    fn every_row_of_the_outcome_table() {
        for (status, body, expected) in [
            (200, r#"{"id":"1"}"#, "delivered"),
            (204, "", "delivered"),
            (200, "<html>log in</html>", "retry None 200 OK, but the answer is not Discord's"),
            (302, "", "retry None 302 Found: redirects"),
            (
                400,
                r#"{"code":50035,"message":"Invalid Form Body","errors":{"embeds":{"0":{"description":{"_errors":[{"code":"BASE_TYPE_MAX_LENGTH","message":"x"}]}}}}}"#,
                "give up Discord answered 400 Bad Request (50035): Invalid Form Body. embeds.0.description BASE_TYPE_MAX_LENGTH",
            ),
            (400, r#"{"embeds":["0"]}"#, "give up Discord answered 400 Bad Request (0)"),
            (400, r#"{"code":50006,"message":"Cannot send an empty message"}"#, "give up"),
            (400, r#"{"code":50109,"message":"invalid JSON"}"#, "give up"),
            (400, r#"{"code":50045,"message":"too large"}"#, "give up"),
            (413, r#"{"code":40005,"message":"too large"}"#, "give up"),
            (
                400,
                r#"{"code":220001,"message":"forum"}"#,
                "off Discord answered 400 Bad Request (220001): forum. This is a forum",
            ),
            (400, r#"{"code":40067,"message":"tag"}"#, "off"),
            (400, r#"{"code":160006,"message":"threads"}"#, "retry Some(600.0)"),
            (404, r#"{"code":10008,"message":"Unknown Message"}"#, "retry None"),
            (400, r#"{"code":220003,"message":"forum"}"#, "off"),
            (400, r#"{"code":160005,"message":"locked"}"#, "off"),
            (
                401,
                r#"{"code":50027,"message":"Invalid Webhook Token"}"#,
                "off Discord answered 401 Unauthorized (50027): Invalid Webhook Token. The webhook's token is wrong",
            ),
            (401, r#"{"code":0,"message":"401: Unauthorized"}"#, "off"),
            (401, "<html>", "retry None"),
            (403, r#"{"code":50013,"message":"Missing Permissions"}"#, "off"),
            (403, r#"{"code":50001,"message":"Missing Access"}"#, "off"),
            (403, r#"{"code":40333,"message":"internal network error"}"#, "retry Some(600.0) Discord's protection"),
            (403, "<html>cloudflare</html>", "retry Some(600.0) 403 Forbidden from Discord's protection"),
            (
                404,
                r#"{"code":10015,"message":"Unknown Webhook"}"#,
                "off Discord answered 404 Not Found (10015): Unknown Webhook. The webhook was deleted",
            ),
            (404, r#"{"code":10003,"message":"Unknown Channel"}"#, "off"),
            (404, "", "off"),
            (404, "<html>", "retry None"),
            (500, "", "retry None 500"),
            (502, "<html>bad gateway</html>", "retry None 502"),
            (503, "", "retry None 503"),
            (400, r#"{"code":200000,"message":"AutoMod"}"#, "give up"),
            (403, r#"{"code":240000,"message":"harmful link"}"#, "give up"),
            (403, r#"{"code":50009,"message":"verification level"}"#, "give up"),
            (418, r#"{"message":"teapot"}"#, "retry None"),
            (400, "not json at all", "retry None"),
        ] {
            let (verdict, _) = found(status, &[], body, 1);
            assert!(verdict.starts_with(expected), "{status} {body}: {verdict}");
        }
        let (_, failed) = of(&Answer::Failed(CallFailure::TimedOut), "7", 1, Timestamp::from_millis_clamped(0));
        assert!(matches!(failed, Verdict::Retry { counts: true, .. }));
    }

    #[test]
    fn the_four_kinds_of_429() {
        let user: &[_] = &[
            ("x-ratelimit-scope", "user"),
            ("retry-after", "1"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset-after", "0.65"),
        ];
        let shared: &[_] = &[
            ("x-ratelimit-scope", "shared"),
            ("retry-after", "1337"),
            ("x-ratelimit-remaining", "3"),
            ("x-ratelimit-reset-after", "2"),
        ];
        let global: &[_] = &[("x-ratelimit-scope", "global"), ("x-ratelimit-global", "true"), ("retry-after", "5")];
        let elsewhere = "discord/channel-of/7 0 1337";
        let block = r#"{"code":0,"message":"You are being blocked from accessing our API temporarily"}"#;
        for (name, headers, body, attempt, verdict, hints) in [
            (
                "route",
                user,
                r#"{"retry_after":0.65}"#,
                1,
                "wait Some(1.0)",
                vec!["discord/webhook/7 0 0.65", "discord/webhook/7 0 1"],
            ),
            (
                "body says longer",
                user,
                r#"{"retry_after":1.5}"#,
                1,
                "wait Some(1.5)",
                vec!["discord/webhook/7 0 0.65", "discord/webhook/7 0 1.5"],
            ),
            ("shared", shared, "{}", 1, "wait Some(1337.0)", vec!["discord/webhook/7 3 2", elsewhere]),
            ("global", global, "{}", 1, "wait Some(5.0)", vec!["discord/global 0 5"]),
            (
                "global by body",
                &[],
                r#"{"retry_after":0.25,"global":true}"#,
                1,
                "wait Some(0.25)",
                vec!["discord/global 0 0.25"],
            ),
            ("blocked", &[], block, 1, "retry Some(600.0)", vec!["discord/global 0 600"]),
            ("blocked, html", &[], "<html>", 3, "retry Some(2400.0)", vec!["discord/global 0 2400"]),
            ("blocked for long", &[], "<html>", 4_000_000, "retry Some(3600.0)", vec!["discord/global 0 3600"]),
            (
                "scope without time",
                &[("x-ratelimit-scope", "user")],
                "",
                1,
                "wait Some(60.0)",
                vec!["discord/webhook/7 0 60"],
            ),
            (
                "absurd time",
                &[("retry-after", "1e300")],
                "",
                1,
                "wait Some(86400.0)",
                vec!["discord/webhook/7 0 86400"],
            ),
        ] {
            let (found_verdict, found_hints) = found(429, headers, body, attempt);
            assert!(found_verdict.starts_with(verdict), "{name}: {found_verdict}");
            assert_eq!(found_hints, hints, "{name}");
        }
    }

    #[test]
    fn windows_are_learned_from_successes() {
        let headers =
            [("x-ratelimit-remaining", "3"), ("x-ratelimit-reset-after", "1.2"), ("x-ratelimit-bucket", "abc")];
        assert_eq!(found(200, &headers, "{}", 1).1, ["discord/webhook/7 3 1.2"]);
        for bad in ["-1", "NaN", "many", ""] {
            let headers = [("x-ratelimit-remaining", bad), ("x-ratelimit-reset-after", "1.2")];
            assert!(found(200, &headers, "{}", 1).1.is_empty(), "{bad}");
        }
    }
}
