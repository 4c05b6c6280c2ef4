use super::*;
use crate::StartError;
use crate::secrets::{MASK, MASTER_KEY_FILE, SecretError};

#[tokio::test]
async fn a_sources_secrets_are_sealed_masked_and_kept_through_changes() {
    let test = TestHub::new().await;
    let made = test.hub.create_source("askable", "store", &raw(r#"{"token":"hush"}"#)).await.unwrap();
    assert_eq!(made.config["token"], MASK);
    assert_eq!(made.ingest_url, format!("http://127.0.0.1:8484/ingest/{}", made.id));
    let masked = raw(&made.config.to_string());
    let changed = test.hub.update_source(made.id, Some("renamed"), Some(&masked)).await.unwrap();
    assert_eq!((changed.name.as_str(), &changed.config["token"]), ("renamed", &made.config["token"]));
    let file = std::fs::read(test.dir.path().join("hub.db")).unwrap();
    let wal = std::fs::read(test.dir.path().join("hub.db-wal")).unwrap_or_default();
    assert!(![file, wal].concat().windows(4).any(|part| part == b"hush"), "no secret in clear on the disk");
    let test = test.restart().await;
    assert_eq!(test.hub.sources().all().len(), 2);
    let record = test.hub.sources().get(made.id).unwrap().record.clone();
    let settings = test.hub.secrets().open_settings(&made.id.to_string(), &["token"], &record.settings).unwrap();
    assert!(settings.get().contains("hush"), "the masked value meant: leave it as it is");
    test.hub.listening_on("127.0.0.1:9".parse().unwrap());
    assert!(test.hub.list_sources().await.unwrap()[0].ingest_url.starts_with("http://127.0.0.1:9/ingest/src_"));
}

#[tokio::test]
async fn mistakes_in_settings_are_named() {
    let test = TestHub::new().await;
    for (name, kind, config, status, pointer) in [
        ("kind", "paypal", "{}", 422, "/type"),
        ("setting", "askable", r#"{"token":"wrong"}"#, 422, "/config/token"),
        ("unknown setting", "generic", r#"{"x":1}"#, 422, "/config"),
    ] {
        match test.hub.create_source(kind, "x", &raw(config)).await.unwrap_err() {
            crate::HubError::Refused { status: found, pointer: at, .. } => {
                assert_eq!(found, status, "{name}");
                assert!(at.starts_with(pointer), "{name}: {at}");
            }
            error @ (crate::HubError::Store(_) | crate::HubError::Secret(_)) => panic!("{name}: {error}"),
        }
    }
    assert_eq!(test.hub.delete_source(SourceId([1; 16])).await.unwrap_err().status(), 404);
    assert_eq!(test.hub.list_sources().await.unwrap().len(), 1);
}

#[tokio::test]
async fn another_master_key_is_one_clear_error() {
    let test = TestHub::new().await;
    test.hub.stop().await.unwrap();
    std::fs::write(test.dir.path().join(MASTER_KEY_FILE), "00".repeat(32)).unwrap();
    let path = test.dir.path().join("hub.db");
    let url = format!("sqlite:{}", path.display());
    let parts = Parts {
        config: Config::load([("PAIDUP_DATABASE_URL".to_owned(), url)], None).unwrap(),
        store: store_at(&path).await,
        clock: Arc::new(test.clock.clone()),
        chance: Arc::new(SeededChance::new(1)),
        outbound: test.script.clone(),
    };
    let error = Hub::assemble(parts, definitions()).await.err().unwrap();
    assert!(matches!(error, StartError::Secrets(SecretError::WrongMasterKey)), "{error}");
}
