//! Samples of this project: a notification and Google's answer, and beside each what they come to.

use super::{answered, open, second_after, told};
use crate::golden;
use crate::{Note, Reading};
use serde_json::{Value, json};

fn shown(reading: &Reading) -> Value {
    let lookup = |lookup: &crate::Lookup| {
        let context: Value = serde_json::from_str(&lookup.context).unwrap();
        json!([lookup.name, context, lookup.unless_known.as_ref().map(|key| &key.store_purchase_id)])
    };
    let note = reading.note.as_ref().map(|note| match note {
        Note::Test { .. } => "test",
        Note::Unknown => "unknown",
        Note::Informative => "informative",
        Note::Warning(warning) => warning,
    });
    json!({
        "observations": reading.observations, "note": note, "first": reading.first.as_deref().map(lookup),
        "lookups": reading.lookups.iter().map(lookup).collect::<Vec<_>>(),
    })
}

#[test]
fn samples_come_to_what_stands_beside_them() {
    let mut wrong = Vec::new();
    for (name, path) in golden::samples("play/samples") {
        let sample: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let source = open(sample["settings"].clone());
        let first = told(source.as_ref(), &sample["notification"]);
        let asked_at = second_after(&sample["notification"]);
        let Some(lookup) = first.lookups.first() else { panic!("{name} asks for nothing") };
        let answer = answered(source.as_ref(), lookup, asked_at, sample["answer"].to_string().as_bytes()).unwrap();
        assert_eq!(first.observations, [], "{name}: a notification says nothing of a purchase");
        let all = json!({"asks": lookup.name, "note": shown(&first)["note"], "answer": shown(&answer)});
        wrong.extend(golden::compare(&path, &all));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
