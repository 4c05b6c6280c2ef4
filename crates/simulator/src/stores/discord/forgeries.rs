//! Events that a hub must refuse: each is a genuine one with one thing wrong, by name.

use super::wire::{App, Event};
use super::{Discord, SIGNATURE, TIMESTAMP, keys, proof};
use crate::chance::Chance;
use crate::stores::forgery::{Forgery, MALFORMED, MISDIRECTED, TOO_LARGE};
use serde_json::{Value, json};

/// More than any hub reads: Discord's events are about 1 kB.
const OVERSIZED: usize = 8 * 1024 * 1024;
/// Deeper than any reader should follow.
const DEPTH: usize = 10_000;
/// Discord takes this and nothing else for a refusal of a wrong signature.
pub const REFUSED: &[u16] = &[401];

/// What Discord sends on purpose when an endpoint is registered.
#[must_use]
pub fn probes(discord: &Discord, now_ms: i64) -> Vec<Forgery> {
    forged(discord, discord.ping(), now_ms)
}

/// Every forgery of this genuine event, sent at `now_ms`.
#[must_use]
pub fn all(discord: &Discord, genuine: &Event, now_ms: i64) -> Vec<Forgery> {
    let mut all = forged(discord, genuine.json(&discord.app).to_string().into_bytes(), now_ms);
    all.extend(misdirected(discord, genuine, now_ms));
    all.extend(malformed(discord, genuine, now_ms));
    all
}

fn forged(discord: &Discord, body: Vec<u8>, now_ms: i64) -> Vec<Forgery> {
    let genuine = discord.proof(&body, now_ms);
    let (signature, time) = (genuine[0].1.clone(), genuine[1].1.clone());
    let with = |name, headers| Forgery { name, headers, body: body.clone(), answers: REFUSED };
    let signed = |name, signature: String| with(name, vec![(SIGNATURE, signature), (TIMESTAMP, time.clone())]);
    let mut tampered = body.clone();
    if let Some(byte) = tampered.iter_mut().rfind(|byte| byte.is_ascii_digit()) {
        *byte = if *byte == b'1' { b'2' } else { b'1' };
    }
    let later = (now_ms.div_euclid(1000) + 1).to_string();
    vec![
        with("no proof", vec![]),
        with("no signature", vec![(TIMESTAMP, time.clone())]),
        with("no time", vec![(SIGNATURE, signature.clone())]),
        with("signed by a stranger", proof(&keys(&mut Chance::new(1, 0)), &body, now_ms)),
        with("signed an hour ago", discord.proof(&body, now_ms - 3_600_000)),
        with("signed an hour from now", discord.proof(&body, now_ms + 3_600_000)),
        with("another time than the signed one", vec![(SIGNATURE, signature.clone()), (TIMESTAMP, later)]),
        with("a time that is none", vec![(SIGNATURE, signature.clone()), (TIMESTAMP, "now".to_owned())]),
        signed("an empty signature", String::new()),
        signed("a signature of zeros", "0".repeat(128)),
        signed("a signature cut short", signature[..126].to_owned()),
        signed("a signature that is no hex", "signature".to_owned()),
        // Which of two would be believed is nobody's guess.
        with("two signatures", vec![(SIGNATURE, "00".repeat(64)), (SIGNATURE, signature), (TIMESTAMP, time.clone())]),
        Forgery { name: "a tampered body", headers: genuine, body: tampered, answers: REFUSED },
    ]
}

fn misdirected(discord: &Discord, genuine: &Event, now_ms: i64) -> Vec<Forgery> {
    let other = App { id: discord.app.id + 1, ..discord.app };
    let sealed = |name, body: Value| {
        let body = body.to_string().into_bytes();
        Forgery { name, headers: discord.proof(&body, now_ms), body, answers: MISDIRECTED }
    };
    let late = Event { at: now_ms + 3 * 86_400_000, ..genuine.clone() };
    vec![
        sealed("another application", genuine.json(&other)),
        sealed(
            "a PING of another application",
            json!({"version": 1, "application_id": other.id.to_string(), "type": 0}),
        ),
        sealed("an event of next week", late.json(&discord.app)),
    ]
}

fn malformed(discord: &Discord, genuine: &Event, now_ms: i64) -> Vec<Forgery> {
    let sealed =
        |name, body: Vec<u8>| Forgery { name, headers: discord.proof(&body, now_ms), body, answers: MALFORMED };
    let body = genuine.json(&discord.app);
    let without = |name, member: &str| {
        let mut changed = body.clone();
        changed.as_object_mut().map(|all| all.remove(member));
        sealed(name, changed.to_string().into_bytes())
    };
    let text = body.to_string().into_bytes();
    let deep = ["[".repeat(DEPTH), "]".repeat(DEPTH)].concat();
    let mut not_text = text.clone();
    not_text[20] = 0xFF;
    let oversized = [b"{\"version\":\"", vec![b'A'; OVERSIZED].as_slice(), b"\"}"].concat();
    vec![
        sealed("truncated", text[..text.len() / 2].to_vec()),
        sealed("empty", Vec::new()),
        sealed("not UTF-8", not_text),
        sealed("deep nesting", format!("{{\"event\":{deep}}}").into_bytes()),
        sealed("an interaction", br#"{"type":2}"#.to_vec()),
        without("no type", "type"),
        without("no event", "event"),
        Forgery { answers: TOO_LARGE, ..sealed("oversized", oversized) },
    ]
}
