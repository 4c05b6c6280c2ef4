//! How far a destination has come in one partition: a cursor, and the covered ranges above it. Pure.
//!
//! Covered means settled, or parked with a row of its own: nobody has to look at that place of the log again. The module
//! does not know events.

use std::collections::BTreeMap;

/// Cursor and ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    cursor: u64,
    /// First position -> last position; above the cursor, never touching each other or the cursor.
    above: BTreeMap<u64, u64>,
}

impl Window {
    /// From what was saved. Ranges may come in any order and may overlap.
    #[must_use]
    pub fn restore(cursor: u64, ranges: &[(u64, u64)]) -> Window {
        let mut window = Window { cursor, above: BTreeMap::new() };
        for (first, last) in ranges {
            window.cover_range(*first, *last);
        }
        window
    }

    /// Everything up to here is covered.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Covered ranges above the cursor, ascending, first and last position.
    #[must_use]
    pub fn ranges(&self) -> Vec<(u64, u64)> {
        self.above.iter().map(|(first, last)| (*first, *last)).collect()
    }

    /// Whether a position is covered.
    #[must_use]
    pub fn covers(&self, position: u64) -> bool {
        position <= self.cursor || self.above.range(..=position).next_back().is_some_and(|(_, last)| position <= *last)
    }

    /// Covers one position; moves the cursor over everything that is covered without a gap.
    pub fn cover(&mut self, position: u64) {
        self.cover_range(position, position);
    }

    fn cover_range(&mut self, first: u64, last: u64) {
        if last <= self.cursor || last < first {
            return;
        }
        let mut merged = (first.max(self.cursor + 1), last);
        // Whatever begins at or before the end, and ends at or after the beginning, becomes one range with it.
        while let Some((&begin, &end)) = self.above.range(..=merged.1.saturating_add(1)).next_back()
            && end.saturating_add(1) >= merged.0
        {
            self.above.remove(&begin);
            merged = (merged.0.min(begin), merged.1.max(end));
        }
        if merged.0 == self.cursor + 1 {
            self.cursor = merged.1;
        } else {
            self.above.insert(merged.0, merged.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn ranges_join_and_the_cursor_moves_over_them() {
        let mut window = Window::restore(10, &[]);
        let steps = [
            (12, 10, vec![(12, 12)]),
            (14, 10, vec![(12, 12), (14, 14)]),
            (13, 10, vec![(12, 14)]),
            (13, 10, vec![(12, 14)]),
            (5, 10, vec![(12, 14)]),
            (11, 14, vec![]),
            (15, 15, vec![]),
        ];
        for (position, cursor, ranges) in steps {
            window.cover(position);
            assert_eq!((window.cursor(), window.ranges()), (cursor, ranges), "after {position}");
        }
    }

    proptest! {
        #[test]
        fn it_covers_exactly_what_was_covered(cursor in 0_u64..5, places in prop::collection::vec(1_u64..60, 0..80)) {
            let mut window = Window::restore(cursor, &[]);
            let mut model: BTreeSet<u64> = (0..=cursor).collect();
            for place in places {
                window.cover(place);
                model.insert(place);
            }
            for place in 0..70 {
                prop_assert_eq!(window.covers(place), model.contains(&place), "{}", place);
            }
            prop_assert!(!model.contains(&(window.cursor() + 1)));
            let ranges = window.ranges();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            prop_assert!(ranges.first().is_none_or(|range| range.0 > window.cursor() + 1));
            prop_assert_eq!(Window::restore(window.cursor(), &ranges), window);
        }
    }
}
