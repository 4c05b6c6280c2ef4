//! JSON Schemas of events: what receivers may rely on, made from the types themselves.
//!
//! Readers must bear fields that they do not know: fields are added within a version, never taken away or given another
//! meaning. A change that would break a reader is a new version ([`VERSIONS`]).

use crate::event::{Event, EventType};
use crate::observation::Store;
use crate::sample;
use schemars::Schema;
use serde_json::{Value, json};

/// Versions of the shape of events, oldest first; named after the day on which they began.
pub const VERSIONS: &[&str] = &["2026-11-01"];

/// The version of what is written now.
pub const NEWEST: &str = VERSIONS[VERSIONS.len() - 1];

/// The schema (JSON Schema 2020-12) of one type's events, with an example.
#[must_use]
pub fn of(event_type: EventType) -> Schema {
    let mut schema = schemars::schema_for!(Event);
    schema.insert("title".to_owned(), json!(event_type.as_str()));
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("type".to_owned(), json!({"const": event_type.as_str(), "description": "Canonical name."}));
    }
    let example = serde_json::to_value(sample::event(event_type, Store::AppStore)).unwrap_or_default();
    schema.insert("examples".to_owned(), json!([example]));
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Store;

    /// Every field that any sample has is described: nothing is written that the schema does not know.
    #[test]
    fn the_schemas_describe_every_sample() {
        for event_type in EventType::ALL {
            let schema = of(*event_type).to_value();
            let strict = jsonschema::options().should_validate_formats(true).build(&closed(schema)).unwrap();
            for store in Store::ALL {
                let event = serde_json::to_value(sample::event(*event_type, *store)).unwrap();
                let faults: Vec<String> =
                    strict.iter_errors(&event).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
                assert!(faults.is_empty(), "{event_type} {store}: {faults:?}");
            }
        }
    }

    #[test]
    fn another_type_does_not_fit() {
        let renewed = jsonschema::validator_for(&of(EventType::SubscriptionRenewed).to_value()).unwrap();
        let event = |event_type| serde_json::to_value(sample::event(event_type, Store::AppStore)).unwrap();
        assert!(renewed.is_valid(&event(EventType::SubscriptionRenewed)));
        assert!(!renewed.is_valid(&event(EventType::Activate)));
        let mut torn = event(EventType::SubscriptionRenewed);
        torn.as_object_mut().unwrap().remove("purchase");
        assert!(!renewed.is_valid(&torn));
    }

    /// The same schema, but what it does not name is refused.
    fn closed(mut schema: Value) -> Value {
        if let Value::Object(object) = &mut schema {
            if object.contains_key("properties") {
                object.insert("unevaluatedProperties".to_owned(), json!(false));
            }
            object.remove("examples");
        }
        match schema {
            Value::Object(object) => {
                Value::Object(object.into_iter().map(|(name, part)| (name, closed(part))).collect())
            }
            Value::Array(parts) => Value::Array(parts.into_iter().map(closed).collect()),
            other => other,
        }
    }
}
