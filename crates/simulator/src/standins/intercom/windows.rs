//! How many calls in how long ("Rate Limiting").

use super::answer::Answer;
use super::workspace::Inner;
use crate::standins::limits::Limit;
use http::StatusCode;

/// Calls of all private apps of a workspace: 25,000 a minute, in windows of 10 s.
pub(super) const WORKSPACE_LIMIT: Limit = Limit { calls: 4_166, span_ms: 10_000 };

/// A fixed window, as Intercom's are.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) limit: Limit,
    start: i64,
    pub(super) calls: u32,
}

impl Window {
    pub(super) const fn new(limit: Limit) -> Window {
        Window { limit, start: i64::MIN, calls: 0 }
    }

    pub(super) fn turn(&mut self, now: i64) {
        let start = now - now.rem_euclid(self.limit.span_ms.max(1));
        if self.start != start {
            (self.start, self.calls) = (start, 0);
        }
    }

    pub(super) const fn remaining(&self) -> u32 {
        self.limit.calls.saturating_sub(self.calls)
    }

    pub(super) fn resets_at(&self) -> i64 {
        (self.start + self.limit.span_ms + 999) / 1000
    }
}

impl Inner {
    /// Counts a call, or refuses it.
    pub(super) fn count_call(&mut self, now: i64) -> Result<(), Answer> {
        self.windows.iter_mut().for_each(|window| window.turn(now));
        if let Some(full) = self.windows.iter().find(|window| window.remaining() == 0) {
            let message =
                format!("Exceeded rate limit of {} in {}_seconds", full.limit.calls, full.limit.span_ms / 1000);
            self.report.limited += 1;
            self.report.avoidable += u64::from(self.windows[0].remaining() == 0);
            return Err(Answer::error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", &message));
        }
        self.windows.iter_mut().for_each(|window| window.calls += 1);
        self.report.busiest_window = self.report.busiest_window.max(self.windows[0].calls);
        Ok(())
    }
}
