//! Paths as the vendors' servers read them.

/// A part of a path without its percent signs. A plus sign is no space there.
pub(super) fn decoded(part: &str) -> String {
    let text = format!("x={}", part.replace('+', "%2B"));
    url::form_urlencoded::parse(text.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_read_and_plus_signs_stay() {
        for (part, expected) in
            [("a%3Db", "a=b"), ("a=b", "a=b"), ("a+b", "a+b"), ("a%2Fb", "a/b"), ("", ""), ("a&b", "a")]
        {
            assert_eq!(decoded(part), expected, "{part}");
        }
    }
}
