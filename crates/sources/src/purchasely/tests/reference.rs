//! Purchasely's own samples, where they are on this machine: one life of theirs, and its signature.

use super::*;
use std::path::{Path, PathBuf};

fn folder() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    let folder = std::env::var_os("PAIDUP_REFERENCE_DIR").map_or(default, Into::into).join("samples/purchasely");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("NOT CHECKED: Purchasely's samples are not at {}", folder.display());
    None
}

#[test]
fn the_vendors_own_life_is_read_as_it_was() {
    let Some(folder) = folder() else { return };
    let source = open();
    let read = |name: &str| {
        let body = std::fs::read(folder.join(format!("{name}.json"))).unwrap();
        verify(source.as_ref(), &body).unwrap_or_else(|error| panic!("{name}: {error:?}")).reading
    };
    let life = [
        ("SUBSCRIPTION_STARTED", &["ACTIVATE", "SUBSCRIPTION_STARTED"][..]),
        (
            "ACTIVATE",
            // An anonymous buyer has become "toto" meanwhile.
            &[
                "DEACTIVATE",
                "SUBSCRIPTION_TRANSFERRED",
                "ACTIVATE",
                "SUBSCRIPTION_RECEIVED",
                "ACTIVATE",
                "SUBSCRIPTION_RENEWED",
            ],
        ),
        ("SUBSCRIPTION_RENEWED", &[]),
        ("TRANSACTION_PROCESSED", &[]),
        ("DEACTIVATE", &["DEACTIVATE", "SUBSCRIPTION_TERMINATED"]),
        ("SUBSCRIPTION_TERMINATED", &[]),
    ];
    let observations: Vec<_> = life.iter().flat_map(|(name, _)| read(name).observations).collect();
    assert_eq!(observations.len(), life.len());
    let told = golden::play(observations);
    for ((name, expected), told) in life.iter().zip(told) {
        assert_eq!(told, *expected, "{name}");
    }
    assert_eq!(read("RENEWAL_DISABLED").observations.len(), 1, "a sample of 2021, without an id");
    let transferred = read("SUBSCRIPTION_TRANSFERRED").observations.remove(0);
    assert_eq!(transferred.facets.owner.unwrap().value.as_deref(), Some("jeff"));
    assert!(transferred.facets.standing.is_none(), "DEACTIVATED is of its former owner");
}

#[test]
fn the_vendors_own_signature_is_proven() {
    let Some(folder) = folder() else { return };
    let vector: Value = serde_json::from_slice(&std::fs::read(folder.join("signature-vector.json")).unwrap()).unwrap();
    let text = |name: &str| vector[name].as_str().unwrap().to_owned();
    let source = open_with(&json!({"secret": text("secret")})).unwrap();
    let (time, signature) = (text("timestamp"), text("signature"));
    let headers = [("x-purchasely-timestamp", time.as_str()), ("x-purchasely-request-signature", signature.as_str())];
    let error = verify_with(source.as_ref(), &headers, text("body").as_bytes(), time.parse().unwrap()).unwrap_err();
    assert_eq!(error.reason, "no_event", "it is proven, and says nothing");
}
