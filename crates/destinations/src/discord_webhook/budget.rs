//! Whose limits a call counts against, and what is known of them before the first answer (discord-delivery.md section 8).
//!
//! Discord publishes no numbers for webhooks and says to learn them from headers. The guesses are what its staff and many
//! senders have seen; they keep a hub from running into 429s in its first second.

use crate::{BudgetGuess, BudgetKey};
use std::time::Duration;

/// Calls without `Authorization` count against the address: 50 a second. A little below, for the calls of others.
pub const GLOBAL_CALLS: u32 = 45;
/// See [`GLOBAL_CALLS`].
pub const GLOBAL_WINDOW: Duration = Duration::from_secs(1);
/// 5 in 2 s for a webhook (staff remark in discord-api-docs #367).
pub const WEBHOOK_CALLS: u32 = 5;
/// See [`WEBHOOK_CALLS`].
pub const WEBHOOK_WINDOW: Duration = Duration::from_secs(2);
/// 30 in 60 s for a channel (the same thread).
pub const CHANNEL_CALLS: u32 = 30;
/// See [`CHANNEL_CALLS`].
pub const CHANNEL_WINDOW: Duration = Duration::from_secs(60);

/// All of Discord, from this address.
pub(super) fn global() -> BudgetKey {
    BudgetKey("discord/global".to_owned())
}

/// One webhook. Discord's bucket names are no keys of their own: they repeat from webhook to webhook.
pub(super) fn webhook(id: &str) -> BudgetKey {
    BudgetKey(format!("discord/webhook/{id}"))
}

/// The channel of a webhook. Its id is not in the address, so two webhooks of one channel are counted apart; headers
/// put that right.
pub(super) fn channel_of(id: &str) -> BudgetKey {
    BudgetKey(format!("discord/channel-of/{id}"))
}

/// First guesses for webhook `id`.
pub(super) fn guesses(id: &str) -> Vec<BudgetGuess> {
    vec![
        BudgetGuess { key: global(), calls: GLOBAL_CALLS, per: GLOBAL_WINDOW },
        BudgetGuess { key: webhook(id), calls: WEBHOOK_CALLS, per: WEBHOOK_WINDOW },
        BudgetGuess { key: channel_of(id), calls: CHANNEL_CALLS, per: CHANNEL_WINDOW },
    ]
}
