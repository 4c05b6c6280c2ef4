//! The same events in other vendors' words: RevenueCat's, Purchasely's and Discord's.
//!
//! A dialect is a pure function of **one** event. What it must know about the neighbours of that event stands in
//! `bundle.types`, what was before in `previous`: so deliveries may come one by one, in any order, and a replay of one
//! event gives the same messages. Each dialect is a table with one row per [`crate::event::EventType`]; the compiler
//! asks for the row of a new type, the tests for its cells.
//!
//! Nothing here sends anything: `destinations` puts these words into requests.

pub mod discord;
pub mod purchasely;
pub mod revenuecat;

use std::fmt::Write as _;

/// The text form of 16 bytes as a UUID of version 8 ("custom", RFC 9562): receivers made for these vendors expect their
/// ids in that form.
fn uuid_text(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
