//! The exact requests for every event, per kind and format, in `tests/golden/`. A change is read in the diff, then accepted
//! with `PAIDUP_ACCEPT_GOLDEN=1`.

use crate::support::{every_kind, logged, moment, open, run_by, sample_of};
use paidup_destinations::{DEFINITIONS, Destination, Memory, Verdict};
use paidup_lifecycle::event::EventType;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[test]
fn every_event_through_every_destination() {
    let accept = std::env::var_os("PAIDUP_ACCEPT_GOLDEN").is_some();
    let mut differing = Vec::new();
    for (kind, format, settings) in every_kind() {
        let destination = open(kind, &settings);
        let folder = golden().join(kind).join(format);
        if accept {
            std::fs::create_dir_all(&folder).unwrap();
        }
        for event_type in EventType::ALL {
            let path = folder.join(format!("{event_type}.txt"));
            let found = rendered(&*destination, *event_type);
            if accept {
                std::fs::write(&path, &found).unwrap();
            } else if std::fs::read_to_string(&path).unwrap_or_default() != found {
                differing.push(format!("{}:\n{found}", path.display()));
            }
        }
    }
    let differ = differing.len();
    assert!(differ == 0, "{differ} differ; read, then accept with PAIDUP_ACCEPT_GOLDEN=1:\n{}", differing.join("\n"));
}

#[test]
fn every_kind_has_golden_files_and_no_file_is_left_over() {
    for definition in DEFINITIONS {
        assert!(every_kind().iter().any(|(kind, _, _)| *kind == definition.kind), "{}", definition.kind);
    }
    let expected = every_kind().len() * EventType::ALL.len();
    assert_eq!(files(&golden()), expected, "files of events or formats that are no more");
}

/// What a setting may be, as its schema says, and what it is when nobody says.
fn choices(schema: &serde_json::Value, setting: &str) -> (BTreeSet<String>, String) {
    let property = &schema["properties"][setting];
    let name = property["$ref"].as_str().and_then(|path| path.rsplit('/').next()).expect("a type of its own");
    let all = schema["$defs"][name]["oneOf"].as_array().expect("a closed set").iter();
    let texts = |one: &serde_json::Value| match one["const"].as_str() {
        Some(text) => vec![text.to_owned()],
        None => {
            one["enum"].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
        }
    };
    (all.flat_map(texts).collect(), property["default"].as_str().expect("a default").to_owned())
}

/// The table is whole: each event, kind, format and style has its file, with the requests or the reason why there are none.
#[test]
fn every_format_and_every_style_has_golden_files() {
    for (kind, setting) in [("webhook", "format"), ("discord_webhook", "style")] {
        let definition = paidup_destinations::definition(kind).unwrap();
        let (all, default) = choices(&(definition.settings_schema)().to_value(), setting);
        assert!(all.len() >= 3 && all.contains(&default), "{kind}: {all:?}");
        let kinds = every_kind();
        let of_kind = kinds.iter().filter(|(known, _, _)| *known == kind);
        let played: BTreeSet<String> =
            of_kind.map(|(_, _, settings)| settings[setting].as_str().unwrap_or(&default).to_owned()).collect();
        assert_eq!(played, all, "{kind}: {setting}");
    }
    for (kind, format, _) in every_kind() {
        for event_type in EventType::ALL {
            let path = golden().join(kind).join(format).join(format!("{event_type}.txt"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let is_reason = text.strip_prefix("nothing: ").is_some_and(|reason| reason.trim().len() > 10);
            let is_request = text.lines().next().is_some_and(|line| line.contains(" https://"));
            assert!(is_reason || is_request, "{}: {text}", path.display());
        }
    }
}

fn golden() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// The requests as text, or why there are none.
fn rendered(destination: &dyn Destination, event_type: EventType) -> String {
    let event = logged(sample_of(event_type));
    if let Some(reason) = destination.skips(&event) {
        return format!("nothing: {}\n", reason.0);
    }
    let conversation = destination.deliver(&[event], &Memory::default(), moment()).unwrap();
    let course = run_by(conversation, Memory::default(), |_, request| destination.rehearsal(request));
    assert_eq!(course.verdict, Verdict::Delivered, "{event_type}");
    assert!(!course.requests.is_empty(), "{event_type}: neither a request nor a reason");
    course.requests.iter().for_each(crate::intercom::check);
    let mut text = String::new();
    for (index, request) in course.requests.iter().enumerate() {
        if index > 0 {
            text.push_str("\n----\n\n");
        }
        writeln!(text, "{} {}", request.method(), request.uri()).unwrap();
        for (name, value) in request.headers() {
            writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
        if request.body().is_empty() {
            continue;
        }
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        writeln!(text, "\n{}", serde_json::to_string_pretty(&body).unwrap()).unwrap();
    }
    text
}
