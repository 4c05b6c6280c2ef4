//! Golden files of the tests: a sample and, beside it, what was read from it. `PAIDUP_ACCEPT=1` writes what is read; the
//! change is then judged in the diff. And what observations are for: the events that the engine makes of them.

use crate::{Note, Notification, Reading, Upstreams};
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::engine::{Context, Input, advance};
use paidup_lifecycle::ids::CustomerId;
use paidup_lifecycle::observation::Observation;
use paidup_lifecycle::purchase::Purchase;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Where stores would be asked.
pub(crate) fn upstreams() -> Upstreams {
    Upstreams {
        stripe_api: "https://api.stripe.test".to_owned(),
        play_api: "https://play.test".to_owned(),
        google_token: "https://oauth2.test/token".to_owned(),
        google_keys: "https://keys.test/oauth2/v3/certs".to_owned(),
        appstore_api: Some("https://appstore.test".to_owned()),
        amazon_rvs: "https://rvs.test".to_owned(),
        amazon_sns: None,
        discord_api: "https://discord.test/api/v10".to_owned(),
    }
}

/// The samples in a folder of this crate's sources: name, path.
pub(crate) fn samples(folder: &str) -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
        .filter(|(name, _)| !name.ends_with(".expected"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no samples in {}", folder.display());
    found
}

/// What was read, as it stands in a golden file.
pub(crate) fn shown(notifications: &[Notification]) -> Value {
    let shown = notifications.iter().map(|notification| {
        json!({
            "external_id": notification.external_id,
            "label": notification.label,
            "note": notification.reading.note.as_ref().map(|note| match note {
                Note::Test { environment, at } => json!({"test": {"environment": environment, "at": at}}),
                Note::Unknown => json!("unknown"),
                Note::Informative => json!("informative"),
                Note::Warning(warning) => json!({"warning": warning}),
            }),
            "observations": observations(&notification.reading),
        })
    });
    shown.collect()
}

fn observations(reading: &Reading) -> Value {
    serde_json::to_value(&reading.observations).unwrap()
}

/// Compares with the golden file beside the sample; returns what is wrong.
pub(crate) fn compare(sample: &Path, actual: &Value) -> Option<String> {
    let golden = sample.with_extension("expected.json");
    let mut text = serde_json::to_string_pretty(actual).unwrap();
    text.push('\n');
    if std::env::var_os("PAIDUP_ACCEPT").is_some() {
        std::fs::write(&golden, &text).unwrap();
        return None;
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    let differs = expected.lines().zip(text.lines()).find(|(expected, actual)| expected != actual);
    let first = differs.map(|(expected, actual)| format!("expected {expected}, got {actual}"));
    (expected != text).then(|| format!("{}: {}", golden.display(), first.unwrap_or("length differs".to_owned())))
}

/// Plays observations of one purchase through the engine, each at the time of its saying; gives the events of each,
/// without those of money.
pub(crate) fn play(observations: impl IntoIterator<Item = Observation>) -> Vec<Vec<&'static str>> {
    let catalogue = Catalogue::default();
    let owner = |observation: &Observation| {
        let owner = observation.facets.owner.as_ref()?.value.as_ref()?;
        Some(CustomerId::derive(&[owner.as_bytes()]))
    };
    let mut purchase = None;
    let mut played = Vec::new();
    for observation in observations {
        let now = observation.observed_at;
        let context = Context {
            catalogue: &catalogue,
            can_ask: true,
            owner: owner(&observation),
            price_follows: false,
            had_before: false,
            owner_ids: &[],
            new_owner_ids: &[],
            merges: false,
        };
        let first = || {
            let customer = owner(&observation).unwrap_or(CustomerId([1; 16]));
            Purchase::new(observation.key.clone(), observation.store, customer)
        };
        let before = purchase.take().unwrap_or_else(first);
        let outcome = advance(before, &Input::Observed(observation), &context, now);
        let names = outcome.events.iter().map(|event| event.event_type.as_str());
        played.push(names.filter(|name| *name != "TRANSACTION_PROCESSED").collect());
        purchase = Some(outcome.purchase);
    }
    played
}
