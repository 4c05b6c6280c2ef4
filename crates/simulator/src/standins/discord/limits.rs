//! Discord's rate limits, as far as they are published.
//!
//! A webhook call passes four gates: the global one (50 a second for an address), the webhook's own bucket
//! (5 in 2 s), the channel's (30 in 60 s), and the count of invalid requests (10,000 in 10 minutes, then a block of the
//! whole address). Windows slide: at no moment more than the limit lies in the span before it.
//!
//! ASSUMPTION: edits and deletions pass the same buckets as messages, and what stands in threads counts for their channel;
//! Discord may have more room there. Edits of messages that are older than an hour pass a fifth gate (code 30046).

use crate::standins::limits::Limit;

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one webhook.
    pub webhook: Limit,
    /// Of all webhooks of one channel together.
    pub channel: Limit,
    /// Of one address.
    pub global: Limit,
    /// Answers 401, 403 and 429 (but for shared ones) until the address is blocked.
    pub invalid: Limit,
    /// Edits, in one channel, of messages that are older than an hour.
    pub old_edits: Limit,
    /// How long the address is then blocked.
    pub block_ms: i64,
}

impl Default for Limits {
    /// The published ones. ASSUMPTION: the block lasts ten minutes; reports range up to an hour. ASSUMPTION: the number of
    /// edits of old messages, which Discord does not tell; somebody saw three in twenty seconds.
    fn default() -> Self {
        Limits {
            webhook: Limit { calls: 5, span_ms: 2_000 },
            channel: Limit { calls: 30, span_ms: 60_000 },
            global: Limit { calls: 50, span_ms: 1_000 },
            invalid: Limit { calls: 10_000, span_ms: 600_000 },
            old_edits: Limit { calls: 3, span_ms: 20_000 },
            block_ms: 600_000,
        }
    }
}

impl Limits {
    /// The same limits in a time that runs `scale` times faster, for demonstrations.
    #[must_use]
    pub fn scaled(self, scale: u32) -> Limits {
        let faster = |limit: Limit| Limit { span_ms: (limit.span_ms / i64::from(scale.max(1))).max(1), ..limit };
        Limits {
            webhook: faster(self.webhook),
            channel: faster(self.channel),
            global: faster(self.global),
            invalid: faster(self.invalid),
            old_edits: faster(self.old_edits),
            block_ms: self.block_ms / i64::from(scale.max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_shortens_the_spans_and_keeps_the_counts() {
        let limits = Limits::default().scaled(10);
        assert_eq!(limits.webhook, Limit { calls: 5, span_ms: 200 });
        assert_eq!(limits.channel, Limit { calls: 30, span_ms: 6_000 });
        assert_eq!(Limits::default().scaled(0), Limits::default());
    }
}
