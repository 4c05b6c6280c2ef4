//! An app's subscriptions and one-time purchases at Discord: entitlement events as Discord signs them, and what its API shows
//! (`standins/discord_app`).
//!
//! Only entitlements are told: a renewal, a cancellation, a planned change of plan are seen by nobody who does not ask. What
//! happens is decided in `lives`; `shelf` is what Discord knows at a moment; what is wrong on purpose stands in `forgeries`.
//! <https://discord.com/developers/docs/events/webhook-events>

pub mod forgeries;
pub(crate) mod lives;
pub mod shelf;
#[cfg(test)]
mod tests;
pub mod wire;

use super::forgery::Forgery;
use super::{CannotTell, Feed, Played, StoreKind};
use crate::catalogue::Plan;
use crate::chance::Chance;
use crate::lives::Said;
use crate::population::Shop;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use shelf::Shelf;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use wire::{App, Audience, Change, EPOCH_MS};

/// An app at Discord.
pub struct Discord {
    app: App,
    keys: Ed25519KeyPair,
    bot_token: String,
    shelf: Mutex<Shelf>,
    /// Lists are answered oldest first. Which it is, Discord does not say, and both were seen.
    is_oldest_first: bool,
}

/// The headers of a proof.
pub(crate) const SIGNATURE: &str = "x-signature-ed25519";
pub(crate) const TIMESTAMP: &str = "x-signature-timestamp";

impl App {
    /// An app of its own for each seed; every second one sells to servers.
    #[must_use]
    pub fn of_seed(seed: u64) -> App {
        let audience = if seed.is_multiple_of(2) { Audience::Guilds } else { Audience::Users };
        let made_at = EPOCH_MS + 8 * 365 * 86_400_000;
        App { id: wire::snowflake(made_at, Chance::new(seed, u64::MAX - 2).draw()), audience }
    }
}

impl Discord {
    /// With keys and a bot of its own for each seed.
    #[must_use]
    pub fn new(seed: u64, app: App) -> Discord {
        let mut chance = Chance::new(seed, u64::MAX - 3);
        let bot_token = format!("{:016x}{:016x}.simulated.{:016x}", chance.draw(), chance.draw(), chance.draw());
        Discord {
            app,
            keys: keys(&mut chance),
            bot_token,
            shelf: Mutex::default(),
            is_oldest_first: chance.percent(50),
        }
    }

    /// The app that sells.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// `bot_token` of the source.
    #[must_use]
    pub fn bot_token(&self) -> &str {
        &self.bot_token
    }

    /// `public_key` of the source: 64 hex digits.
    #[must_use]
    pub fn public_key(&self) -> String {
        hex(self.keys.public_key().as_ref())
    }

    /// Whether lists are answered oldest first.
    #[must_use]
    pub const fn is_oldest_first(&self) -> bool {
        self.is_oldest_first
    }

    /// What its API shows.
    pub fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What Discord asks a new endpoint, and at any time later.
    #[must_use]
    pub fn ping(&self) -> Vec<u8> {
        json!({"version": 1, "application_id": self.app.id.to_string(), "type": 0}).to_string().into_bytes()
    }

    /// The headers that prove a body: the signature of the time, in seconds, and the body.
    #[must_use]
    pub fn proof(&self, body: &[u8], now_ms: i64) -> Vec<(&'static str, String)> {
        proof(&self.keys, body, now_ms)
    }
}

fn keys(chance: &mut Chance) -> Ed25519KeyPair {
    let mut seed = [0; 32];
    for piece in seed.chunks_mut(8) {
        piece.copy_from_slice(&chance.draw().to_le_bytes());
    }
    Ed25519KeyPair::from_seed_unchecked(&seed).expect("every 32 bytes are a seed of Ed25519")
}

fn proof(keys: &Ed25519KeyPair, body: &[u8], now_ms: i64) -> Vec<(&'static str, String)> {
    let time = now_ms.div_euclid(1000).to_string();
    let signature = keys.sign(&[time.as_bytes(), body].concat());
    vec![(SIGNATURE, hex(signature.as_ref())), (TIMESTAMP, time)]
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl Played for Discord {
    fn kind(&self) -> StoreKind {
        StoreKind::Discord
    }

    fn title(&self) -> &'static str {
        "Simulated Discord app"
    }

    fn config(&self) -> Value {
        json!({
            "application_id": self.app.id.to_string(),
            "public_key": self.public_key(),
            "bot_token": self.bot_token,
            // Its bot does nothing else.
            "calls_a_minute": 1200,
        })
    }

    fn products(&self) -> Vec<(&'static Plan, String)> {
        wire::plans().map(|plan| (plan, wire::sku_id(plan).to_string())).collect()
    }

    fn shop(&self) -> Shop {
        Shop::Discord(self.app)
    }

    fn body(&self, said: &Said) -> Result<Vec<u8>, CannotTell> {
        let Said::Discord(change) = said else { return Err(CannotTell::Misplaced) };
        let event = change.event.as_ref().ok_or(CannotTell::Misplaced)?;
        Ok(event.json(&self.app).to_string().into_bytes())
    }

    fn headers(&self, body: &[u8], now_ms: i64) -> Vec<(&'static str, String)> {
        self.proof(body, now_ms)
    }

    fn opening(&self, _now_ms: i64) -> Option<Vec<u8>> {
        Some(self.ping())
    }

    /// 204 and nothing else, unlike the PING of an interaction.
    fn is_consent(&self, status: u16) -> bool {
        status == 204
    }

    /// Discord takes no endpoint that believes a wrong signature.
    fn probes(&self, now_ms: i64) -> Vec<Forgery> {
        forgeries::probes(self, now_ms)
    }

    fn follow(&self, lives: Feed) {
        let changes = lives.filter_map(|(at, told)| Some((at, Change::clone(told.discord()?))));
        self.shelf().follow(Box::new(changes));
    }

    fn freeze(&self) {
        self.shelf().freeze();
    }
}
