//! How many calls in how long: pure, time is passed in.

use std::collections::VecDeque;

/// How many calls in how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Calls.
    pub calls: u32,
    /// In this many milliseconds.
    pub span_ms: i64,
}

/// The calls of the last span.
#[derive(Debug, Clone)]
pub struct Window {
    limit: Limit,
    calls: VecDeque<i64>,
}

impl Window {
    /// An empty one.
    #[must_use]
    pub fn new(limit: Limit) -> Window {
        Window { limit, calls: VecDeque::new() }
    }

    /// Counts a call; or says in how many milliseconds there is room for one.
    pub fn take(&mut self, now: i64) -> Result<(), i64> {
        self.forget(now);
        if self.remaining() == 0 {
            return Err(self.reset_after(now).max(1));
        }
        self.calls.push_back(now);
        Ok(())
    }

    /// Counts a call even where there is no room.
    pub fn count(&mut self, now: i64) {
        self.forget(now);
        self.calls.push_back(now);
        // One more than the limit is as good as many more.
        while self.calls.len() > self.limit.calls as usize + 1 {
            self.calls.pop_front();
        }
    }

    /// How many more calls have room.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.limit.calls.saturating_sub(u32::try_from(self.calls.len()).unwrap_or(u32::MAX))
    }

    /// Milliseconds until the oldest call is forgotten, which gives room for one.
    #[must_use]
    pub fn reset_after(&self, now: i64) -> i64 {
        self.calls.front().map_or(0, |oldest| (oldest + self.limit.span_ms - now).max(0))
    }

    /// How many calls in the span.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit.calls
    }

    fn forget(&mut self, now: i64) {
        while self.calls.front().is_some_and(|oldest| oldest + self.limit.span_ms <= now) {
            self.calls.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides() {
        let mut window = Window::new(Limit { calls: 2, span_ms: 100 });
        // (now, what a call gets, remaining after it)
        let table = [
            (0, Ok(()), 1),
            (10, Ok(()), 0),
            (50, Err(50), 0),
            (99, Err(1), 0),
            (100, Ok(()), 0),
            (105, Err(5), 0),
            (110, Ok(()), 0),
            (1_000, Ok(()), 1),
        ];
        for (now, expected, remaining) in table {
            assert_eq!(window.take(now), expected, "at {now}");
            assert_eq!(window.remaining(), remaining, "at {now}");
        }
    }
}
