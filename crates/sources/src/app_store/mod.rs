//! The App Store, through signed Server Notifications version 2.
//!
//! `verify.rs` says who sent a notification and for whom it is, `wire.rs` holds Apple's own names, `read.rs` turns them
//! into observations, `pack.rs` takes the certificate chains out of what is kept, `storefront.rs` knows the countries.
//! Asking Apple's API is not done yet; the settings for it are accepted.
//! <https://developer.apple.com/documentation/appstoreservernotifications>

mod pack;
mod read;
mod storefront;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

use crate::proof::jws::Compact;
use crate::proof::x509::check_root;
use crate::{
    Definition, Keys, Notification, Packed, Proof, RawRequest, Reading, Rejection, RejectionKind, SettingsError,
    Source, Upstreams, Verification, Verified, settings,
};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::time::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use verify::{Address, Prover};
use x509_parser::pem::parse_x509_pem;

/// Apple Root CA - G3, Apple's public certificate from <https://www.apple.com/certificateauthority/>, valid until
/// 2039-04-30. SHA-256 63:34:3A:BF:B8:9A:6A:03:EB:B5:7E:9B:3F:5F:A7:BE:7C:4F:5C:75:6F:30:17:B3:A8:C4:88:C3:65:3E:91:79.
const APPLE_ROOT_CA_G3: &str = include_str!("apple_root_ca_g3.pem");

/// The largest body. A notification with three chains is 19 KB; Advanced Commerce adds item lists.
const MAX_BODY: usize = 256 * 1024;

/// The longest id that is taken as one. Apple's are UUIDs of 36 characters.
const MAX_ID: usize = 200;

/// How many roots of one's own may be named.
const MAX_ROOTS: usize = 10;

/// What the rest of the crate sees of this folder.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "app_store",
    title: "App Store",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(Settings),
    secrets: &["/api/private_key"],
    open,
    max_body: MAX_BODY,
    proof: Proof::Store,
    success: 200,
};

/// Settings of an App Store source.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
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
    /// Access to the App Store Server API. Kept; not used yet.
    #[serde(default)]
    api: Option<Api>,
}

/// Which environments are taken.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Environments {
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
struct Api {
    /// "Issuer ID".
    issuer_id: String,
    /// "Key ID".
    key_id: String,
    /// The .p8 file's text.
    private_key: String,
}

fn open(id: SourceId, raw: &RawValue, _upstreams: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    let settings: Settings = settings::parse(raw)?;
    let wrong = |pointer: &str, detail: &str| SettingsError { pointer: pointer.to_owned(), detail: detail.to_owned() };
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
    if let Some(api) = &settings.api {
        for (pointer, text) in
            [("/api/issuer_id", &api.issuer_id), ("/api/key_id", &api.key_id), ("/api/private_key", &api.private_key)]
        {
            if text.trim().is_empty() {
                return Err(wrong(pointer, "must not be empty"));
            }
        }
    }
    let environments: &'static [Environment] = match settings.environment {
        Environments::Production => &[Environment::Production],
        Environments::Sandbox => &[Environment::Sandbox],
        Environments::Both => &[Environment::Production, Environment::Sandbox],
    };
    let roots = roots(settings.root_certificates.as_deref())?;
    let address = Address { bundle_id: settings.bundle_id, app_apple_id: settings.app_apple_id, environments };
    Ok(Box::new(AppStore { id, address, prover: Prover::new(roots) }))
}

/// The roots in DER.
fn roots(pems: Option<&[String]>) -> Result<Vec<Vec<u8>>, SettingsError> {
    let wrong = |pointer: String, detail: &str| SettingsError { pointer, detail: detail.to_owned() };
    let Some(pems) = pems else {
        return Ok(vec![read_root(APPLE_ROOT_CA_G3).expect("the built-in certificate is one, see the test beside")]);
    };
    if pems.is_empty() || pems.len() > MAX_ROOTS {
        return Err(wrong("/root_certificates".to_owned(), "must be 1 to 10 certificates, or left out for Apple's"));
    }
    let mut roots = Vec::with_capacity(pems.len());
    for (index, pem) in pems.iter().enumerate() {
        let unreadable = "must be one root certificate in PEM (-----BEGIN CERTIFICATE-----) that may issue others";
        let root = read_root(pem).ok_or_else(|| wrong(format!("/root_certificates/{index}"), unreadable))?;
        roots.push(root);
    }
    Ok(roots)
}

fn read_root(text: &str) -> Option<Vec<u8>> {
    let (_, pem) = parse_x509_pem(text.as_bytes()).ok()?;
    check_root(&pem.contents).ok()?;
    Some(pem.contents)
}

/// An App Store source, opened.
struct AppStore {
    id: SourceId,
    address: Address,
    prover: Prover,
}

impl Source for AppStore {
    fn verify(&self, raw: &RawRequest, _keys: &Keys, _now: Timestamp) -> Result<Verification, Rejection> {
        let taken = self.take_in(&raw.body, Checks::All)?;
        let notification = Notification {
            external_id: taken.external_id.into(),
            label: taken.label,
            body: raw.body.clone(),
            reading: taken.reading,
        };
        Ok(Verification::Verified(Verified { notifications: vec![notification] }))
    }

    fn read_kept(&self, _external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        Ok(self.take_in(body, Checks::None)?.reading)
    }

    /// Apple can be asked how a subscription stands, so dates alone end nothing: while asking is not set up, the App Store
    /// counts as a store that cannot be reached, and is given a day after the last word.
    fn can_ask(&self) -> bool {
        true
    }

    fn pack(&self, body: &[u8]) -> Option<Packed> {
        pack::pack(body)
    }

    fn unpack(&self, packed: &Packed) -> Result<Vec<u8>, Rejection> {
        pack::unpack(packed).ok_or_else(|| {
            let detail = "a kept notification cannot be put together again";
            Rejection::new(RejectionKind::Malformed, "unreadable_packed", detail.to_owned())
        })
    }
}

/// What is checked on the way in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checks {
    /// Signatures, times, addresses.
    All,
    /// Nothing: the bytes were proven when they were kept.
    None,
}

struct Taken {
    external_id: String,
    label: String,
    reading: Reading,
}

impl AppStore {
    /// The one way in, for fresh and for kept bytes. Every layer is decoded and parsed once, and only after its
    /// signature fits.
    fn take_in(&self, body: &[u8], checks: Checks) -> Result<Taken, Rejection> {
        if body.len() > MAX_BODY {
            let detail = format!("the body is larger than {MAX_BODY} bytes");
            return Err(Rejection::new(RejectionKind::TooLarge, "body_too_large", detail));
        }
        let envelope: wire::Envelope<'_> = parse(body, "body", "unreadable_body")?;
        let outer = self.open_jws(&envelope.signed_payload, "signedPayload", checks)?;
        let payload: wire::Payload<'_> = parse(&outer.payload, "signedPayload", "unreadable_payload")?;
        outer.check_time(payload.signed_date)?;
        let is_id = (1..=MAX_ID).contains(&payload.notification_uuid.len());
        if !is_id {
            let detail = format!("notificationUUID must have 1 to {MAX_ID} characters");
            return Err(Rejection::new(RejectionKind::Malformed, "unreadable_payload", detail));
        }
        let checked = match checks {
            Checks::All => Some(self.address.check(&payload)?),
            Checks::None => None,
        };

        let data = payload.data.as_ref();
        let signed_transaction = data.and_then(|data| data.signed_transaction_info.as_deref());
        let inner = signed_transaction.map(|jws| self.open_jws(jws, "signedTransactionInfo", checks)).transpose()?;
        let transaction = inner.as_ref().map(|inner| self.read_transaction(inner, &payload, checked)).transpose()?;
        let signed_renewal = data.and_then(|data| data.signed_renewal_info.as_deref());
        let inner = signed_renewal.map(|jws| self.open_jws(jws, "signedRenewalInfo", checks)).transpose()?;
        let renewal = inner.as_ref().map(|inner| self.read_renewal(inner, &payload, checked)).transpose()?;

        Ok(Taken {
            label: read::label(&payload),
            reading: read::read(self.id, &payload, transaction.as_ref(), renewal.as_ref()),
            external_id: payload.notification_uuid.into_owned(),
        })
    }

    fn open_jws(&self, text: &str, what: &'static str, checks: Checks) -> Result<Opened, Rejection> {
        let jws = Compact::split(text).map_err(|error| verify::refuse_jws(error, what))?;
        match checks {
            Checks::All => {
                let proven = self.prover.prove(&jws, what)?;
                Ok(Opened { what, payload: proven.payload, chain: Some(proven.chain) })
            }
            Checks::None => {
                let payload = jws.payload_bytes().map_err(|error| verify::refuse_jws(error, what))?;
                Ok(Opened { what, payload, chain: None })
            }
        }
    }

    /// `checked` is the notification's environment, when nested parts have to be checked against it.
    fn read_transaction<'a>(
        &self,
        opened: &'a Opened,
        outer: &wire::Payload<'_>,
        checked: Option<Environment>,
    ) -> Result<wire::Transaction<'a>, Rejection> {
        let transaction: wire::Transaction<'a> = parse(&opened.payload, opened.what, "unreadable_payload")?;
        opened.check_time(transaction.signed_date.unwrap_or(outer.signed_date))?;
        if let Some(environment) = checked {
            let (told, bundle) = (transaction.environment.as_deref(), transaction.bundle_id.as_deref());
            self.address.check_nested(environment, told, Some(bundle), opened.what)?;
        }
        Ok(transaction)
    }

    fn read_renewal<'a>(
        &self,
        opened: &'a Opened,
        outer: &wire::Payload<'_>,
        checked: Option<Environment>,
    ) -> Result<wire::Renewal<'a>, Rejection> {
        let renewal: wire::Renewal<'a> = parse(&opened.payload, opened.what, "unreadable_payload")?;
        opened.check_time(renewal.signed_date.unwrap_or(outer.signed_date))?;
        if let Some(environment) = checked {
            self.address.check_nested(environment, renewal.environment.as_deref(), None, opened.what)?;
        }
        Ok(renewal)
    }
}

/// A JWS, decoded, and the chain that it was proven with.
struct Opened {
    what: &'static str,
    payload: Vec<u8>,
    chain: Option<std::sync::Arc<crate::proof::x509::Chain>>,
}

impl Opened {
    fn check_time(&self, signed_at: wire::Millis) -> Result<(), Rejection> {
        let Some(chain) = &self.chain else { return Ok(()) };
        chain.check_time(signed_at.0).map_err(|error| verify::refuse_chain(error, self.what))
    }
}

/// Reads JSON. The reader goes at most 128 levels deep into what it keeps and skips the rest without recursion.
fn parse<'a, T: Deserialize<'a>>(json: &'a [u8], what: &str, reason: &'static str) -> Result<T, Rejection> {
    serde_json::from_slice(json).map_err(|error| {
        Rejection::new(RejectionKind::Malformed, reason, format!("{what}: {}", settings::explain(&error)))
    })
}
