//! Reading settings, the same way for every kind: an unknown name is an error that names the nearest known one, and
//! an error says where it is.

use crate::SettingsError;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Reads settings into their type. Errors carry the JSON pointer of the setting.
pub(crate) fn parse<T: DeserializeOwned>(raw: &RawValue) -> Result<T, SettingsError> {
    let mut json = serde_json::Deserializer::from_str(raw.get());
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        SettingsError { pointer, detail: explain(&error.into_inner()) }
    })
}

/// A path of `serde_path_to_error` as a JSON pointer (RFC 6901).
pub(crate) fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&step);
    }
    pointer
}

/// What the JSON reader says, without its line and column and with a suggestion where a name is unknown. What was
/// found is cut short: it comes from outside.
pub(crate) fn explain(error: &serde_json::Error) -> String {
    let full = error.to_string();
    let text = full.rsplit_once(" at line ").map_or(full.as_str(), |(text, _)| text);
    match nearest(text) {
        Some((kind, found, known)) => format!("unknown {kind} `{}`; did you mean `{known}`?", shorten(found, 64)),
        None => shorten(text, 300),
    }
}

/// Picks the unknown name and the nearest known one out of serde's words "unknown field `x`, expected one of `a`, `b`"
/// or of our closed sets' "unknown Reason "x"; known: a b".
fn nearest(text: &str) -> Option<(&str, &str, String)> {
    let rest = text.strip_prefix("unknown ")?;
    let (kind, rest) = rest.split_once(' ')?;
    let (found, known): (&str, Vec<&str>) = if let Some(rest) = rest.strip_prefix('`') {
        let (found, list) = rest.split_once("`, ")?;
        (found, list.split('`').skip(1).step_by(2).collect())
    } else {
        let (found, list) = rest.strip_prefix('"')?.split_once("\"; known: ")?;
        (found, list.split(' ').collect())
    };
    let distance = |name: &&str| strsim::jaro_winkler(&found.to_lowercase(), &name.to_lowercase());
    let best = known.into_iter().max_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    Some((kind, found, best.to_owned()))
}

fn shorten(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)] // only read for its errors
    struct Outer {
        bundle_id: String,
        inner: Option<Inner>,
        kind: Option<paidup_lifecycle::observation::Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)] // only read for its errors
    struct Inner {
        numbers: Vec<u8>,
    }

    #[test]
    fn errors_say_where_and_name_the_nearest() {
        for (name, json, pointer, detail) in [
            ("unknown", r#"{"bundel_id":"x"}"#, "/bundel_id", "unknown field `bundel_id`; did you mean `bundle_id`?"),
            (
                "deep",
                r#"{"bundle_id":"x","inner":{"numbers":[1,"2"]}}"#,
                "/inner/numbers/1",
                "invalid type: string \"2\", expected u8",
            ),
            ("missing", "{}", "", "missing field `bundle_id`"),
            (
                "word",
                r#"{"bundle_id":"x","kind":"subscribtion"}"#,
                "/kind",
                "unknown Kind `subscribtion`; did you mean `subscription`?",
            ),
        ] {
            let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
            let error = parse::<Outer>(&raw).unwrap_err();
            assert_eq!((error.pointer.as_str(), error.detail.as_str()), (pointer, detail), "{name}");
        }
    }
}
