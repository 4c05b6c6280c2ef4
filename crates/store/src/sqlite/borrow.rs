//! Long texts that an event's JSON has from the notification that told them (attributes of the customer) are kept once:
//! the event's row says where in the notification's body they stand. They are what packing makes no smaller.
//!
//! It works on bytes, so exactly the JSON that was written comes back. It looks for attributes' values alone, in the
//! order in which the JSON has them.

use paidup_lifecycle::event::Event;

/// Shorter texts are kept where they are: a note of their place takes 12 bytes, and the look through the body its time.
const SHORTEST: usize = 48;

/// Most texts that one event borrows.
const MOST: usize = 16;

/// So much of a text is looked for.
const ANCHOR: usize = 24;

/// So many places that begin like a text are looked at: one made of the same letter over and over stays where it is.
const TRIES: usize = 64;

/// Bytes that the note of one text takes.
const NOTE: usize = 12;

/// An event's JSON without what it borrows, and the notes (of `NOTE` bytes each) of what that is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Borrowing {
    pub(super) rest: Vec<u8>,
    pub(super) notes: Vec<u8>,
}

/// What `json`, which is that event's, can borrow from `body`; `None`: nothing.
pub(super) fn borrow(event: &Event, json: &[u8], body: &[u8]) -> Option<Borrowing> {
    let mut borrowing = Borrowing { rest: Vec::new(), notes: Vec::new() };
    let mut copied = 0;
    for attribute in event.customer.attributes.values() {
        let text = attribute.value.as_bytes();
        if text.len() < SHORTEST || borrowing.notes.len() >= MOST * NOTE {
            continue;
        }
        // A text that JSON writes with escapes is found in neither, and stays.
        let Some(from) = find(body, text) else { continue };
        let Some(at) = find(&json[copied..], text) else { continue };
        let at = copied + at;
        borrowing.rest.extend_from_slice(&json[copied..at]);
        for number in [at, from, text.len()] {
            borrowing.notes.extend_from_slice(&u32::try_from(number).ok()?.to_be_bytes());
        }
        copied = at + text.len();
    }
    borrowing.rest.extend_from_slice(&json[copied..]);
    (!borrowing.notes.is_empty()).then_some(borrowing)
}

/// Where `text` begins in `body`. It looks for the beginning of `text` and compares the rest: preparing a search for all of a
/// long text takes longer than the search.
fn find(body: &[u8], text: &[u8]) -> Option<usize> {
    let beginning = &text[..text.len().min(ANCHOR)];
    memchr::memmem::find_iter(body, beginning).take(TRIES).find(|at| body[*at..].starts_with(text))
}

/// The JSON again; `None`: the notes do not fit.
pub(super) fn give_back(rest: &[u8], notes: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    let mut json = Vec::with_capacity(rest.len() + body.len());
    let mut copied = 0;
    for note in notes.chunks(NOTE) {
        let number = |place: usize| {
            let bytes: [u8; 4] = note.get(place * 4..place * 4 + 4)?.try_into().ok()?;
            usize::try_from(u32::from_be_bytes(bytes)).ok()
        };
        let (at, from, length) = (number(0)?, number(1)?, number(2)?);
        let upto = copied + at.checked_sub(json.len())?;
        json.extend_from_slice(rest.get(copied..upto)?);
        json.extend_from_slice(body.get(from..from.checked_add(length)?)?);
        copied = upto;
    }
    json.extend_from_slice(rest.get(copied..)?);
    Some(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use paidup_lifecycle::event::{AttributeView, EventType};
    use paidup_lifecycle::observation::Store;
    use paidup_lifecycle::sample;
    use paidup_lifecycle::time::Timestamp;
    use proptest::prelude::*;

    fn event(attributes: &[(&str, &str)]) -> Event {
        let mut event = sample::event(EventType::RenewalEnabled, Store::Stripe);
        let updated_at = Timestamp::from_millis_clamped(0);
        let view = |value: &str| AttributeView { value: value.to_owned(), updated_at };
        event.customer.attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), view(value))).collect();
        event
    }

    #[test]
    fn long_texts_that_the_body_has_are_borrowed() {
        let long = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz";
        let other = "zyxwvutsrqponmlkjihgfedcba9876543210zyxwvutsrqponmlkjihgfedcba9876543210";
        let escaped = "a line\n that has to be escaped, and that is long enough to be borrowed if it were not";
        type Attributes<'a> = &'a [(&'a str, &'a str)];
        let cases: [(&str, Attributes<'_>, usize); 7] = [
            ("none", &[], 0),
            ("short", &[("a", "0123456789")], 0),
            ("long", &[("a", long)], 1),
            ("two, told in another order", &[("a", other), ("b", long)], 2),
            ("the same twice", &[("a", long), ("b", long)], 2),
            ("not in the body", &[("a", &long.repeat(2))], 0),
            ("escaped", &[("a", escaped), ("b", long)], 1),
        ];
        let body = serde_json::json!({ "x": long, "y": other, "z": escaped, "w": "0123456789" }).to_string();
        for (name, attributes, expected) in cases {
            let event = event(attributes);
            let json = serde_json::to_vec(&event).unwrap();
            let borrowed = borrow(&event, &json, body.as_bytes());
            assert_eq!(borrowed.as_ref().map_or(0, |borrowing| borrowing.notes.len() / NOTE), expected, "{name}");
            let Some(borrowing) = borrowed else { continue };
            assert_eq!(borrowing.rest.len(), json.len() - expected * long.len(), "{name}");
            assert_eq!(give_back(&borrowing.rest, &borrowing.notes, body.as_bytes()).as_ref(), Some(&json), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn notes_that_do_not_fit_are_no_panic(
            rest in proptest::collection::vec(any::<u8>(), 0..40),
            notes in proptest::collection::vec(0u8..4, 0..40),
            body in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            give_back(&rest, &notes, &body);
        }
    }
}
