//! Text for Discord: what customers and stores wrote is shown as they wrote it and never acts.
//!
//! A [`Rich`] text is a list of tokens that must stay whole (an escaped character, a link, a date), so that it can be cut
//! anywhere without leaving half of one behind. Lengths are UTF-16 code units: Discord does not publish its unit, and this
//! is never smaller than code points (discord-delivery.md section 3).
//!
//! Not every special character is escaped, because ids are copied out of messages: `pro_monthly`, `sub:base-plan` and
//! `me@example.com` stay as they are where Discord cannot read them as markup. The rules are on [`escaped`].

use std::fmt::Write as _;

/// What stands for a text that is empty or consists of invisible characters only.
pub(super) const UNKNOWN: &str = "unknown";
/// The most of a single text from outside that is shown: ids are shorter, names mostly are.
const MAX_TEXT: usize = 200;

/// A text made of tokens that are kept or dropped whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rich(Vec<String>);

impl Rich {
    /// Our own or the operator's text, as it stands.
    pub(super) fn own(text: &str) -> Rich {
        Rich(text.chars().map(String::from).collect())
    }

    /// A text from outside: cleaned, shortened and escaped.
    pub(super) fn foreign(text: &str) -> Rich {
        Rich(escaped(&clean(text)))
    }

    /// One token that is never cut.
    pub(super) fn whole(text: String) -> Rich {
        Rich(vec![text])
    }

    /// `[label](url)`, which is Discord's own form. Without an address, or where Discord would not make a link of it
    /// because the label looks like one itself, the label alone.
    pub(super) fn link(label: &str, url: Option<&str>) -> Rich {
        let label = clean(label);
        let tokens = escaped(&label);
        match url {
            Some(url) if !label.contains("://") => Rich(vec![format!("[{}]({url})", tokens.concat())]),
            Some(_) | None => Rich(tokens),
        }
    }

    /// A date in the reader's zone and language. `style`: `D` day, `f` day and time.
    pub(super) fn date(at: paidup_lifecycle::time::Timestamp, style: char) -> Rich {
        Rich::whole(format!("<t:{}:{style}>", at.as_seconds()))
    }

    pub(super) fn push(&mut self, other: Rich) {
        self.0.extend(other.0);
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|token| units(token)).sum()
    }

    /// Cut to at most `max` units, with an ellipsis where something is missing.
    pub(super) fn cut(&mut self, max: usize) {
        if self.len() <= max {
            return;
        }
        // One unit is kept for the ellipsis.
        let (mut room, mut kept) = (max.saturating_sub(1), 0);
        for token in &self.0 {
            let Some(left) = room.checked_sub(units(token)) else { break };
            (room, kept) = (left, kept + 1);
        }
        // An underscore acts where no letter follows it any more.
        while kept > 0 && self.0[kept - 1] == "_" {
            kept -= 1;
        }
        self.0.truncate(kept);
        if max > 0 {
            self.0.push("…".to_owned());
        }
    }

    /// The text. White space at the ends is dropped, as Discord does before it counts.
    pub(super) fn text(&self) -> String {
        self.0.concat().trim().to_owned()
    }
}

/// Length as Discord may count it.
pub(super) fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// One line without invisible characters, at most [`MAX_TEXT`] characters, never empty.
fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_TEXT));
    let mut count = 0;
    for c in text.chars() {
        let c = if c.is_whitespace() { ' ' } else { c };
        if c.is_control() || is_invisible(c) || (c == ' ' && (line.is_empty() || line.ends_with(' '))) {
            continue;
        }
        if count == MAX_TEXT {
            line.push('…');
            break;
        }
        line.push(c);
        count += 1;
    }
    let line = line.trim_end();
    if line.is_empty() { UNKNOWN.to_owned() } else { line.to_owned() }
}

/// Characters that hide or turn round what stands beside them. The joiner of emoji (U+200D) stays.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One token for each character of a cleaned text, with a backslash where Discord would read it as markup.
///
/// - `\ * ~ | < > [ ]` and the back quote always;
/// - `_` unless it stands between two ASCII letters or digits: emphasis cannot end before a letter or digit, and a doubled
///   one has a neighbour that is neither;
/// - `:` when followed by `/` (addresses become links) or when there are two (`:emoji:`);
/// - `#`, `-`, `+`, `(` and the dot of `1.` at the beginning only: headings, lists, the second half of a link;
/// - `@` of `@everyone` and `@here` gets an invisible neighbour; mentions of people begin with `<`.
fn escaped(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let colons = chars.iter().filter(|c| **c == ':').count();
    let word = |index: Option<usize>| index.and_then(|i| chars.get(i)).is_some_and(char::is_ascii_alphanumeric);
    let list_dot = chars.iter().position(|c| !c.is_ascii_digit()).filter(|at| *at > 0 && chars[*at] == '.');
    let mut tokens = Vec::with_capacity(chars.len());
    for (at, &c) in chars.iter().enumerate() {
        let acts = match c {
            '\\' | '*' | '~' | '|' | '<' | '>' | '[' | ']' | '`' => true,
            '_' => !(word(at.checked_sub(1)) && word(Some(at + 1))),
            ':' => colons > 1 || chars.get(at + 1) == Some(&'/'),
            '#' | '-' | '+' | '(' => at == 0,
            '.' => list_dot == Some(at),
            _ => false,
        };
        let mut token = String::new();
        if acts {
            token.push('\\');
        }
        token.push(c);
        if c == '@' && pings(&chars[at + 1..]) {
            token.push('\u{200b}');
        }
        tokens.push(token);
    }
    tokens
}

fn pings(rest: &[char]) -> bool {
    ["everyone", "here"].iter().any(|word| {
        word.len() <= rest.len() && word.chars().zip(rest).all(|(wanted, found)| wanted == found.to_ascii_lowercase())
    })
}

/// Most of a thread's title.
const MAX_TITLE: usize = 100;

/// A thread's title made of a text from outside. ASSUMPTION: Discord shows titles as they are, so a backslash would be seen;
/// what could be taken for a mention, an emoji or a date gets other brackets, and an `@` that would call everybody an
/// invisible neighbour.
pub(super) fn title(text: &str) -> String {
    let mut title = String::new();
    let clean: Vec<char> = clean(text).chars().collect();
    for (at, &c) in clean.iter().enumerate() {
        let c = match c {
            '<' => '‹',
            '>' => '›',
            other => other,
        };
        if units(&title) + c.len_utf16() > MAX_TITLE - 2 {
            title.push('…');
            break;
        }
        title.push(c);
        if c == '@' && pings(&clean[at + 1..]) {
            title.push('\u{200b}');
        }
    }
    title
}

/// Text for an address: everything but letters, digits and `-._~` percent-encoded.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_as_they_are_and_markup_does_not_act() {
        for (text, expected) in [
            ("user-1", "user-1"),
            ("pro_monthly_2", "pro_monthly_2"),
            ("sub:base-plan", "sub:base-plan"),
            ("me@example.com", "me@example.com"),
            ("$RCAnonymousID:5d2f", "$RCAnonymousID:5d2f"),
            ("Pro (monthly)", "Pro (monthly)"),
            ("_em_", "\\_em\\_"),
            ("a__b__c", "a\\_\\_b\\_\\_c"),
            ("é_b_", "é\\_b\\_"),
            ("**b** ~~s~~ ||x|| `c`", "\\*\\*b\\*\\* \\~\\~s\\~\\~ \\|\\|x\\|\\| \\`c\\`"),
            ("[a](https://evil.example)", "\\[a\\](https\\://evil.example)"),
            ("(https://evil.example)", "\\(https\\://evil.example)"),
            ("<@123> <#1> <t:1:R>", "\\<@123\\> \\<#1\\> \\<t\\:1\\:R\\>"),
            ("@everyone @HERE", "@\u{200b}everyone @\u{200b}HERE"),
            (":smile:", "\\:smile\\:"),
            ("# head", "\\# head"),
            ("- item", "\\- item"),
            ("12. item", "12\\. item"),
            ("1.5 l", "1\\.5 l"),
            ("\\*", "\\\\\\*"),
            ("a\nb\t c", "a b c"),
            ("\u{202e}evil\u{200b}", "evil"),
            (" \n\u{200b} ", "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(Rich::foreign(text).text(), expected, "{text:?}");
        }
    }

    #[test]
    fn cuts_keep_tokens_whole() {
        let mut text = Rich::own("ab");
        text.push(Rich::link("c*d", Some("https://x.example/")));
        assert_eq!(text.text(), "ab[c\\*d](https://x.example/)");
        let mut short = text.clone();
        short.cut(10);
        assert_eq!(short.text(), "ab…", "a link goes as a whole");
        let mut emoji = Rich::foreign("😀😀😀");
        emoji.cut(4);
        assert_eq!(emoji.text(), "😀…", "counted in UTF-16, cut between characters");
        assert_eq!(emoji.len(), 3);
        let mut escape = Rich::foreign("a***");
        escape.cut(4);
        assert_eq!(escape.text(), "a\\*…");
        let mut word = Rich::foreign("ab_cd");
        word.cut(4);
        assert_eq!(word.text(), "ab…", "an underscore at the end would be markup");
        let mut same = text.clone();
        same.cut(text.len());
        assert_eq!(same, text);
        assert!(Rich::foreign(&"x".repeat(5000)).len() <= MAX_TEXT + 1);
    }

    #[test]
    fn a_label_that_looks_like_an_address_is_no_link() {
        assert_eq!(Rich::link("https://evil.example", Some("https://x.example/")).text(), "https\\://evil.example");
        assert_eq!(Rich::link("a", None).text(), "a");
    }

    #[test]
    fn titles_call_nobody_and_fit() {
        for (text, expected) in [
            ("me@example.com", "me@example.com"),
            ("_under_ **stars**", "_under_ **stars**"),
            ("<@123> <:a:1>", "‹@123› ‹:a:1›"),
            ("@everyone", "@\u{200b}everyone"),
            (" \u{202e}a\nb\u{200b} ", "a b"),
            ("\u{200b}", "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(title(text), expected, "{text:?}");
        }
        for long in ["x".repeat(10_000), "😀".repeat(200), "@here".repeat(100), "<".repeat(300)] {
            let title = title(&long);
            assert!(units(&title) <= MAX_TITLE && title.ends_with('…'), "{title}");
        }
    }

    #[test]
    fn addresses_take_any_text() {
        assert_eq!(percent_encoded("a b/)é~"), "a%20b%2F%29%C3%A9~");
    }
}
