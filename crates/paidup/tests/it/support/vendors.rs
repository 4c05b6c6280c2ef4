//! A hub behind a vendor that tells its events by webhooks (RevenueCat, Purchasely), and how those prove themselves.

use super::{Answer, TestHub};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(crate) const AUTHORIZATION: &str = "Bearer test-webhook-value-4f6c";
pub(crate) const SECRET: &str = "test-shared-secret-81ce";

/// Lower-case hex of the HMAC-SHA256 of the parts.
pub(crate) fn hex_hmac(secret: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The samples of a source, with their names.
pub(crate) fn samples(kind: &str) -> Vec<(String, Value)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sources/src").join(kind).join("samples");
    let mut found: Vec<(String, Value)> = std::fs::read_dir(folder)
        .expect("samples")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON"))
        })
        .filter(|(name, _)| !name.ends_with(".expected"))
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

/// A hub with one source of a vendor.
pub(crate) struct Line {
    pub(crate) hub: TestHub,
    pub(crate) source: String,
    kind: &'static str,
}

impl Line {
    pub(crate) async fn of(now: &str, kind: &'static str) -> Line {
        let hub = TestHub::start(now).await;
        for product in ["pro_monthly", "pro_yearly", "lifetime"] {
            hub.map(product, &["pro"]).await;
        }
        let source = Line::source(&hub, kind).await;
        Line { hub, source, kind }
    }

    pub(crate) async fn source(hub: &TestHub, kind: &str) -> String {
        let config = match kind {
            "revenuecat" => json!({"authorization": AUTHORIZATION, "hmac_secret": SECRET}),
            _ => json!({"secret": SECRET}),
        };
        hub.source(kind, config).await
    }

    /// The headers that the vendor would send with this body now.
    pub(crate) fn proof(&self, body: &[u8]) -> Vec<(&'static str, String)> {
        let time = self.hub.hub.clock().now().as_seconds().to_string();
        match self.kind {
            "revenuecat" => {
                let signature = hex_hmac(SECRET, &[time.as_bytes(), b".", body]);
                vec![
                    ("authorization", AUTHORIZATION.to_owned()),
                    ("x-revenuecat-webhook-signature", format!("t={time},v1={signature}")),
                ]
            }
            _ => {
                let signature = hex_hmac(SECRET, &[time.as_bytes(), body]);
                vec![("x-purchasely-timestamp", time), ("x-purchasely-request-signature", signature)]
            }
        }
    }

    pub(crate) async fn send_to(&self, source: &str, body: &Value) -> Answer {
        let bytes = body.to_string().into_bytes();
        let proof = self.proof(&bytes);
        let headers: Vec<(&str, &str)> = proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.hub.call("POST", &format!("/ingest/{source}"), None, bytes, &headers).await
    }

    /// Sends what must be taken, and answers what it told.
    pub(crate) async fn tell_to(&self, source: &str, body: &Value) -> Vec<String> {
        let before = self.hub.types().await.len();
        self.send_to(source, body).await.expect(200);
        self.hub.types().await.split_off(before)
    }

    pub(crate) async fn tell(&self, body: &Value) -> Vec<String> {
        self.tell_to(&self.source, body).await
    }

    /// The customer of that id; null when nobody is.
    pub(crate) async fn customer(&self, id: &str) -> Value {
        let answer = self.hub.api("GET", &format!("/v1/customers/{id}"), Value::Null).await;
        if answer.status == 404 { Value::Null } else { answer.expect(200) }
    }

    /// What a customer may use now; empty for one nobody knows.
    pub(crate) async fn active(&self, id: &str) -> Vec<String> {
        let customer = self.customer(id).await;
        let rows = customer["entitlements"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
    }

    pub(crate) async fn stop(self) {
        self.hub.stop().await;
    }
}
