//! The exact requests for every event, per kind and format, in `tests/golden/`. A change is read in the diff, then accepted
//! with `PAIDUP_ACCEPT_GOLDEN=1`.

use crate::support::{every_kind, logged, moment, open, run_by, sample_of};
use paidup_destinations::{DEFINITIONS, Destination, Memory, Verdict};
use paidup_lifecycle::event::EventType;
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
