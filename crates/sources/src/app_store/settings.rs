//! What an operator sets of an App Store source, and whether it can be.

use super::ask::Api;
use super::ask::consumption::Consumption;
use super::ask::token::{ApiKey, KeyError};
use super::verify::{Address, Prover};
use super::{AppStore, Policy};
use crate::proof::x509::check_root;
use crate::{SettingsError, Source, Upstreams, settings};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::Environment;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use x509_parser::pem::parse_x509_pem;

/// Apple Root CA - G3, Apple's public certificate from <https://www.apple.com/certificateauthority/>, valid until
/// 2039-04-30. SHA-256 63:34:3A:BF:B8:9A:6A:03:EB:B5:7E:9B:3F:5F:A7:BE:7C:4F:5C:75:6F:30:17:B3:A8:C4:88:C3:65:3E:91:79.
const APPLE_ROOT_CA_G3: &str = include_str!("apple_root_ca_g3.pem");

/// How many roots of one's own may be named.
const MAX_ROOTS: usize = 10;

/// Settings of an App Store source.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The app's bundle id, e.g. `com.example.app`.
    bundle_id: String,
    /// The app's number in App Store Connect ("Apple ID"). Checked in production when given.
    #[serde(default)]
    app_apple_id: Option<i64>,
    /// Which environments are taken: PRODUCTION, SANDBOX or BOTH.
    #[serde(default)]
    environment: Environments,
    /// Root certificates in PEM, instead of Apple's. For tests against a chain of your own.
    #[serde(default)]
    root_certificates: Option<Vec<String>>,
    /// Access to the App Store Server API: a key for in-app purchases. With it Paidup asks Apple where nothing was told,
    /// catches up after an outage, and can test the line.
    #[serde(default)]
    api: Option<ApiSettings>,
    /// Whether Paidup answers when Apple asks how much of a purchase was used, before it decides on a refund. Needs `api`.
    #[serde(default)]
    consumption: Option<Consumption>,
}

/// Which environments are taken.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Environments {
    /// Real purchases only.
    Production,
    /// Tests only.
    Sandbox,
    /// Both; they never mix.
    #[default]
    Both,
}

/// A key from App Store Connect, Users and Access, Integrations, In-App Purchase.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiSettings {
    /// "Issuer ID".
    issuer_id: String,
    /// "Key ID".
    key_id: String,
    /// The .p8 file's text.
    private_key: String,
}

/// The longest issuer or key id. Apple's have 36 and 10 characters.
const MAX_KEY_ID: usize = 100;

fn wrong(pointer: &str, detail: &str) -> SettingsError {
    SettingsError { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

/// Checks the settings and opens the source.
pub(super) fn open(id: SourceId, raw: &RawValue, upstreams: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    let settings: Settings = settings::parse(raw)?;
    let is_bundle_character = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if settings.bundle_id.is_empty()
        || settings.bundle_id.len() > 155
        || !settings.bundle_id.chars().all(is_bundle_character)
    {
        return Err(wrong("/bundle_id", "must be a bundle id such as com.example.app: letters, digits, dots, hyphens"));
    }
    if settings.app_apple_id.is_some_and(|app| app <= 0) {
        return Err(wrong("/app_apple_id", "must be the app's number in App Store Connect, e.g. 1234567890"));
    }
    let api = settings.api.map(|api| open_api(api, &settings.bundle_id, upstreams)).transpose()?;
    if settings.consumption.is_some_and(|consumption| consumption.consent) && api.is_none() {
        return Err(wrong("/consumption", "needs `api`: without a key nothing can be sent to Apple"));
    }
    let environments: &'static [Environment] = match settings.environment {
        Environments::Production => &[Environment::Production],
        Environments::Sandbox => &[Environment::Sandbox],
        Environments::Both => &[Environment::Production, Environment::Sandbox],
    };
    let prover = Prover::new(roots(settings.root_certificates.as_deref())?);
    let address = Address { bundle_id: settings.bundle_id, app_apple_id: settings.app_apple_id, environments };
    let consumption = settings.consumption.filter(|consumption| consumption.consent);
    let policy = Policy { asks: api.is_some(), consumption };
    Ok(Box::new(AppStore { id, address, prover, api: api.map(Arc::new), policy }))
}

fn open_api(api: ApiSettings, bundle_id: &str, upstreams: &Upstreams) -> Result<Api, SettingsError> {
    let is_id = |text: &str| text.len() <= MAX_KEY_ID && !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    for (pointer, text) in [("/api/issuer_id", &api.issuer_id), ("/api/key_id", &api.key_id)] {
        if !is_id(text) {
            return Err(wrong(pointer, "must be the id as App Store Connect shows it, without spaces"));
        }
    }
    let key = ApiKey::new(&api.issuer_id, &api.key_id, &api.private_key, bundle_id).map_err(|error| match error {
        KeyError::NotPem => wrong("/api/private_key", "must be the text of the .p8 file (-----BEGIN PRIVATE KEY-----)"),
        KeyError::NotP256 => wrong("/api/private_key", "is not a key for ES256, as App Store Connect makes them"),
    })?;
    Ok(Api::new(upstreams.appstore_api.as_deref(), key))
}

/// The roots in DER.
pub(super) fn roots(pems: Option<&[String]>) -> Result<Vec<Vec<u8>>, SettingsError> {
    let Some(pems) = pems else {
        return Ok(vec![read_root(APPLE_ROOT_CA_G3).expect("the built-in certificate is one, see the test beside")]);
    };
    if pems.is_empty() || pems.len() > MAX_ROOTS {
        return Err(wrong("/root_certificates", "must be 1 to 10 certificates, or left out for Apple's"));
    }
    let mut roots = Vec::with_capacity(pems.len());
    for (index, pem) in pems.iter().enumerate() {
        let unreadable = "must be one root certificate in PEM (-----BEGIN CERTIFICATE-----) that may issue others";
        let root = read_root(pem).ok_or_else(|| wrong(&format!("/root_certificates/{index}"), unreadable))?;
        roots.push(root);
    }
    Ok(roots)
}

fn read_root(text: &str) -> Option<Vec<u8>> {
    let (_, pem) = parse_x509_pem(text.as_bytes()).ok()?;
    check_root(&pem.contents).ok()?;
    Some(pem.contents)
}
