//! Parameters as Discord checks them: all faults of a request in one answer, each below its parameter's name, in
//! Discord's words. ASSUMPTION: the leaves' codes and words are those seen in reports about other routes of Discord's.

use super::refusal::Refusal;
use axum::http::Uri;
use paidup_lifecycle::snowflake::{NoSnowflake, Snowflake};
use serde_json::{Map, Value, json};

/// The most rows of a page.
const MAX_LIMIT: i64 = 100;
/// The most items of a list.
const MAX_ITEMS: usize = 100;
/// The longest part of a value that a fault repeats, in characters.
const MAX_SHOWN: usize = 64;

/// A request's parameters while they are read. Readers answer `None` for what is absent or wrong; `check` tells which.
pub(super) struct Form {
    given: Vec<(String, String)>,
    faults: Map<String, Value>,
}

impl Form {
    /// The query of `uri`. Names that nobody asks for are passed over, as Discord does.
    pub(super) fn of(uri: &Uri) -> Form {
        let given = axum::extract::Query::try_from_uri(uri).map(|axum::extract::Query(given)| given);
        Form { given: given.unwrap_or_default(), faults: Map::new() }
    }

    /// Refuses the request if anything was wrong with it.
    pub(super) fn check(self) -> Result<(), Refusal> {
        if self.faults.is_empty() { Ok(()) } else { Err(Refusal::form(Value::Object(self.faults))) }
    }

    /// The last value of that name.
    fn value(&self, name: &str) -> Option<String> {
        self.given.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.clone())
    }

    fn fault(&mut self, name: &str, fault: Value) {
        self.faults.insert(name.to_owned(), fault);
    }

    /// A part of the path.
    pub(super) fn in_path(&mut self, name: &str, text: &str) -> Option<Snowflake> {
        read(text).map_err(|fault| self.fault(name, fault)).ok()
    }

    pub(super) fn snowflake(&mut self, name: &str) -> Option<Snowflake> {
        let text = self.value(name)?;
        self.in_path(name, &text)
    }

    pub(super) fn required(&mut self, name: &str) -> Option<Snowflake> {
        if self.value(name).is_none() {
            self.fault(name, leaf("BASE_TYPE_REQUIRED", "This field is required"));
        }
        self.snowflake(name)
    }

    /// Rows on the page.
    pub(super) fn limit(&mut self, default: usize) -> usize {
        let Some(text) = self.value("limit") else { return default };
        match whole(&text) {
            None => self.fault("limit", not_a(&text, "int")),
            Some(number) if number < 1 => {
                self.fault("limit", leaf("NUMBER_TYPE_MIN", "int value should be greater than or equal to 1."));
            }
            Some(number) if number > MAX_LIMIT => {
                self.fault("limit", leaf("NUMBER_TYPE_MAX", "int value should be less than or equal to 100."));
            }
            Some(number) => return usize::try_from(number).unwrap_or(default),
        }
        default
    }

    pub(super) fn boolean(&mut self, name: &str, default: bool) -> bool {
        match self.value(name).as_deref() {
            None => default,
            Some("true" | "True" | "1") => true,
            Some("false" | "False" | "0") => false,
            Some(_) => {
                self.fault(name, leaf("BOOLEAN_TYPE_CONVERT", "Must be either true or false."));
                default
            }
        }
    }

    /// A list, joined by commas or said several times; `None`: none was given.
    pub(super) fn snowflakes(&mut self, name: &str) -> Option<Vec<Snowflake>> {
        let given: Vec<&str> = self.given.iter().filter(|(given, _)| given == name).map(|(_, v)| v.as_str()).collect();
        let items: Vec<String> = given
            .into_iter()
            .flat_map(|value| value.split(','))
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect();
        if items.is_empty() {
            return None;
        }
        if items.len() > MAX_ITEMS {
            self.fault(name, leaf("BASE_TYPE_BAD_LENGTH", "Must be between 0 and 100 in length."));
            return None;
        }
        let mut faults = Map::new();
        let mut read_items = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match read(item) {
                Ok(id) => read_items.push(id),
                Err(fault) => {
                    faults.insert(index.to_string(), fault);
                }
            }
        }
        if !faults.is_empty() {
            self.fault(name, Value::Object(faults));
        }
        Some(read_items)
    }
}

fn read(text: &str) -> Result<Snowflake, Value> {
    text.parse().map_err(|why| match why {
        NoSnowflake::Malformed => not_a(text, "snowflake"),
        NoSnowflake::TooLarge => {
            let words = format!("snowflake value should be less than or equal to {}.", Snowflake::MAX);
            leaf("NUMBER_TYPE_MAX", &words)
        }
    })
}

/// A whole number; one that no integer holds is as large or as small as integers are.
fn whole(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse::<i64>().unwrap_or(i64::MAX).saturating_mul(sign))
}

fn not_a(text: &str, wanted: &str) -> Value {
    let shown: String = text.chars().take(MAX_SHOWN).collect();
    leaf("NUMBER_TYPE_COERCE", &format!("Value \"{shown}\" is not {wanted}."))
}

fn leaf(code: &str, message: &str) -> Value {
    json!({"_errors": [{"code": code, "message": message}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(query: &str) -> Form {
        Form::of(&format!("/x?{query}").parse().unwrap())
    }

    #[test]
    fn bounds_of_numbers_are_told_in_discords_words() {
        let limit = |text: &str| {
            let mut form = form(&format!("limit={text}"));
            let limit = form.limit(50);
            (limit, form.faults.get("limit").map(|fault| fault["_errors"][0]["code"].clone()))
        };
        for (text, expected) in [("1", 1), ("100", 100), ("007", 7)] {
            assert_eq!(limit(text), (expected, None), "{text}");
        }
        for (text, code) in [
            ("0", "NUMBER_TYPE_MIN"),
            ("-1", "NUMBER_TYPE_MIN"),
            ("-99999999999999999999", "NUMBER_TYPE_MIN"),
            ("101", "NUMBER_TYPE_MAX"),
            ("99999999999999999999", "NUMBER_TYPE_MAX"),
            ("abc", "NUMBER_TYPE_COERCE"),
            ("1.5", "NUMBER_TYPE_COERCE"),
            ("", "NUMBER_TYPE_COERCE"),
            ("%D9%A3", "NUMBER_TYPE_COERCE"),
        ] {
            assert_eq!(limit(text), (50, Some(json!(code))), "{text}");
        }
    }

    #[test]
    fn lists_are_joined_and_point_at_their_items() {
        let mut good = form("sku_ids=1,2&sku_ids=3");
        assert_eq!(good.snowflakes("sku_ids").unwrap().len(), 3);
        assert_eq!(form("sku_ids=").snowflakes("sku_ids"), None);
        let mut bad = form("sku_ids=1,x,-2");
        bad.snowflakes("sku_ids");
        let faults = bad.faults["sku_ids"].as_object().unwrap();
        assert_eq!(faults.keys().collect::<Vec<_>>(), ["1", "2"]);
        let mut long = form(&format!("sku_ids={}", "1,".repeat(101)));
        long.snowflakes("sku_ids");
        assert!(long.check().is_err());
    }

    #[test]
    fn all_faults_are_told_at_once_and_long_values_are_cut() {
        let mut form = form(&format!("after={}&exclude_ended=maybe", "9x".repeat(500)));
        form.in_path("sku_id", "01");
        form.snowflake("after");
        form.required("user_id");
        form.boolean("exclude_ended", false);
        let words = form.faults["after"]["_errors"][0]["message"].as_str().unwrap().len();
        assert!(words < 100, "{words}");
        assert_eq!(form.faults.len(), 4);
    }
    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(512))]

        /// Whatever a query is: pages are bounded, and what is wrong is told in few words.
        #[test]
        fn any_query_is_read_or_refused(query in "(limit|after|sku_ids|exclude_ended|x)=[0-9a-z%,&=+-]{0,80}(&limit=[0-9%-]{0,24})?") {
            let Ok(uri) = format!("/x?{query}").parse::<Uri>() else { return Ok(()) };
            let mut form = Form::of(&uri);
            let limit = form.limit(50);
            assert!((1..=100).contains(&limit), "{query}: {limit}");
            form.snowflake("after");
            form.boolean("exclude_ended", false);
            assert!(form.snowflakes("sku_ids").is_none_or(|ids| ids.len() <= MAX_ITEMS));
            let told = Value::Object(form.faults.clone()).to_string().len();
            assert!(told < 20_000, "{query}: {told} bytes");
        }
    }
}
