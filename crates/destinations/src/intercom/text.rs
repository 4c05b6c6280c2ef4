//! Texts within Intercom's bounds.

/// Longest text of an attribute, of metadata and (ASSUMPTION: none is published) of names and ids, in characters.
pub(super) const MAX_TEXT: usize = 255;

/// At most [`MAX_TEXT`] characters, none of them a control character.
pub(super) fn shortened(text: &str) -> String {
    text.chars().filter(|one| !one.is_control()).take(MAX_TEXT).collect()
}
