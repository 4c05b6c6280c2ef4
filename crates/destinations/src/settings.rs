//! Reading a destination's settings: every fault has a pointer to the setting and says what to write instead.
//!
//! Unknown keys are found by walking the JSON Schema that the form is drawn from, so the nearest known name can be
//! given. A message never repeats a value: settings hold credentials.

use crate::SettingsError;
use paidup_lifecycle::dialects::revenuecat;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// How the return of a lapsed customer is told in RevenueCat's words. (The engine's own set, with a schema for forms.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReactivationAs {
    /// As a renewal.
    Renewal,
    /// As a first purchase.
    InitialPurchase,
    /// As a renewal where the store's chain of transactions goes on (App Store), else as a first purchase.
    ByStore,
}

impl From<ReactivationAs> for revenuecat::ReactivationAs {
    fn from(chosen: ReactivationAs) -> Self {
        match chosen {
            ReactivationAs::Renewal => revenuecat::ReactivationAs::Renewal,
            ReactivationAs::InitialPurchase => revenuecat::ReactivationAs::InitialPurchase,
            ReactivationAs::ByStore => revenuecat::ReactivationAs::ByStore,
        }
    }
}

/// Settings are small; what is larger is a mistake.
const MAX_BYTES: usize = 64 * 1024;
/// How alike two names must be (0 to 1) for one to be offered for the other.
const NEAR: f64 = 0.6;

/// A fault at `pointer`.
pub(crate) fn fault(pointer: impl Into<String>, detail: impl Into<String>) -> SettingsError {
    SettingsError { pointer: pointer.into(), detail: detail.into() }
}

/// Reads settings of type `T`. Unknown keys and wrong types are errors.
pub(crate) fn read<T: DeserializeOwned + JsonSchema>(raw: &RawValue) -> Result<T, SettingsError> {
    if raw.get().len() > MAX_BYTES {
        return Err(fault("", format!("the settings are larger than {MAX_BYTES} bytes")));
    }
    let value: Value = serde_json::from_str(raw.get()).map_err(|_| fault("", "the settings are not JSON"))?;
    if !value.is_object() {
        return Err(fault("", "the settings must be a JSON object"));
    }
    let schema = schemars::schema_for!(T).to_value();
    refuse_unknown(&schema, &schema, &value, "")?;
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let pointer = pointer_of(error.path());
        fault(pointer, in_words(&error.into_inner().to_string()))
    })
}

/// The known name nearest to `word`, if one is near.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|name| {
            // The one sees swapped letters in short names, the other a common beginning of long ones.
            let name_lower = name.to_lowercase();
            let swaps = strsim::normalized_damerau_levenshtein(&lower, &name_lower);
            (swaps.max(strsim::jaro_winkler(&lower, &name_lower)), name)
        })
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// "unknown setting `x`", with the nearest known one or all of them.
pub(crate) fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let word: String = word.chars().filter(|c| !c.is_control()).take(64).collect();
    match nearest(&word, known.iter().copied()) {
        Some(near) => format!("unknown {what} `{word}`; did you mean `{near}`?"),
        None => format!("unknown {what} `{word}`; known: {}", known.join(", ")),
    }
}

fn refuse_unknown(root: &Value, schema: &Value, value: &Value, pointer: &str) -> Result<(), SettingsError> {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return match target.strip_prefix('#').and_then(|path| root.pointer(path)) {
            Some(found) => refuse_unknown(root, found, value, pointer),
            None => Ok(()),
        };
    }
    // An optional part is `anyOf: [part, null]`.
    for option in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        refuse_unknown(root, option, value, pointer)?;
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    let properties = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties");
    for (key, inner) in object {
        let here = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        if let Some(property) = properties.and_then(|known| known.get(key)) {
            refuse_unknown(root, property, inner, &here)?;
        } else if others == Some(&Value::Bool(false)) {
            let known: Vec<&str> = properties.into_iter().flat_map(|known| known.keys().map(String::as_str)).collect();
            return Err(fault(here, unknown("setting", key, &known)));
        } else if let Some(others) = others {
            refuse_unknown(root, others, inner, &here)?;
        }
    }
    Ok(())
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { variant } => pointer.push_str(&format!("/{variant}")),
            Segment::Unknown => {}
        }
    }
    pointer
}

/// serde names the value that was found before it says what was expected; only the latter is passed on.
fn in_words(message: &str) -> String {
    match message.split_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None if message.starts_with("missing field") => message.replacen("missing field", "missing setting", 1),
        None => "does not fit".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        name: String,
        #[serde(default)]
        parts: BTreeMap<String, Part>,
        #[serde(default)]
        one: Option<Part>,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Part {
        size: u32,
    }

    #[test]
    fn faults_point_at_the_setting_and_keep_the_value_to_themselves() {
        for (name, json, pointer, detail) in [
            ("unknown", r#"{"name":"a","nmae":"b"}"#, "/nmae", "unknown setting `nmae`; did you mean `name`?"),
            ("unknown, none near", r#"{"name":"a","zz":1}"#, "/zz", "unknown setting `zz`; known: name, one, parts"),
            ("in a map", r#"{"name":"a","parts":{"x/y":{"size":1,"siez":1}}}"#, "/parts/x~1y/siez", "`size`"),
            ("in an optional part", r#"{"name":"a","one":{"szie":1}}"#, "/one/szie", "did you mean `size`?"),
            ("wrong type", r#"{"name":"a","one":{"size":"hunter2"}}"#, "/one/size", "expected u32"),
            ("missing", "{}", "", "missing setting `name`"),
            ("no object", "[1]", "", "must be a JSON object"),
        ] {
            let raw = RawValue::from_string(json.to_owned()).unwrap();
            let error = read::<Outer>(&raw).unwrap_err();
            assert_eq!(error.pointer, pointer, "{name}: {error}");
            assert!(error.detail.contains(detail), "{name}: {}", error.detail);
            assert!(!error.detail.contains("hunter2"), "{name}");
        }
        let fine = RawValue::from_string(r#"{"name":"a","one":{"size":1}}"#.to_owned()).unwrap();
        assert_eq!(read::<Outer>(&fine).unwrap().one.unwrap().size, 1);
    }
}
