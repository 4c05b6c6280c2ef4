//! How often a key may call a route, told in Discord's headers, which its clients obey by themselves.
//! <https://discord.com/developers/docs/topics/rate-limits>

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use paidup_lifecycle::ids::digest16;
use paidup_lifecycle::time::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Calls of one key to one route in one window. Ten times what Discord itself gives a bot, so that a client which pages
/// through everything is not held up, while one that runs wild leaves the hub to its stores.
const CALLS: u32 = 500;
/// A window.
const WINDOW: Duration = Duration::from_secs(1);
/// Windows that are remembered; when there are more, those that are over are forgotten.
const MAX_WINDOWS: usize = 10_000;

/// Everybody's windows.
#[derive(Default)]
pub(super) struct Limits {
    windows: Mutex<HashMap<[u8; 16], Window>>,
}

struct Window {
    ends_at: Timestamp,
    calls: u32,
}

/// One call's place in its window.
pub(super) struct Turn {
    bucket: String,
    remaining: Option<u32>,
    ends_at: Timestamp,
    left: Duration,
}

impl Limits {
    /// Counts a call of that key or user.
    pub(super) fn take(&self, caller: [u8; 16], route: &str, now: Timestamp) -> Turn {
        let mut windows = self.windows.lock();
        if windows.len() >= MAX_WINDOWS {
            windows.retain(|_, window| window.ends_at > now);
        }
        let fresh = || Window { ends_at: now.plus(WINDOW), calls: 0 };
        let window = windows.entry(digest16(&[&caller, route.as_bytes()])).or_insert_with(fresh);
        // A clock that was set back must not stretch a window.
        if window.ends_at <= now || window.ends_at > now.plus(WINDOW) {
            *window = fresh();
        }
        let remaining = CALLS.checked_sub(window.calls + 1);
        window.calls = (window.calls + 1).min(CALLS);
        let mut bucket = String::new();
        for byte in &digest16(&[route.as_bytes()])[..8] {
            // Writing to a String cannot fail.
            let _ = write!(bucket, "{byte:02x}");
        }
        Turn { bucket, remaining, ends_at: window.ends_at, left: window.ends_at.since(now) }
    }
}

impl Turn {
    /// There were too many calls.
    pub(super) fn is_limited(&self) -> bool {
        self.remaining.is_none()
    }

    /// 429.
    pub(super) fn refuse(&self) -> Response {
        let body = json!({
            "code": 0, "message": "You are being rate limited.", "retry_after": self.left.as_secs_f64(), "global": false
        });
        let mut response = (StatusCode::TOO_MANY_REQUESTS, axum::Json(body)).into_response();
        let whole = u32::try_from(self.left.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole));
        response.headers_mut().insert(HeaderName::from_static("x-ratelimit-scope"), HeaderValue::from_static("user"));
        response
    }

    /// Says how it stands.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let ms = self.ends_at.as_millis();
        let values = [
            ("x-ratelimit-limit", CALLS.to_string()),
            ("x-ratelimit-remaining", self.remaining.unwrap_or(0).to_string()),
            ("x-ratelimit-reset", format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))),
            ("x-ratelimit-reset-after", format!("{:.3}", self.left.as_secs_f64())),
            ("x-ratelimit-bucket", self.bucket.clone()),
        ];
        for (name, value) in values {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_up_when_its_window_is_used_up_and_nobody_else_is() {
        let limits = Limits::default();
        let start = Timestamp::from_millis(1_767_225_600_250).unwrap();
        let (key, other) = ([1; 16], [2; 16]);
        for call in 1..=CALLS {
            let turn = limits.take(key, "/a", start);
            assert_eq!(turn.remaining, Some(CALLS - call));
        }
        let turn = limits.take(key, "/a", start.plus(Duration::from_millis(400)));
        assert!(turn.is_limited());
        assert_eq!(turn.left, Duration::from_millis(600));
        let response = turn.refuse();
        assert_eq!(
            (response.status(), response.headers()["retry-after"].to_str().unwrap()),
            (StatusCode::TOO_MANY_REQUESTS, "1")
        );
        let mut headers = HeaderMap::new();
        turn.write(&mut headers);
        assert_eq!(headers["x-ratelimit-reset"], "1767225601.250");
        assert_eq!(
            (&headers["x-ratelimit-remaining"], &headers["x-ratelimit-reset-after"]),
            (&"0".parse().unwrap(), &"0.600".parse().unwrap())
        );

        assert!(!limits.take(other, "/a", start).is_limited());
        assert!(!limits.take(key, "/b", start).is_limited());
        assert!(!limits.take(key, "/a", start.plus(WINDOW)).is_limited(), "a new window");
        assert!(!limits.take(key, "/a", start.minus(Duration::from_secs(3600))).is_limited(), "the clock was set back");
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let limits = Limits::default();
        let start = Timestamp::from_millis(1_767_225_600_000).unwrap();
        for number in 0..=MAX_WINDOWS {
            limits.take([0; 16], &number.to_string(), start.plus(Duration::from_secs(number as u64)));
        }
        assert!(limits.windows.lock().len() < 10);
    }
}
