//! Purchasely, through its webhook (API version 3): purchases of its users in whatever store it serves.
//!
//! `verify.rs` says who sent an event, `wire.rs` holds Purchasely's own names, `read.rs` says what an event tells of a
//! purchase. One message of a store gives several events here, each with the whole purchase as it stands after all of
//! them, so the first that comes tells what happened and the others confirm it.
//! <https://docs.purchasely.com/docs/webhook>

mod read;
mod verify;
mod wire;

#[cfg(test)]
mod tests;

use crate::{
    Definition, Keys, Notification, Proof, RawRequest, Reading, Rejection, RejectionKind, SettingsError, Source,
    Upstreams, Verification, Verified, lenient, settings,
};
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::time::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use verify::Prover;

/// The largest event; they have about 2 KB.
const MAX_BODY: usize = 256 * 1024;
/// The longest secret that is taken as one.
const MAX_SECRET: usize = 512;

/// What the rest of the crate sees of this folder.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "purchasely",
    title: "Purchasely",
    setup: include_str!("setup.md"),
    settings_schema: || schemars::schema_for!(Settings),
    secrets: &["secret"],
    open,
    max_body: MAX_BODY,
    proof: Proof::Store,
    success: 200,
};

/// Settings of a Purchasely source.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The webhook's shared secret.
    secret: String,
    /// Whether TRANSACTION_PROCESSED is switched on in Purchasely's console. It tells what was paid, so starts and renewals
    /// wait for it; set `false` where it is off, or each waits in vain.
    #[serde(default = "yes")]
    transactions: bool,
}

fn yes() -> bool {
    true
}

fn open(id: SourceId, raw: &RawValue, _upstreams: &Upstreams) -> Result<Box<dyn Source>, SettingsError> {
    let Settings { secret, transactions } = settings::parse(raw)?;
    let is_printable = secret.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if secret.trim().is_empty() || secret.len() > MAX_SECRET || !is_printable {
        let detail = "must be the webhook's shared secret, 1 to 512 printable ASCII characters".to_owned();
        return Err(SettingsError { pointer: "/secret".to_owned(), detail });
    }
    Ok(Box::new(Purchasely { id, prover: Prover { secret }, transactions }))
}

/// A Purchasely source, opened.
struct Purchasely {
    id: SourceId,
    prover: Prover,
    transactions: bool,
}

impl Source for Purchasely {
    fn verify(&self, raw: &RawRequest, _keys: &Keys, now: Timestamp) -> Result<Verification, Rejection> {
        if raw.body.len() > MAX_BODY {
            let detail = format!("the body is larger than {MAX_BODY} bytes");
            return Err(Rejection::new(RejectionKind::TooLarge, "body_too_large", detail));
        }
        self.prover.prove(&raw.headers, &raw.body, now)?;
        let body = lenient::parse(&raw.body)?;
        let event = wire::Event::new(&body)?;
        event.check_time(now)?;
        let notification = Notification {
            external_id: event.external_id(&raw.body).into(),
            label: event.label(),
            body: raw.body.clone(),
            reading: read::read(self.id, &event, &raw.body),
        };
        Ok(Verification::Verified(Verified { notifications: vec![notification] }))
    }

    fn read_kept(&self, _external_id: &str, bytes: &[u8]) -> Result<Reading, Rejection> {
        let body = lenient::parse(bytes)?;
        Ok(read::read(self.id, &wire::Event::new(&body)?, bytes))
    }

    // Purchasely cannot be asked, and warns against ending access by its dates: "leave at least a 24 h margin". A
    // subscription ends a day after the last word on it.
    fn can_ask(&self) -> bool {
        true
    }

    fn price_follows(&self) -> bool {
        self.transactions
    }
}
