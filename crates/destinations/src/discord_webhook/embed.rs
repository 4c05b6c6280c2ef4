//! An embed within Discord's limits: lengths are counted in UTF-16, too long ones are shortened in a fixed order, so that a
//! long product name never turns into a refused message.
//!
//! <https://discord.com/developers/docs/resources/message#embed-object-embed-limits>

use super::markdown::{Rich, units};
use serde_json::{Value, json};

/// Discord's limits (discord-delivery.md section 3).
pub(super) const MAX_DESCRIPTION: usize = 4096;
const MAX_FIELD_VALUE: usize = 1024;
/// Sum over all embeds of a message.
pub(super) const MAX_TOTAL: usize = 6000;
/// Embeds of a message.
pub(super) const MAX_EMBEDS: usize = 10;
/// A field value is not cut below this while other parts can give way.
const FIELD_FLOOR: usize = 24;

/// An embed under construction.
#[derive(Debug, Clone)]
pub(super) struct Embed {
    pub(super) title: Option<String>,
    pub(super) url: Option<String>,
    pub(super) description: Rich,
    pub(super) colour: u32,
    pub(super) fields: Vec<Field>,
    pub(super) footer: Option<String>,
    pub(super) timestamp: String,
}

/// A field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    name: &'static str,
    value: Rich,
    inline: bool,
}

impl Field {
    /// One that stands beside others.
    pub(super) fn new(name: &'static str, value: Rich) -> Field {
        Field { name, value, inline: true }
    }

    /// One that stands alone.
    pub(super) fn wide(name: &'static str, value: Rich) -> Field {
        Field { name, value, inline: false }
    }
}

impl Embed {
    /// What counts towards [`MAX_TOTAL`].
    pub(super) fn size(&self) -> usize {
        let fields: usize = self.fields.iter().map(|field| units(field.name) + field.value.len()).sum();
        let title = self.title.as_deref().map_or(0, units);
        let footer = self.footer.as_deref().map_or(0, units);
        title + self.description.len() + fields + footer
    }

    /// Shortens to `max` in a fixed order: the longest field value first, down to a floor; then the description; then
    /// the last fields go.
    pub(super) fn fit(&mut self, max: usize) {
        self.description.cut(MAX_DESCRIPTION);
        for field in &mut self.fields {
            field.value.cut(MAX_FIELD_VALUE);
        }
        while self.size() > max {
            let excess = self.size() - max;
            let longest = self.fields.iter_mut().max_by_key(|field| field.value.len());
            match longest.filter(|field| field.value.len() > FIELD_FLOOR) {
                Some(field) => {
                    let before = field.value.len();
                    field.value.cut(before.saturating_sub(excess).max(FIELD_FLOOR));
                }
                None if self.description.len() > FIELD_FLOOR => {
                    let before = self.description.len();
                    self.description.cut(before.saturating_sub(excess).max(FIELD_FLOOR));
                }
                None => {
                    if self.fields.pop().is_none() {
                        return;
                    }
                }
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let field = |field: &Field| json!({ "name": field.name, "value": field.value.text(), "inline": field.inline });
        let mut embed = json!({
            "description": self.description.text(),
            "color": self.colour,
            "timestamp": self.timestamp,
        });
        if !self.fields.is_empty() {
            embed["fields"] = self.fields.iter().map(field).collect();
        }
        if let Some(title) = &self.title {
            embed["title"] = json!(title);
        }
        if let Some(url) = &self.url {
            embed["url"] = json!(url);
        }
        if let Some(footer) = &self.footer {
            embed["footer"] = json!({ "text": footer });
        }
        embed
    }
}
