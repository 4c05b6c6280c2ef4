//! Two times: the one that customers live in, and the one that stands in the notifications.
//!
//! Lives are told in *lived* time, with months of 30 days. A notification is *stamped* with a date near the present, as
//! Apple's sandbox does it, where a month passes in minutes. So a hub with an ordinary clock sees periods that end when
//! the simulation ends them, and none of its own deadlines fires early.

/// Milliseconds of lived time since the simulation began.
pub type Lived = i64;

/// One lived second.
pub const SECOND: Lived = 1000;
/// One lived minute.
pub const MINUTE: Lived = 60 * SECOND;
/// One lived hour.
pub const HOUR: Lived = 60 * MINUTE;
/// One lived day.
pub const DAY: Lived = 24 * HOUR;
/// One lived month.
pub const MONTH: Lived = 30 * DAY;
/// One lived year.
pub const YEAR: Lived = 365 * DAY;

/// The fastest time: a month in 50 ms. Beyond it, dates of one life would fall on the same millisecond.
pub const MAX_SPEED: f64 = 51_840_000.0;

/// Translates lived time into the dates of the notifications.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calendar {
    start_ms: i64,
    speed: f64,
}

impl Calendar {
    /// Lived time 0 is stamped `start_ms` (since 1970); `speed` lived seconds take one stamped second. A speed outside
    /// of 1 to [`MAX_SPEED`] is moved to the nearest bound.
    #[must_use]
    pub fn new(start_ms: i64, speed: f64) -> Calendar {
        let speed = if speed.is_finite() { speed.clamp(1.0, MAX_SPEED) } else { 1.0 };
        Calendar { start_ms, speed }
    }

    /// The date that a notification carries for this lived moment, in milliseconds since 1970.
    #[must_use]
    pub fn stamp(&self, at: Lived) -> i64 {
        self.start_ms.saturating_add(self.span(at))
    }

    /// How long a lived span takes in the notifications, in milliseconds.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "lived spans are decades at most")]
    pub fn span(&self, span: Lived) -> i64 {
        (span as f64 / self.speed).round() as i64
    }

    /// The lived moment that carries this date: the inverse of [`Calendar::stamp`].
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "lived spans are decades at most")]
    pub fn lived(&self, stamp_ms: i64) -> Lived {
        (stamp_ms.saturating_sub(self.start_ms) as f64 * self.speed).round() as i64
    }

    /// Where lived time 0 stands, in milliseconds since 1970.
    #[must_use]
    pub const fn start_ms(&self) -> i64 {
        self.start_ms
    }

    /// Lived seconds in one stamped second.
    #[must_use]
    pub const fn speed(&self) -> f64 {
        self.speed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_takes_as_long_as_the_speed_says() {
        let calendar = Calendar::new(1_000_000, 432_000.0);
        assert_eq!(calendar.stamp(0), 1_000_000);
        assert_eq!(calendar.span(MONTH), 6_000);
        assert_eq!(calendar.lived(1_012_000), 2 * MONTH);
        assert_eq!(calendar.stamp(2 * MONTH), 1_012_000);
        assert!((Calendar::new(0, f64::NAN).speed() - 1.0).abs() < f64::EPSILON);
        assert!((Calendar::new(0, 1e12).speed() - MAX_SPEED).abs() < f64::EPSILON);
    }
}
