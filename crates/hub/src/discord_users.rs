//! Whose a Discord user's own token is. Discord is asked (`GET /users/@me`), because nobody else can know: a token that a
//! bot got by Discord's OAuth with the scope `identify` reads that user's purchases here, as it does at Discord.
//! <https://discord.com/developers/docs/resources/user#get-current-user>
//!
//! What Discord answered is remembered for a short time by the token's digest; tokens are not kept.

use crate::Hub;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request, StatusCode};
use paidup_destinations::Answer;
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;
use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::Duration;

/// How long an answer counts: a token that was revoked at Discord reads here for no longer than this.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// Answers that are remembered.
const MAX_KNOWN: usize = 10_000;
/// How long Discord may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest token, in bytes. Discord's have some 30 characters; a bot's have 70.
const MAX_TOKEN: usize = 512;
/// Tokens that Discord may refuse in [`SPAN`] before it is asked no more: it bans an address for ten minutes after 10,000
/// refusals, and messages and roles go out from the same address.
const MAX_REFUSED: u32 = 1_000;
/// See [`MAX_REFUSED`].
const SPAN: Duration = Duration::from_secs(600);

/// What a token says of its bearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// This user's.
    User(Snowflake),
    /// Discord does not know it.
    Unknown,
    /// Discord cannot be asked now; after so long it may be.
    Unreachable(Duration),
}

/// What Discord answered lately.
#[derive(Default)]
pub(crate) struct DiscordUsers(Mutex<Lately>);

#[derive(Default)]
struct Lately {
    /// By the token's digest: whose, and until when that counts. `None`: nobody's.
    known: HashMap<[u8; 32], (Option<Snowflake>, Timestamp)>,
    refused: u32,
    span_ends_at: Option<Timestamp>,
}

impl Lately {
    fn of(&mut self, digest: &[u8; 32], now: Timestamp) -> Option<Bearer> {
        if let Some((user, until)) = self.known.get(digest)
            && *until > now
        {
            return Some(user.map_or(Bearer::Unknown, Bearer::User));
        }
        let ends_at = *self.span_ends_at.get_or_insert_with(|| now.plus(SPAN));
        if ends_at <= now {
            (self.refused, self.span_ends_at) = (0, Some(now.plus(SPAN)));
        }
        (self.refused >= MAX_REFUSED).then(|| Bearer::Unreachable(ends_at.since(now)))
    }

    fn learn(&mut self, digest: [u8; 32], user: Option<Snowflake>, now: Timestamp) {
        if user.is_none() {
            self.refused = self.refused.saturating_add(1);
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.retain(|_, (_, until)| *until > now);
        }
        if self.known.len() < MAX_KNOWN {
            self.known.insert(digest, (user, now.plus(GOOD_FOR)));
        }
    }
}

/// What is read of Discord's user.
#[derive(Deserialize)]
struct User {
    id: Snowflake,
}

impl Hub {
    /// Whose token this is, by Discord's word.
    pub async fn discord_bearer(&self, token: &str) -> Bearer {
        let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}")) else { return Bearer::Unknown };
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Bearer::Unknown;
        }
        value.set_sensitive(true);
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let now = self.clock().now();
        if let Some(bearer) = self.discord_users().0.lock().of(&digest, now) {
            return bearer;
        }
        let url = format!("{}/users/@me", self.upstreams().discord_api.trim_end_matches('/'));
        let request = Request::get(url).header(AUTHORIZATION, value).header(ACCEPT, "application/json");
        let Ok(request) = request.body(Bytes::new()) else { return Bearer::Unknown };
        let answer = match self.outbound().call(request, TIMEOUT).await {
            Answer::Response(answer) => answer,
            Answer::Failed(failure) => {
                tracing::warn!(%failure, "Discord cannot be asked whose a token is");
                return Bearer::Unreachable(TIMEOUT);
            }
        };
        let user = match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => None,
            StatusCode::OK => match serde_json::from_slice::<User>(answer.body()) {
                Ok(user) => Some(user.id),
                Err(_) => return Bearer::Unreachable(TIMEOUT),
            },
            _ => return Bearer::Unreachable(TIMEOUT),
        };
        self.discord_users().0.lock().learn(digest, user, self.clock().now());
        user.map_or(Bearer::Unknown, Bearer::User)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000).unwrap()
    }

    #[test]
    fn an_answer_counts_for_five_minutes() {
        let mut lately = Lately::default();
        let user: Snowflake = "1019653849998299136".parse().unwrap();
        lately.learn([1; 32], Some(user), at(0));
        lately.learn([2; 32], None, at(0));
        assert_eq!(lately.of(&[1; 32], at(299)), Some(Bearer::User(user)));
        assert_eq!(lately.of(&[2; 32], at(299)), Some(Bearer::Unknown));
        assert_eq!(lately.of(&[1; 32], at(300)), None);
        assert_eq!(lately.of(&[3; 32], at(1)), None);
    }

    #[test]
    fn discord_is_not_asked_about_every_token_of_somebody_who_guesses() {
        let mut lately = Lately::default();
        for number in 0..MAX_REFUSED {
            let mut digest = [0; 32];
            digest[..4].copy_from_slice(&number.to_be_bytes());
            assert_eq!(lately.of(&digest, at(0)), None);
            lately.learn(digest, None, at(0));
        }
        assert_eq!(lately.of(&[9; 32], at(60)), Some(Bearer::Unreachable(Duration::from_secs(540))));
        assert_eq!(lately.of(&[9; 32], at(600)), None, "the next ten minutes");
    }
}
