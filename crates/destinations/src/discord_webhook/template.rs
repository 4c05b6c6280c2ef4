//! The operator's own texts: variables, filters and conditions in MiniJinja's language, without anything that reads more
//! than one notice. A blank text is the default text.
//!
//! Faults are found when the destination is saved and name line and column. What the operator writes is Discord markup and
//! stays; what variables bring in is escaped, whatever filters made of it. How that is told apart: whatever is printed
//! from outside stands between two characters ([`OPEN`], [`CLOSE`]) that no text may hold, until the output is read back.
//! Texts are bounded in length, in steps and in what they print.

use super::markdown::Rich;
use crate::settings::unknown;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, filters};
use paidup_lifecycle::closed_set;
use paidup_lifecycle::money::{Currency, Money};
use paidup_lifecycle::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Steps that a text may take. The longest text without a loop takes a few hundred.
const FUEL: u64 = 20_000;
/// The most that a text may print, in bytes, before it is cut to what Discord takes.
const MAX_PRINTED: usize = 32 * 1024;
/// Before what comes from outside: a noncharacter of Unicode, which no text may hold.
const OPEN: char = '\u{fdd0}';
/// After it.
const CLOSE: char = '\u{fdd1}';
/// What stands for something that is not there.
const NOTHING: &str = "-";

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
        /// Periods known so far, as a number.
        RenewalNumber = "renewal_number",
        /// The store's name in the API, e.g. `APP_STORE`: for conditions.
        StoreId = "store_id",
        /// The source's id (an app is a source): for conditions.
        SourceId = "source_id",
        /// Money in minor units (cents) as `revenue` says, as a number; negative for refunds. For conditions, and for `money`.
        AmountMinor = "amount_minor",
        /// On operator alerts: whom and what they are about, in words.
        Alert = "alert",
    }
}

/// What stands for a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// Not there: printed as `-`, false in a condition.
    Nothing,
    /// Our own word, printed as it stands.
    Own(String),
    /// From outside: escaped.
    Foreign(String),
    /// Made for Discord already (a link): printed as it stands, whole.
    Made(Rich),
    /// A moment, printed in the reader's zone. `D` day, `f` day and time; the filter `date` chooses another style.
    Moment(Timestamp, char),
    /// A number.
    Number(i64),
}

/// A text, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(String);

impl Template {
    /// Reads a text. The error says what is wrong and where.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        if super::markdown::units(text) > MAX_TEMPLATE {
            return Err(format!("longer than {MAX_TEMPLATE} characters"));
        }
        if let Some(at) = text.find([OPEN, CLOSE]) {
            return Err(format!("{}: a character that Unicode reserves", place(text, at)));
        }
        let environment = environment(BTreeSet::new());
        let template = environment.template_from_str(text).map_err(|error| fault(text, &error))?;
        let mut names: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        names.sort();
        for name in names {
            if name.parse::<Variable>().is_err() {
                let known: Vec<&str> = Variable::ALL.iter().map(|variable| variable.as_str()).collect();
                return Err(format!("{}: {}", place(text, used_at(text, &name)), unknown("variable", &name, &known)));
            }
        }
        let template = Template(text.to_owned());
        // Values of every kind, and none at all: what fails with them fails in the middle of the night too.
        for rehearsal in [present, absent] {
            template.print(rehearsal).map_err(|error| fault(text, &error))?;
        }
        Ok(template)
    }

    /// The text with the values that `value` gives; `None` when it cannot be printed with them.
    pub(super) fn render(&self, value: impl Fn(Variable) -> Shown) -> Option<Rich> {
        self.print(value).ok()
    }

    fn print(&self, value: impl Fn(Variable) -> Shown) -> Result<Rich, Error> {
        let (mut context, mut own, mut made) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        for variable in Variable::ALL {
            let name = variable.as_str();
            let shown = match value(*variable) {
                Shown::Nothing => Value::from(()),
                Shown::Number(number) => Value::from(number),
                Shown::Foreign(text) => Value::from(without_marks(&text)),
                Shown::Moment(at, style) => Value::from(moment(at.as_seconds(), &style.to_string())),
                Shown::Own(text) => {
                    let text = without_marks(&text);
                    own.insert(text.clone());
                    Value::from(text)
                }
                Shown::Made(rich) => {
                    made.insert(name, rich);
                    Value::from(format!("{OPEN}made:{name}{CLOSE}"))
                }
            };
            context.insert(name, shown);
        }
        let environment = environment(own);
        let mut printed = Bounded::default();
        let template = environment.template_from_str(&self.0)?;
        template.render_captured_to(context, &mut printed)?;
        let printed = String::from_utf8(printed.0).unwrap_or_default();
        Ok(read_back(&printed, &made))
    }
}

/// The language: its syntax, few filters, no functions, no other templates.
fn environment(own: BTreeSet<String>) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_filter("default", default_to);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("title", filters::title);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("length", filters::length);
    environment.add_filter("abs", absolute);
    environment.add_filter("round", filters::round);
    environment.add_filter("money", money);
    environment.add_filter("date", date);
    environment.add_filter("flag", flag);
    environment.set_formatter(move |out, _, value| {
        let text = match value.kind() {
            ValueKind::None | ValueKind::Undefined => return Ok(out.write_str(NOTHING)?),
            ValueKind::Number | ValueKind::Bool => return Ok(out.write_str(&value.to_string())?),
            _ => value.to_string(),
        };
        if own.contains(&text) {
            return Ok(out.write_str(&text)?);
        }
        // What filters and `~` made of several values: only what stands between marks is ours.
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (before, marked) = rest.split_at(rest.find(OPEN).unwrap_or(rest.len()));
            if !before.is_empty() {
                out.write_str(&format!("{OPEN}from:{}{CLOSE}", without_marks(before)))?;
            }
            let end = marked.find(CLOSE).map_or(marked.len(), |at| at + CLOSE.len_utf8());
            out.write_str(&marked[..end])?;
            rest = &marked[end..];
        }
        Ok(())
    });
    environment
}

/// What is printed, as tokens.
fn read_back(printed: &str, made: &BTreeMap<&str, Rich>) -> Rich {
    let mut rich = Rich::default();
    let mut rest = printed;
    while !rest.is_empty() {
        let (own, marked) = rest.split_at(rest.find(OPEN).unwrap_or(rest.len()));
        rich.push(Rich::own(own));
        let Some(inner) = marked.strip_prefix(OPEN) else { break };
        if (own.len() - own.trim_end_matches('\\').len()) % 2 == 1 {
            // It would undo the backslash with which the value begins, and let customers write markup.
            rich.push(Rich::own("\\"));
        }
        let (inner, after) = inner.split_once(CLOSE).unwrap_or((inner, ""));
        rich.push(match inner.split_once(':') {
            Some(("from", text)) => Rich::foreign(text),
            Some(("made", name)) => made.get(name).cloned().unwrap_or_default(),
            Some(("moment", at)) => Rich::whole(format!("<t:{at}>")),
            Some(_) | None => Rich::foreign(inner),
        });
        rest = after;
    }
    rich
}

fn without_marks(text: &str) -> String {
    text.replace([OPEN, CLOSE], "")
}

fn moment(seconds: i64, style: &str) -> String {
    format!("{OPEN}moment:{seconds}:{style}{CLOSE}")
}

// Filters.

fn wrong(detail: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}

/// `{{ country|default("nowhere") }}`: instead of what is not there.
fn default_to(value: Value, instead: Value) -> Value {
    if value.is_none() || value.is_undefined() { instead } else { value }
}

/// `{{ amount_minor|abs }}`: without its sign.
fn absolute(value: Value) -> Result<Value, Error> {
    if value.is_none() { Ok(value) } else { filters::abs(value) }
}

/// `{{ expires_at|date("R") }}`: another style of Discord's timestamps.
fn date(value: Value, style: String) -> Result<Value, Error> {
    if value.is_none() {
        return Ok(value);
    }
    if !["t", "T", "d", "D", "f", "F", "R"].contains(&style.as_str()) {
        return Err(wrong(format!("`date` takes one of t T d D f F R, not `{style}`")));
    }
    let text = value.to_string();
    let seconds = text.strip_prefix(OPEN).and_then(|text| text.strip_prefix("moment:"));
    let seconds = seconds.and_then(|text| text.split(':').next()?.parse().ok());
    let seconds = seconds.ok_or_else(|| wrong("`date` is for `expires_at` and `occurred_at`".to_owned()))?;
    Ok(Value::from(moment(seconds, &style)))
}

/// `{{ amount_minor|money(currency) }}`: minor units as an amount.
fn money(value: Value, currency: Value) -> Result<Value, Error> {
    if value.is_none() || currency.is_none() {
        return Ok(Value::from(()));
    }
    let code: Currency =
        currency.to_string().parse().map_err(|_| wrong("`money` takes a currency, e.g. `currency`".to_owned()))?;
    let minor = i64::try_from(value).map_err(|_| wrong("`money` is for whole numbers of minor units".to_owned()))?;
    Ok(Value::from(super::message::amount(Money { amount_minor: minor, currency: code })))
}

/// `{{ country|flag }}`: a country's flag.
fn flag(value: Value) -> Value {
    let code = value.to_string();
    if value.is_none() || code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Value::from(());
    }
    let indicator = |byte: u8| char::from_u32(0x1_f1e6 + u32::from(byte - b'A'));
    Value::from(code.bytes().filter_map(indicator).collect::<String>())
}

/// Output that ends with an error when it grows too long.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_PRINTED {
            return Err(std::io::Error::other(format!("it prints more than {MAX_PRINTED} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// Faults.

/// What is wrong and where.
fn fault(text: &str, error: &Error) -> String {
    let at = error.range().map(|range| range.start);
    let place = match (at, error.line()) {
        (Some(at), _) => place(text, at),
        (None, Some(line)) => format!("line {line}"),
        (None, None) => "line 1".to_owned(),
    };
    let why = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it takes too many steps: make its loop shorter".to_owned(),
        (ErrorKind::WriteFailure, _) => format!("it prints more than {MAX_PRINTED} bytes"),
        (kind, None) => kind.to_string(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
    };
    format!("{place}: {}", why.chars().take(300).collect::<String>())
}

/// Line and column of a byte, from 1, in characters.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}")
}

/// Where a name is used for the first time: as a word of its own behind a brace.
fn used_at(text: &str, name: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |(at, _): &(usize, &str)| {
        let (before, after) = (&text[..*at], &text[at + name.len()..]);
        before.contains('{') && !before.ends_with(is_word) && !after.starts_with(is_word)
    };
    text.match_indices(name).find(whole).map_or(0, |(at, _)| at)
}

// Rehearsals.

fn present(variable: Variable) -> Shown {
    match variable {
        Variable::ExpiresAt | Variable::OccurredAt => Shown::Moment(Timestamp::default(), 'D'),
        Variable::RenewalNumber => Shown::Number(2),
        Variable::AmountMinor => Shown::Number(999),
        Variable::Currency => Shown::Own("USD".to_owned()),
        Variable::Country => Shown::Own("US".to_owned()),
        _ => Shown::Foreign(variable.as_str().to_owned()),
    }
}

fn absent(variable: Variable) -> Shown {
    match variable {
        Variable::Revenue
        | Variable::Currency
        | Variable::Reason
        | Variable::Entitlements
        | Variable::PeriodType
        | Variable::ExpiresAt
        | Variable::Country
        | Variable::AmountMinor => Shown::Nothing,
        _ => present(variable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(variable: Variable) -> Shown {
        match variable {
            Variable::Store => Shown::Own("App Store".to_owned()),
            Variable::StoreId => Shown::Own("APP_STORE".to_owned()),
            Variable::CustomerLink => Shown::Made(Rich::whole("[a](https://hub.example)".to_owned())),
            Variable::ExpiresAt => Shown::Moment(Timestamp::from_millis_clamped(1_769_904_000_000), 'D'),
            Variable::Country => Shown::Foreign("DE".to_owned()),
            Variable::Currency => Shown::Own("EUR".to_owned()),
            Variable::AmountMinor => Shown::Number(-1_299),
            Variable::RenewalNumber => Shown::Number(3),
            Variable::Reason => Shown::Nothing,
            _ => Shown::Foreign(format!("<{variable}>")),
        }
    }

    fn printed(text: &str) -> String {
        let template = Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        template.render(value).unwrap_or_else(|| panic!("{text}: cannot be printed")).text()
    }

    #[test]
    fn texts_are_printed() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a {{user_id}} b {{ product_id }}", "a \\<user_id\\> b \\<product_id\\>"),
            ("{ {user_id} }", "{ {user_id} }"),
            ("**{{event}}**", "**\\<event\\>**"),
            ("{{ store }} {{ customer_link }}", "App Store [a](https://hub.example)"),
            ("{{ expires_at }} {{ expires_at|date('R') }}", "<t:1769904000:D> <t:1769904000:R>"),
            ("{{ country|flag }} {{ reason|flag }}", "🇩🇪 -"),
            ("{{ amount_minor|money(currency) }} {{ amount_minor|abs|money('USD') }}", "\\-12.99 EUR $12.99"),
            ("{{ reason }} {{ reason|default('no reason') }}", "- no reason"),
            ("{% if store_id == 'APP_STORE' %}Apple{% else %}other{% endif %}", "Apple"),
            ("{% if reason %}why{% elif renewal_number > 2 %}loyal{% endif %}", "loyal"),
            ("{% if amount_minor < 0 %}back{% endif %}", "back"),
            ("{{ store|upper }}", "APP STORE"),
            ("{% for x in [1, 2] %}{{ x }}.{% endfor %}", "1.2."),
            ("{# not shown #}shown", "shown"),
            ("a\nb", "a\nb"),
        ] {
            assert_eq!(printed(text), expected, "{text}");
        }
    }

    /// Whatever is done with it, what comes from outside never becomes markup.
    #[test]
    fn what_comes_from_outside_is_escaped_whatever_filters_made_of_it() {
        let hostile = "**x** <@1> @everyone [l](https://evil.example) `c` \u{fdd0}made:customer_link\u{fdd1}";
        let safe = Rich::foreign(&hostile.replace(['\u{fdd0}', '\u{fdd1}'], "")).text();
        for text in [
            "{{ user_id }}",
            "{{ user_id|replace('', '') }}",
            "{% set kept = user_id %}{{ kept }}",
            "{% set kept %}{{ user_id }}{% endset %}{{ kept }}",
            "{{ user_id|default('x') }}",
        ] {
            let template = Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let shown = template.render(|variable| match variable {
                Variable::UserId => Shown::Foreign(hostile.to_owned()),
                other => value(other),
            });
            assert_eq!(shown.unwrap().text(), safe, "{text}");
        }
        for text in
            ["{{ store ~ user_id }}", "{{ expires_at ~ user_id }}", "{{ user_id ~ customer_link }}", "{{ [user_id] }}"]
        {
            let template = Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let shown = template.render(|variable| match variable {
                Variable::UserId => Shown::Foreign("*<@1>*".to_owned()),
                other => value(other),
            });
            let shown = shown.unwrap().text();
            assert!(shown.contains("\\<@1\\>") && !shown.contains("*<@1>"), "{text}: {shown}");
        }
        // A backslash of the operator's must not undo the one of the value.
        assert_eq!(printed("\\{{user_id}}"), "\\\\\\<user_id\\>");
        assert_eq!(printed("\\\\{{user_id}}"), "\\\\\\<user_id\\>");
    }

    #[test]
    fn faults_have_a_line_and_a_column() {
        for (text, expected) in [
            ("é {{user}}", "line 1, column 5: unknown variable `user`; did you mean `user_id`?"),
            ("a\nb {% if stor %}{% endif %}", "line 2, column 9: unknown variable `stor`; did you mean `store`?"),
            ("ab {{user_id", "line 1, column"),
            ("{% if store %}", "line 1"),
            ("a\n{{ user_id|shout }}", "line 2, column"),
            ("{{ user_id|date('R') }}", "line 1, column"),
            ("{{ expires_at|date('x') }}", "line 1, column"),
            ("{{ range(5) }}", "line 1, column 4: unknown variable `range`"),
            ("{% include 'other' %}", "line 1"),
            ("{{ amount_minor / 0 }}", "line 1"),
            ("{{ user_id.secret.deeper }}", "line 1"),
            ("\u{fdd0}", "line 1, column 1"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        assert!(Template::parse(&"x".repeat(MAX_TEMPLATE + 1)).is_err());
    }

    /// They loop, they explode: it ends soon, with the reason.
    #[test]
    fn texts_are_bounded() {
        let tens = "[1,2,3,4,5,6,7,8,9,0]";
        let deep: String = (0..8).map(|level| format!("{{% for x{level} in {tens} %}}")).collect();
        let deep = format!("{deep}x{}", "{% endfor %}".repeat(8));
        let wide = format!(
            "{{% for a in {tens} %}}{{% for b in {tens} %}}{{% for c in {tens} %}}{}{{% endfor %}}{{% endfor %}}{{% endfor %}}",
            "y".repeat(500)
        );
        // Bytes count as steps too, so what grows by doubling ends as soon as what loops.
        let doubled = format!("{{% set a = 'xxxxxxxx' %}}{}{{{{ a|length }}}}", "{% set a = a ~ a %}".repeat(60));
        let captured = format!("{{% set a %}}x{{% endset %}}{}", "{% set a %}{{ a }}{{ a }}{% endset %}".repeat(50));
        let replaced = format!("{{{{ user_id{} }}}}", "|replace('', 'xxxxxxxxxx')".repeat(40));
        let steps = "too many steps";
        for (name, text, why) in [
            ("loops in loops", deep, steps),
            ("wide loops", wide, "prints more than"),
            ("a text and itself", doubled, steps),
            ("a block and itself", captured, steps),
            ("between all letters", replaced, steps),
            ("a text many times", "{{ ('x' * 10000000)|length }}".to_owned(), steps),
            ("a text too many times", "{{ ('x' * 10000000000)|length }}".to_owned(), steps),
            (
                "a list many times",
                "{{ ([1, 2] * 10000000)|length }}{% for a in [1] * 10000000 %}{% endfor %}".to_owned(),
                steps,
            ),
        ] {
            let error = Template::parse(&text).expect_err(name);
            assert!(error.contains(why), "{name}: {error}");
        }
    }

    /// Nothing but the variables of one notice can be reached.
    #[test]
    fn texts_read_nothing_but_their_notice() {
        for text in [
            "{{ self }}",
            "{{ loop }}",
            "{{ debug() }}",
            "{{ dict() }}",
            "{{ namespace() }}",
            "{{ environ('HOME') }}",
            "{{ env.PATH }}",
            "{{ secret }}",
            "{{ url }}",
            "{{ user_id.__class__ }}",
            "{{ user_id['__class__'] }}",
            "{{ user_id.upper() }}",
            "{{ store|attr('x') }}",
            "{{ store|tojson }}",
            "{{ store|pprint }}",
            "{% import 'x' as y %}",
            "{% extends 'x' %}",
            "{% include '/etc/passwd' %}",
            "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
            "{% do store %}",
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.starts_with("line 1"), "{text}: {error}");
        }
    }
}
