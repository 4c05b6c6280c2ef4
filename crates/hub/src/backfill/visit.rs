//! One customer of a back-fill: the conversation, its retries, and that what was written is what holds.

use crate::dispatch::deliver::{Turn, drive, explain, guarded};
use crate::dispatch::retry::{self, Next};
use crate::dispatch::settle::OnWire;
use crate::dispatch::{Port, Target};
use paidup_destinations::{Memory, Moment, Refresh, Verdict};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::observation::Environment;
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::DEFAULT_KEEP_TRYING;
use std::time::Duration;

/// So many failed attempts at one customer, some five minutes in all; then the next one has its turn.
const MAX_TRIES: u32 = 6;
/// Rate limits are nobody's failure; what refuses so often is no rate limit.
const MAX_REFUSALS: u32 = 50;
/// A customer who changes while being written is written again, so often; then the events of those changes write the rest.
const MAX_ROUNDS: u32 = 5;

/// What came of one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Visit {
    /// Up to date.
    Written,
    /// Nothing to do.
    Skipped,
    /// Refused, with the reason.
    Failed(String),
    /// The far side did not answer, or not as it should, again and again.
    Unreachable(String),
    /// Nobody else will be taken either.
    Halt(String),
}

/// Brings one customer up to date.
pub(super) async fn visit(port: &Port, target: &Target, environment: Environment, customer: Customer) -> Visit {
    let mut customer = customer;
    for _ in 0..MAX_ROUNDS {
        if customer.merged_into.is_some() {
            return Visit::Skipped;
        }
        match write(port, target, environment, &customer).await {
            Visit::Written => {}
            other => return other,
        }
        // A live delivery may have written something newer in between, over which this one then has written.
        match port.store.customer(&customer.id.to_string()).await {
            Ok(Some(now)) if now.id == customer.id && now.revision == customer.revision => return Visit::Written,
            // Merged meanwhile, or erased: the other one has its own turn.
            Ok(Some(now)) if now.id != customer.id => return Visit::Written,
            Ok(None) => return Visit::Written,
            Ok(Some(now)) => customer = now,
            Err(error) => return Visit::Halt(format!("the database cannot be read: {error}")),
        }
    }
    Visit::Written
}

/// Writes what is known, with retries.
async fn write(port: &Port, target: &Target, environment: Environment, customer: &Customer) -> Visit {
    let begun = port.clock.now();
    let (mut tries, mut refusals) = (0, 0);
    loop {
        let moment = Moment { now: port.clock.now(), attempt: tries + 1, waiting: 0 };
        let refresh = Refresh { customer, environment };
        let conversation = guarded(|| target.destination.refresh(&refresh, &Memory::default(), moment));
        let mut conversation = match conversation {
            Ok(Some(conversation)) => conversation,
            Ok(None) => return Visit::Skipped,
            Err(panic) => return Visit::Failed(panic),
        };
        let timeout = target.destination.pace().timeout;
        let talk = drive(port, &mut *conversation, timeout, &target.secrets, &OnWire::default(), Turn::Spare).await;
        let words = |reason: &str| explain(reason, talk.excerpt.as_deref());
        match &talk.verdict {
            Ok(Verdict::Delivered) => return Visit::Written,
            Ok(Verdict::Skip(_)) => return Visit::Skipped,
            Ok(Verdict::GiveUp(reason)) => return Visit::Failed(words(&reason.0)),
            Ok(Verdict::SwitchOff(reason)) => return Visit::Halt(words(&reason.0)),
            Err(poison) => return Visit::Failed(explain(poison, None)),
            Ok(Verdict::Retry { after, counts, reason }) => {
                if *counts {
                    tries += 1
                } else {
                    refusals += 1
                }
                match next_try(port, begun, tries, refusals, *counts, *after) {
                    Some(at) => port.clock.sleep_until(at).await,
                    None => return Visit::Unreachable(words(&reason.0)),
                }
            }
        }
    }
}

/// When a customer is tried again; `None`: often enough.
fn next_try(
    port: &Port,
    begun: Timestamp,
    tries: u32,
    refusals: u32,
    counts: bool,
    after: Option<Duration>,
) -> Option<Timestamp> {
    if tries >= MAX_TRIES || refusals >= MAX_REFUSALS {
        return None;
    }
    let mut bytes = [0; 8];
    port.chance.fill(&mut bytes);
    let (now, chance) = (port.clock.now(), u64::from_le_bytes(bytes));
    if !counts {
        return Some(retry::after_refusal(now, after, chance));
    }
    match retry::after_failure(tries, begun, now, DEFAULT_KEEP_TRYING, after, chance) {
        Next::TryAt(at) => Some(at),
        Next::GiveUp => None,
    }
}
