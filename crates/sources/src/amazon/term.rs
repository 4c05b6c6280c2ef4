//! How long a subscription's periods are: Amazon tells when the next one begins, not when the running one began, so that is
//! counted back in calendar terms.

use jiff::Span;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use paidup_lifecycle::time::Timestamp;
use std::time::Duration;

/// Most terms that are counted from a purchase on: ten years of weeks.
const MAX_TERMS: i64 = 530;

/// `1 Week`, `1 Month`, `1 Year` ...
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    months: i64,
    days: i64,
}

impl Term {
    /// A number and a unit. ASSUMPTION: Amazon prints "1 Month" and names no other spelling; plurals and words such as
    /// `Monthly` are taken too.
    pub(super) fn parse(text: &str) -> Option<Term> {
        let text = text.trim().to_ascii_lowercase();
        let (count, unit) = match text.split_once(' ') {
            Some((count, unit)) => (count.parse::<i64>().ok().filter(|count| (1..=60).contains(count))?, unit.trim()),
            None => (1, text.as_str()),
        };
        let (months, days) = match unit {
            "day" | "days" | "daily" => (0, 1),
            "week" | "weeks" | "weekly" => (0, 7),
            "biweekly" => (0, 14),
            "month" | "months" | "monthly" => (1, 0),
            "bimonthly" => (2, 0),
            "quarter" | "quarters" | "quarterly" => (3, 0),
            "semiannual" | "semiannually" => (6, 0),
            "year" | "years" | "annual" | "annually" | "yearly" => (12, 0),
            _ => return None,
        };
        Some(Term { months: months * count, days: days * count })
    }

    /// `from` and that many terms, counted at once so that the 31st stays the 31st.
    pub(super) fn after(self, from: Timestamp, times: i64) -> Option<Timestamp> {
        let at = jiff::Timestamp::from_millisecond(from.as_millis()).ok()?;
        let civil: DateTime = Offset::UTC.to_datetime(at);
        let (months, days) = (self.months.checked_mul(times)?, self.days.checked_mul(times)?);
        let span = Span::new().try_months(months).ok()?.try_days(days).ok()?;
        let there = Offset::UTC.to_timestamp(civil.checked_add(span).ok()?).ok()?;
        Timestamp::from_millis(there.as_millisecond()).ok()
    }

    /// When the period that ends then began.
    pub(super) fn before(self, end: Timestamp) -> Option<Timestamp> {
        self.after(end, -1)
    }

    /// The period that `at` lies in, when the first began at `from`.
    pub(super) fn around(self, from: Timestamp, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let days = i64::try_from(at.since(from).as_secs() / 86_400).ok()?;
        // At least as many terms as this have passed: no month has more than 31 days.
        let mut times = days / (self.months * 31 + self.days).max(1);
        let mut begins_at = self.after(from, times)?;
        for _ in 0..MAX_TERMS {
            let ends_at = self.after(from, times + 1)?;
            if at < ends_at {
                return Some((begins_at, ends_at));
            }
            (begins_at, times) = (ends_at, times + 1);
        }
        None
    }

    /// About how long one is.
    pub(super) fn length(self) -> Duration {
        let days = u64::try_from(self.months * 30 + self.days).unwrap_or_default();
        Duration::from_secs(days * 86_400)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn terms_are_read_and_counted_by_the_calendar() {
        for (term, from, times, to) in [
            ("1 Month", "2026-01-31T08:00:00Z", 1, "2026-02-28T08:00:00Z"),
            ("1 Month", "2026-01-31T08:00:00Z", 2, "2026-03-31T08:00:00Z"),
            ("1 Week", "2026-01-31T08:00:00Z", -1, "2026-01-24T08:00:00Z"),
            ("2 Weeks", "2026-01-01T00:00:00.123Z", 1, "2026-01-15T00:00:00.123Z"),
            ("3 Months", "2026-11-30T00:00:00Z", 1, "2027-02-28T00:00:00Z"),
            ("1 Year", "2024-02-29T00:00:00Z", 1, "2025-02-28T00:00:00Z"),
            ("Quarterly", "2026-01-01T00:00:00Z", 1, "2026-04-01T00:00:00Z"),
        ] {
            let parsed = Term::parse(term).unwrap_or_else(|| panic!("{term}"));
            assert_eq!(parsed.after(at(from), times), Some(at(to)), "{term} from {from}");
        }
        for odd in
            ["", "Month of Sundays", "0 Months", "-1 Month", "99999999999999999999 Years", "1 Fortnight", "61 Years"]
        {
            assert_eq!(Term::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_period_around_a_moment() {
        let month = Term::parse("1 Month").unwrap();
        let from = at("2026-01-31T00:00:00Z");
        for (moment, begins, ends) in [
            ("2026-01-31T00:00:00Z", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"),
            ("2026-02-27T23:59:59Z", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"),
            ("2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"),
            ("2030-05-01T00:00:00Z", "2030-04-30T00:00:00Z", "2030-05-31T00:00:00Z"),
        ] {
            assert_eq!(month.around(from, at(moment)), Some((at(begins), at(ends))), "{moment}");
        }
        assert_eq!(month.around(from, at("2025-01-01T00:00:00Z")), Some((from, at("2026-02-28T00:00:00Z"))), "earlier");
        assert_eq!(month.around(Timestamp::MIN, Timestamp::MAX), None, "without end");
    }
}
