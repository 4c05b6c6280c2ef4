//! The live view of a demonstration: a block of lines that is redrawn in place. Plain ANSI, no library.
//!
//! [`frame`] is pure; [`Screen`] writes. Where stdout is no terminal, one line a second is written instead. `NO_COLOR` is
//! respected, and no line is wider than the terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// What is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picture {
    /// The first line, such as the hub's address.
    pub title: String,
    /// Lines below it, such as where to look.
    pub notes: Vec<String>,
    /// Notifications that the hub has accepted, by store.
    pub notifications: Vec<(String, u64)>,
    /// Events that it told.
    pub events: u64,
    /// What arrived and what did not arrive yet, by destination; empty where only sending is looked at.
    pub destinations: Vec<Arrivals>,
    /// Requests that had to be tried again.
    pub retried: u64,
    /// Half of them, and 99 of 100, within this many milliseconds: from notification to delivery, or to the answer where
    /// there are no destinations.
    pub latency_ms: Option<(f64, f64)>,
    /// The last messages, newest first.
    pub messages: Vec<String>,
}

/// One destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Its name.
    pub name: String,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Events that it has yet to be told, or to be told again.
    pub waiting: u64,
}

impl Picture {
    fn accepted(&self) -> u64 {
        self.notifications.iter().map(|(_, count)| count).sum()
    }

    fn delivered(&self) -> u64 {
        self.destinations.iter().map(|one| one.delivered).sum()
    }

    /// Over all destinations.
    fn waiting(&self) -> u64 {
        self.destinations.iter().map(|one| one.waiting).sum()
    }
}

/// Narrower than this is treated as this.
const MIN_WIDTH: usize = 20;
/// Messages shown.
const MAX_MESSAGES: usize = 8;
/// Redraws a second on a terminal.
const FRAMES: u32 = 5;

const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const PLAIN: &str = "\u{1b}[0m";

/// The block of lines, none wider than `width` columns.
#[must_use]
pub fn frame(picture: &Picture, elapsed: Duration, width: usize, color: bool) -> Vec<String> {
    let width = width.max(MIN_WIDTH);
    let paint = |style: &str, text: &str| {
        let text = cut(text, width);
        if color && !text.is_empty() { format!("{style}{text}{PLAIN}") } else { text }
    };
    let mut lines = vec![paint(BOLD, &picture.title)];
    lines.extend(picture.notes.iter().map(|note| paint(DIM, note)));
    let rate = per_second(picture.accepted(), elapsed);
    lines.push(String::new());
    let answered = if picture.destinations.is_empty() { latency(picture) } else { String::new() };
    lines.push(paint("", &format!("  notifications in {:>10}   {rate:.1}/s{answered}", grouped(picture.accepted()))));
    for (store, count) in &picture.notifications {
        lines.push(paint(DIM, &format!("    {store:<15}{:>10}", grouped(*count))));
    }
    lines.extend(outgoing(picture).into_iter().map(|(style, text)| paint(style, &text)));
    if picture.retried > 0 {
        lines.push(paint(YELLOW, &format!("  tried again      {:>10}", grouped(picture.retried))));
    }
    if !picture.messages.is_empty() {
        lines.push(String::new());
        lines.push(paint(DIM, "  Discord"));
        lines
            .extend(picture.messages.iter().take(MAX_MESSAGES).map(|text| paint("", &format!("  {}", readable(text)))));
    }
    lines
}

fn latency(picture: &Picture) -> String {
    picture.latency_ms.map(|(p50, p99)| format!("   p50 {p50:.1} ms  p99 {p99:.1} ms")).unwrap_or_default()
}

/// What the hub tells, and to whom; nothing where nobody looks at that.
fn outgoing(picture: &Picture) -> Vec<(&'static str, String)> {
    if picture.destinations.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![("", format!("  events           {:>10}", grouped(picture.events)))];
    let delivered = grouped(picture.delivered());
    lines.push((GREEN, format!("  delivered        {delivered:>10}{}", latency(picture))));
    for one in &picture.destinations {
        let waiting = if one.waiting > 0 { format!("   {} waiting", grouped(one.waiting)) } else { String::new() };
        lines.push((DIM, format!("    {:<15}{:>10}{waiting}", one.name, grouped(one.delivered))));
    }
    let style = if picture.waiting() > 0 { YELLOW } else { "" };
    lines.push((style, format!("  waiting          {:>10}", grouped(picture.waiting()))));
    lines
}

/// One line for logs and pipes.
#[must_use]
pub fn line(picture: &Picture, elapsed: Duration) -> String {
    let stores: String = picture.notifications.iter().map(|(store, count)| format!(" {store}={count}")).collect();
    let destinations: String =
        picture.destinations.iter().map(|one| format!(" {}={}", one.name, one.delivered)).collect();
    format!(
        "{:.0}s notifications={}{stores} events={} delivered={}{destinations} waiting={} retried={}",
        elapsed.as_secs_f64(),
        picture.accepted(),
        picture.events,
        picture.delivered(),
        picture.waiting(),
        picture.retried
    )
}

#[allow(clippy::cast_precision_loss, reason = "counts of a demonstration")]
fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(0.001)
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A message as a reader of Discord sees it: links show their label, escapes are gone, it stands on one line, and nothing
/// in it can steer the terminal.
#[must_use]
pub fn readable(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(one) = rest.chars().next() {
        let after = &rest[one.len_utf8()..];
        rest = match one {
            '\\' => {
                let escaped = after.chars().next().unwrap_or(' ');
                text.push(if escaped.is_control() { ' ' } else { escaped });
                after.get(escaped.len_utf8()..).unwrap_or_default()
            }
            '[' => match link(after) {
                Some((label, beyond)) => {
                    text.push_str(&readable(label));
                    beyond
                }
                None => {
                    text.push('[');
                    after
                }
            },
            '`' => after,
            '*' if after.starts_with('*') => &after[1..],
            one if one.is_control() => {
                text.push(' ');
                after
            }
            one => {
                text.push(one);
                after
            }
        };
    }
    text
}

/// `label](url)` and what follows it.
fn link(text: &str) -> Option<(&str, &str)> {
    let (label, rest) = text.split_once("](")?;
    let (_, beyond) = rest.split_once(')')?;
    (!label.contains('[')).then_some((label, beyond))
}

/// Cuts to a width in columns, with an ellipsis. Text of the wide scripts and emoji takes two columns.
fn cut(text: &str, width: usize) -> String {
    let columns = |one: char| if is_wide(one) { 2 } else { usize::from(!one.is_control()) };
    if text.chars().map(columns).sum::<usize>() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut kept = String::new();
    for one in text.chars() {
        let Some(rest) = left.checked_sub(columns(one)) else { break };
        left = rest;
        kept.push(one);
    }
    kept.push('…');
    kept
}

fn is_wide(one: char) -> bool {
    matches!(u32::from(one), 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1F64F | 0x1F680..=0x1F6FF | 0x1F900..=0x1F9FF | 0x20000..=0x3FFFD)
}

/// Where it is drawn.
pub struct Screen {
    /// The terminal's width; `None` where there is no terminal.
    terminal: bool,
    color: bool,
    drawn: usize,
}

impl Default for Screen {
    fn default() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen { terminal, color, drawn: 0 }
    }
}

impl Screen {
    /// Draws until `stop` is cancelled, and once more at the end. An error in writing ends the view, not the run.
    pub async fn show(mut self, stop: &CancellationToken, mut picture: impl FnMut() -> Picture) {
        let began = Instant::now();
        let mut ticks = interval(Duration::from_secs(1) / if self.terminal { FRAMES } else { 1 });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let last = tokio::select! {
                _ = ticks.tick() => false,
                () = stop.cancelled() => true,
            };
            if self.draw(&picture(), began.elapsed()).is_err() || last {
                return;
            }
        }
    }

    fn draw(&mut self, picture: &Picture, elapsed: Duration) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if !self.terminal {
            writeln!(out, "{}", line(picture, elapsed))?;
            return out.flush();
        }
        let lines = frame(picture, elapsed, width(), self.color);
        let mut text = String::new();
        // Back to the block's first line; each line is cleared to its end, and what was below it as well.
        if self.drawn > 0 {
            text.push_str(&format!("\u{1b}[{}A\r", self.drawn));
        }
        for line in &lines {
            text.push_str(line);
            text.push_str("\u{1b}[K\n");
        }
        text.push_str("\u{1b}[J");
        self.drawn = lines.len();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

fn width() -> usize {
    let told = rustix::termios::tcgetwinsize(std::io::stdout()).map(|size| usize::from(size.ws_col)).ok();
    told.filter(|&columns| columns > 0).unwrap_or(80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture {
            title: "paidup demo on http://127.0.0.1:8484".to_owned(),
            notes: vec!["dashboard: http://127.0.0.1:8484/".to_owned()],
            notifications: vec![("app_store".to_owned(), 1_000_000), ("stripe".to_owned(), 234_567)],
            events: 3_000,
            destinations: vec![
                Arrivals { name: "webhook".to_owned(), delivered: 2_000, waiting: 0 },
                Arrivals { name: "discord".to_owned(), delivered: 990, waiting: 10 },
            ],
            retried: 0,
            latency_ms: Some((2.34, 14.06)),
            messages: vec!["😺 Customer [ab\\_c](https://x/y) just started a subscription.".to_owned()],
        }
    }

    #[test]
    fn a_frame_shows_the_flow_and_the_messages() {
        let lines = frame(&picture(), Duration::from_secs(100), 80, false);
        let expected = [
            "paidup demo on http://127.0.0.1:8484",
            "dashboard: http://127.0.0.1:8484/",
            "",
            "  notifications in  1,234,567   12345.7/s",
            "    app_store       1,000,000",
            "    stripe            234,567",
            "  events                3,000",
            "  delivered             2,990   p50 2.3 ms  p99 14.1 ms",
            "    webhook             2,000",
            "    discord               990   10 waiting",
            "  waiting                  10",
            "",
            "  Discord",
            "  😺 Customer ab_c just started a subscription.",
        ];
        assert_eq!(lines, expected);
        assert_eq!(
            line(&picture(), Duration::from_secs(100)),
            "100s notifications=1234567 app_store=1000000 stripe=234567 events=3000 delivered=2990 webhook=2000 discord=990 \
             waiting=10 retried=0"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_colour_is_optional() {
        for width in [0, 20, 30, 47] {
            for line in frame(&picture(), Duration::from_secs(1), width, false) {
                let columns: usize = line.chars().map(|one| if is_wide(one) { 2 } else { 1 }).sum();
                assert!(columns <= width.max(MIN_WIDTH), "{width}: {line:?}");
                assert!(!line.contains('\u{1b}'));
            }
        }
        assert!(frame(&picture(), Duration::from_secs(1), 80, true)[0].starts_with(BOLD));
    }

    #[test]
    fn messages_are_shown_as_discord_shows_them() {
        let table = [
            ("plain", "plain"),
            ("[label](https://x)", "label"),
            ("a [b](c) d [e](f)", "a b d e"),
            ("[no link", "[no link"),
            ("1\\. \\*not bold\\*", "1. *not bold*"),
            ("**bold** `code`", "bold code"),
            ("two\nlines", "two lines"),
            ("\u{1b}[2Jattack", " [2Jattack"),
            ("\\\u{1b}[2J", " [2J"),
            ("end\\", "end "),
        ];
        for (message, expected) in table {
            assert_eq!(readable(message), expected, "{message:?}");
        }
    }
}
