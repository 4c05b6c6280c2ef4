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
/// ASSUMPTION: Discord limits edits of messages that are older than an hour (code 30046) and does not say how. Somebody saw
/// three in twenty seconds for a channel.
const OLD_EDITS: u32 = 3;
/// See [`OLD_EDITS`].
const OLD_EDITS_WINDOW: Duration = Duration::from_secs(20);

/// All of Discord, from this address.
pub(super) fn global() -> BudgetKey {
    BudgetKey("discord/global".to_owned())
}

/// One webhook. Discord's bucket names are no keys of their own: they repeat from webhook to webhook.
pub(super) fn webhook(id: &str) -> BudgetKey {
    BudgetKey(format!("discord/webhook/{id}"))
}

/// The channel of a webhook. Its id is not in the address but in the first answer, which joins this with [`channel`].
pub(super) fn channel_of(id: &str) -> BudgetKey {
    BudgetKey(format!("discord/channel-of/{id}"))
}

/// A channel, whatever webhooks post in it: they share its limit.
pub(super) fn channel(id: &str) -> BudgetKey {
    BudgetKey(format!("discord/channel/{id}"))
}

/// Edits of old messages by a webhook.
pub(super) fn old_edits_of(id: &str) -> BudgetKey {
    BudgetKey(format!("discord/old-edits-of/{id}"))
}

/// First guesses for webhook `id`. `edits`: it edits messages too.
pub(super) fn guesses(id: &str, edits: bool) -> Vec<BudgetGuess> {
    let mut guesses = vec![
        BudgetGuess { key: global(), calls: GLOBAL_CALLS, per: GLOBAL_WINDOW },
        BudgetGuess { key: webhook(id), calls: WEBHOOK_CALLS, per: WEBHOOK_WINDOW },
        BudgetGuess { key: channel_of(id), calls: CHANNEL_CALLS, per: CHANNEL_WINDOW },
    ];
    if edits {
        guesses.push(BudgetGuess { key: old_edits_of(id), calls: OLD_EDITS, per: OLD_EDITS_WINDOW });
    }
    guesses
}
