//! Several events in one message, when more happens than a channel may be told one by one (about 30 messages a minute).
//!
//! Up to ten embeds; then one line for each; then a digest with exact totals. Nothing is dropped: every notice that came
//! in stands in the message or in a total. All of it is one call, so that the events share one verdict and a retry
//! repeats all or nothing.

use super::Style;
use super::embed::{Embed, MAX_DESCRIPTION, MAX_EMBEDS, MAX_TOTAL};
use super::markdown::{Rich, units};
use super::message::{Look, Notice, amount};
use super::texts::{Tone, Topic};
use paidup_lifecycle::event::Event;
use paidup_lifecycle::money::{Currency, Money};
use paidup_lifecycle::observation::Environment;
use std::collections::BTreeMap;

/// Most events that one delivery may carry. At 30 messages a minute this drains 15,000 events a minute.
pub(super) const MAX_EVENTS: usize = 500;
/// From so many notices on (with what still waits behind them) a list would scroll by unread: totals say more.
const DIGEST_FROM: u64 = 60;
/// Discord's bound for a text without embeds.
pub(super) const MAX_CONTENT: usize = 2_000;
/// Room for the first line of a digest.
const HEADLINE: usize = 60;
/// Currencies that a digest line names; further ones are counted.
const MAX_CURRENCIES: usize = 6;

/// What one message consists of.
pub(super) enum Parts {
    /// Embeds.
    Embeds(Vec<Embed>),
    /// A text alone.
    Content(String),
}

/// One message that tells all `notices`.
pub(super) fn parts(look: &Look, notices: &[Notice<'_>], events: usize, waiting: u64) -> Parts {
    match look.style {
        Style::Default | Style::RevenuecatEmbed => Parts::Embeds(embeds(look, notices, events, waiting)),
        Style::Text => Parts::Content(content(look, notices, events, waiting)),
    }
}

/// A line for each, or a digest with exact totals where these do not fit.
fn content(look: &Look, notices: &[Notice<'_>], events: usize, waiting: u64) -> String {
    let crowd = waiting.saturating_add(notices.len() as u64);
    if notices.len() <= MAX_EMBEDS || crowd < DIGEST_FROM {
        let mut lines = lines(look, notices);
        if notices.len() == 1 {
            lines.cut(MAX_CONTENT);
        }
        if lines.len() <= MAX_CONTENT {
            return lines.text();
        }
    }
    let digest = digest(look, notices, events, MAX_CONTENT - HEADLINE);
    format!("**{}**\n{}", digest.title.unwrap_or_default(), digest.description.text())
}

fn embeds(look: &Look, notices: &[Notice<'_>], events: usize, waiting: u64) -> Vec<Embed> {
    if notices.len() <= MAX_EMBEDS {
        return each(look, notices);
    }
    let crowd = waiting.saturating_add(notices.len() as u64);
    if crowd < DIGEST_FROM
        && let Some(list) = list(look, notices)
    {
        return vec![list];
    }
    vec![digest(look, notices, events, MAX_DESCRIPTION)]
}

/// An embed for each; together within the limit of a message.
fn each(look: &Look, notices: &[Notice<'_>]) -> Vec<Embed> {
    let mut embeds: Vec<Embed> = notices.iter().map(|notice| look.embed(notice)).collect();
    // Discord shows embeds with one address as one: a replayed event may stand beside itself.
    for (number, url) in embeds.iter_mut().filter_map(|embed| embed.url.as_mut()).enumerate() {
        url.push_str(&format!("-{number}"));
    }
    let total: usize = embeds.iter().map(Embed::size).sum();
    if total > MAX_TOTAL {
        let share = MAX_TOTAL / embeds.len();
        for embed in &mut embeds {
            embed.fit(share);
        }
    }
    embeds
}

/// A line for each.
fn lines(look: &Look, notices: &[Notice<'_>]) -> Rich {
    let mut lines = Rich::default();
    for notice in notices {
        lines.push(line(look, notice));
        lines.push(Rich::own("\n"));
    }
    lines
}

/// A notice in one line.
pub(super) fn line(look: &Look, notice: &Notice<'_>) -> Rich {
    let badge = if is_sandbox(notice.event) { "[Sandbox] " } else { "" };
    let mut line = Rich::own(&format!("{} {badge}", notice.words.emoji));
    line.push(look.text(notice));
    if let Some(money) = look.counted(notice) {
        line.push(Rich::own(&format!(" · {}", amount(money))));
    }
    line
}

/// A line for each in an embed; `None` when they do not fit as they are.
fn list(look: &Look, notices: &[Notice<'_>]) -> Option<Embed> {
    let description = lines(look, notices);
    if description.len() > MAX_DESCRIPTION {
        return None;
    }
    Some(Embed {
        title: Some(format!("{} messages", notices.len())),
        url: None,
        description,
        colour: Tone::Neutral.colour(),
        fields: Vec::new(),
        footer: None,
        timestamp: last(notices),
    })
}

/// What a digest knows of one kind of message.
#[derive(Default)]
struct Total {
    count: u64,
    /// Minor units; 128 bits, because sums of hostile amounts must not overflow.
    money: BTreeMap<Currency, i128>,
}

fn digest(look: &Look, notices: &[Notice<'_>], events: usize, room: usize) -> Embed {
    let mut totals: BTreeMap<(bool, Topic), Total> = BTreeMap::new();
    for notice in notices {
        let total = totals.entry((is_sandbox(notice.event), notice.topic)).or_default();
        total.count += 1;
        if let Some(money) = look.counted(notice) {
            *total.money.entry(money.currency).or_default() += i128::from(money.amount_minor);
        }
    }
    let mut text = String::new();
    for ((sandbox, topic), total) in &totals {
        let words = super::texts::words(*topic);
        let badge = if *sandbox { " (sandbox)" } else { "" };
        text.push_str(&format!("{} **{}**{badge}: {}{}\n", words.emoji, words.title, total.count, sums(total)));
    }
    let first = notices.iter().map(|notice| notice.event.occurred_at).min();
    let latest = notices.iter().map(|notice| notice.event.occurred_at).max();
    if let (Some(first), Some(latest)) = (first, latest) {
        text.push_str(&format!("\n<t:{}:f> to <t:{}:f>", first.as_seconds(), latest.as_seconds()));
    }
    // Sums in many currencies can make it too long: then the counts stay and the sums go.
    let text = if units(&text) > room { counts_only(&totals) } else { text };
    Embed {
        title: Some(format!("{} messages about {events} events", notices.len())),
        url: None,
        description: Rich::own(&text),
        colour: Tone::Neutral.colour(),
        fields: Vec::new(),
        footer: Some("More happened than this channel may be told one by one".to_owned()),
        timestamp: last(notices),
    }
}

/// A line for each topic, short enough for all topics at once (a test holds it to that).
fn counts_only(totals: &BTreeMap<(bool, Topic), Total>) -> String {
    let mut counts: BTreeMap<Topic, (u64, u64)> = BTreeMap::new();
    for ((sandbox, topic), total) in totals {
        let (production, tests) = counts.entry(*topic).or_default();
        *(if *sandbox { tests } else { production }) += total.count;
    }
    let mut text = String::new();
    for (topic, (production, tests)) in counts {
        let tests = if tests > 0 { format!(" + {tests} sandbox") } else { String::new() };
        text.push_str(&format!("{}: {production}{tests}\n", super::texts::words(topic).title));
    }
    text
}

fn sums(total: &Total) -> String {
    let mut largest: Vec<(&Currency, &i128)> = total.money.iter().collect();
    largest.sort_by_key(|(currency, sum)| (std::cmp::Reverse(sum.unsigned_abs()), **currency));
    let mut text = String::new();
    for (currency, sum) in largest.iter().take(MAX_CURRENCIES) {
        // Beyond 64 bits it is no money of this world; the bound is shown.
        let amount_minor = i64::try_from(**sum).unwrap_or(if **sum < 0 { i64::MIN } else { i64::MAX });
        text.push_str(&format!(" · {}", amount(Money { amount_minor, currency: **currency })));
    }
    if largest.len() > MAX_CURRENCIES {
        text.push_str(&format!(" · and {} more currencies", largest.len() - MAX_CURRENCIES));
    }
    text
}

fn is_sandbox(event: &Event) -> bool {
    event.environment == Environment::Sandbox
}

fn last(notices: &[Notice<'_>]) -> String {
    let at = notices.iter().map(|notice| notice.event.occurred_at).max().unwrap_or_default();
    at.to_rfc3339_seconds()
}
