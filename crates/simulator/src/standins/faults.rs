//! What goes wrong on demand at the API of any store, until it is set otherwise.

use crate::chance::Chance;
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Every call is answered with the vendor's 5xx.
    pub down: bool,
    /// Of 100 calls, so many are answered with the vendor's 5xx.
    pub down_percent: u64,
    /// Every call is answered 429, as if somebody else used the limit up.
    pub limited: bool,
    /// Every answer waits this long; longer than a caller's patience, and the API hangs.
    pub delay: Duration,
}

impl Faults {
    /// Every call fails.
    #[must_use]
    pub fn down() -> Faults {
        Faults { down: true, ..Faults::default() }
    }

    /// Every answer takes this long.
    #[must_use]
    pub fn slow(delay: Duration) -> Faults {
        Faults { delay, ..Faults::default() }
    }

    /// Whether this call is answered with the vendor's 5xx.
    pub fn strikes(&self, chance: &mut Chance) -> bool {
        self.down || (self.down_percent > 0 && chance.percent(self.down_percent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_calls_fail_as_it_says() {
        let mut chance = Chance::new(1, 0);
        assert!(Faults::down().strikes(&mut chance));
        assert!(!Faults::slow(Duration::from_secs(1)).strikes(&mut chance));
        let some = Faults { down_percent: 30, ..Faults::default() };
        let failed = (0..1_000).filter(|_| some.strikes(&mut chance)).count();
        assert!((250..350).contains(&failed), "{failed}");
    }
}
