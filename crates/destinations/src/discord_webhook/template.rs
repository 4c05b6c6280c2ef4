//! The operator's own texts: `{{variable}}` and nothing else. A blank text is the default text.
//!
//! Faults are found when the destination is saved and name the place. What the operator writes is Discord markup and
//! stays; what variables bring in is escaped.

use super::markdown::Rich;
use crate::settings::unknown;
use paidup_lifecycle::closed_set;

/// Discord's bound for a description is 4096; half of it leaves room for what the variables bring.
pub(super) const MAX_TEMPLATE: usize = 2000;

closed_set! {
    /// What a text may ask for.
    pub enum Variable {
        /// The customer as messages show it: the newest id of the app, or a short one (`privacy`).
        UserId = "user_id",
        /// The same, percent-encoded, for addresses.
        UserIdEncoded = "user_id_encoded",
        /// Our id of the customer.
        CustomerId = "customer_id",
        /// The customer with a link to the dashboard.
        CustomerLink = "customer_link",
        /// The store's product id; on a product change the old one.
        ProductId = "product_id",
        /// The product's name, else its id.
        ProductName = "product_name",
        /// On a product change: the product before.
        OldProductId = "old_product_id",
        /// On a product change: the product after.
        NewProductId = "new_product_id",
        /// Money as `revenue` says, e.g. `$5.99`; `-` when there is none.
        Revenue = "revenue",
        /// ISO 4217; `-` when there is no money.
        Currency = "currency",
        /// The store's name.
        Store = "store",
        /// `PRODUCTION` or `SANDBOX`.
        Environment = "environment",
        /// The message's title, e.g. `Initial Purchase`.
        Event = "event",
        /// Why, in words; `-` when nobody said.
        Reason = "reason",
        /// What the customer may use now, separated by commas; `-` for nothing.
        Entitlements = "entitlements",
        /// `trial`, `intro`, `promo`, `normal`, `prepaid` or `promotional`; `-` when unknown.
        PeriodType = "period_type",
        /// The end of the period as a date in the reader's zone; `-` when there is none.
        ExpiresAt = "expires_at",
        /// When it happened, in the reader's zone.
        OccurredAt = "occurred_at",
        /// ISO 3166 alpha-2; `-` when unknown.
        Country = "country",
        /// Periods known so far.
        RenewalNumber = "renewal_number",
    }
}

/// A text, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable),
}

impl Template {
    /// Reads a text. The error says what is wrong and where (characters from 1).
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        if super::markdown::units(text) > MAX_TEMPLATE {
            return Err(format!("longer than {MAX_TEMPLATE} characters"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            let place = text[..text.len() - rest.len() + open].chars().count() + 1;
            let before = &rest[..open];
            if (before.len() - before.trim_end_matches('\\').len()) % 2 == 1 {
                // It would undo the backslash with which the value begins, and let customers write markup.
                return Err(format!("at character {place}: no backslash may stand before a variable"));
            }
            let inner = &rest[open + 2..];
            let close = inner.find("}}").ok_or_else(|| format!("at character {place}: `{{{{` without `}}}}`"))?;
            let name = inner[..close].trim();
            let variable = name.parse().map_err(|_| {
                let known: Vec<&str> = Variable::ALL.iter().map(|variable| variable.as_str()).collect();
                format!("at character {place}: {}", unknown("variable", name, &known))
            })?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Variable(variable));
            rest = &inner[close + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template(parts))
    }

    /// The text with the values that `value` gives.
    pub(super) fn render(&self, value: impl Fn(Variable) -> Rich) -> Rich {
        let mut rich = Rich::default();
        for part in &self.0 {
            match part {
                Part::Text(text) => rich.push(Rich::own(text)),
                Part::Variable(variable) => rich.push(value(*variable)),
            }
        }
        rich
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_faults_have_a_place() {
        let value = |variable: Variable| Rich::foreign(&format!("<{variable}>"));
        for (text, expected) in [
            ("plain", "plain"),
            ("a {{user_id}} b {{ product_id }}", "a \\<user_id\\> b \\<product_id\\>"),
            ("{ {user_id} }", "{ {user_id} }"),
            ("**{{event}}**", "**\\<event\\>**"),
            ("\\\\{{event}}", "\\\\\\<event\\>"),
        ] {
            assert_eq!(Template::parse(text).unwrap().render(value).text(), expected, "{text}");
        }
        for (text, expected) in [
            ("é {{user}}", "at character 3: unknown variable `user`; did you mean `user_id`?"),
            ("{{}}", "at character 1: unknown variable ``; known: user_id,"),
            ("ab {{user_id", "at character 4: `{{` without `}}`"),
            ("\\{{user_id}}", "at character 2: no backslash"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        assert!(Template::parse(&"x".repeat(MAX_TEMPLATE + 1)).is_err());
    }
}
