//! Chance with a seed: the same seed gives the same population in every version.
//!
//! Own code of a few lines (SplitMix64) because the seeded generators of the `rand` crate may change their numbers from
//! one release to the next, and a failing seed must stay a failing seed. Not for secrets.

/// A stream of numbers that its seed decides.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// A stream of its own for each (seed, part), so that one customer's life does not depend on the others.
    #[must_use]
    pub fn new(seed: u64, part: u64) -> Chance {
        let mut chance = Chance(seed ^ part.wrapping_mul(0xA24B_AED4_963E_E407));
        chance.draw();
        Chance(chance.draw())
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0. The bias of the remainder is far below what a simulation can show.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.draw() % bound }
    }

    /// A number of `from..=to`.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        let width = u64::try_from(to.saturating_sub(from)).unwrap_or(0).saturating_add(1);
        from.saturating_add(i64::try_from(self.below(width)).unwrap_or(0))
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A number of 0 to below 1.
    pub fn fraction(&mut self) -> f64 {
        // 53 bits are what a double holds.
        #[allow(clippy::cast_precision_loss, reason = "53 bits fit into a double")]
        let bits = (self.draw() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }

    /// One of the choices by weight; the last when all weights are 0. `None` for an empty list.
    pub fn pick<T: Copy>(&mut self, choices: &[(u64, T)]) -> Option<T> {
        let total: u64 = choices.iter().map(|(weight, _)| weight).sum();
        let mut at = self.below(total);
        for (weight, choice) in choices {
            if at < *weight {
                return Some(*choice);
            }
            at -= weight;
        }
        choices.last().map(|(_, choice)| *choice)
    }

    /// A UUID of version 4 in lower case.
    pub fn uuid(&mut self) -> String {
        let high = (self.draw() & !0xF000) | 0x4000;
        let low = (self.draw() & !(0b11 << 62)) | (0b10 << 62);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_for_ever() {
        // The published first outputs of SplitMix64 for seed 0.
        let mut chance = Chance(0);
        assert_eq!([chance.draw(), chance.draw()], [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4]);
        assert_eq!(Chance::new(7, 1).draw(), Chance::new(7, 1).draw());
        assert_ne!(Chance::new(7, 1).draw(), Chance::new(7, 2).draw());
        assert_eq!(chance.uuid().len(), 36);
        assert_eq!(chance.uuid().as_bytes()[14], b'4');
    }

    #[test]
    fn weights_are_kept_and_edges_do_not_panic() {
        let mut chance = Chance::new(1, 0);
        let heads = (0..1000).filter(|_| chance.pick(&[(9, true), (1, false)]) == Some(true)).count();
        assert!((850..950).contains(&heads), "{heads}");
        assert_eq!(chance.pick::<u8>(&[]), None);
        assert_eq!(chance.below(0), 0);
        assert_eq!(chance.between(3, 3), 3);
        assert!((0.0..1.0).contains(&chance.fraction()));
    }
}
