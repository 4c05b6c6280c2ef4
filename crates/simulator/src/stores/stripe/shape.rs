//! Stripe's API versions, in two generations: basil (2025-03-31) moved the period to the items, the invoice's
//! subscription under `parent`, and payments into objects of their own.

/// What an object looks like in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Before basil.
    Classic,
    /// Basil and later.
    Basil,
}

/// The first version with the newer shape.
const BASIL: &str = "2025-03-31.basil";

impl Shape {
    /// The shape that a seed decides.
    #[must_use]
    pub const fn of_seed(seed: u64) -> Shape {
        if seed.is_multiple_of(2) { Shape::Classic } else { Shape::Basil }
    }

    /// The shape of this `Stripe-Version`; `None` where it is none of Stripe's.
    #[must_use]
    pub fn of_version(version: &str) -> Option<Shape> {
        let date = version.get(..10)?;
        let is_digit =
            |(place, one): (usize, u8)| if [4, 7].contains(&place) { one == b'-' } else { one.is_ascii_digit() };
        let is_date = date.bytes().enumerate().all(is_digit);
        let named = version.len() == 10 || version.as_bytes().get(10) == Some(&b'.');
        (is_date && named).then(|| if date < &BASIL[..10] { Shape::Classic } else { Shape::Basil })
    }

    /// A version of that shape: the endpoint's, and the account's.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Shape::Classic => "2024-06-20",
            Shape::Basil => "2025-09-30.clover",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_decides() {
        let table = [
            ("2020-08-27", Some(Shape::Classic)),
            ("2025-02-24.acacia", Some(Shape::Classic)),
            ("2025-03-31.basil", Some(Shape::Basil)),
            ("2026-10-28.endive", Some(Shape::Basil)),
            ("latest", None),
            ("2025-03-31basil", None),
            ("", None),
        ];
        for (version, shape) in table {
            assert_eq!(Shape::of_version(version), shape, "{version}");
        }
        for shape in [Shape::Classic, Shape::Basil] {
            assert_eq!(Shape::of_version(shape.version()), Some(shape));
        }
    }
}
