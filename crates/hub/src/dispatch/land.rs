//! What an answer does: to the book, the breaker, the attempts that people read, and to the loop itself.

use super::deliver::{Talk, explain, millis};
use super::retry::{self, Next};
use super::run::Dispatcher;
use super::settle::{Place, Taken};
use paidup_destinations::{About, Reason, Verdict};
use paidup_lifecycle::ids::EventId;
use paidup_lifecycle::time::Timestamp;
use paidup_store::StoreError;
use paidup_store::records::{AttemptRecord, DeliveryState, DestinationState};
use std::time::Duration;

/// So many events in a row that cannot be rendered are no accident of one event.
const MAX_POISONED: u32 = 5;
/// An event that could not be loaded is tried again after this.
const RELOAD_AFTER: Duration = Duration::from_secs(1);

/// A delivery that ended.
pub(super) struct Landed {
    pub(super) taken: Vec<Taken>,
    /// When its first call went out.
    pub(super) started: Timestamp,
    pub(super) took: Duration,
    pub(super) outcome: Outcome,
}

/// How.
pub(super) enum Outcome {
    /// The far side was spoken to, or the events could not be rendered.
    Talked {
        /// What was said.
        talk: Talk,
        /// What the first event is about: what is remembered is remembered about it.
        about: About,
    },
    /// These places' events are no longer kept.
    Gone(Vec<u64>),
    /// The database did not answer.
    NotLoaded(StoreError),
}

/// What all attempts of a delivery have in common.
struct Attempt {
    at: Timestamp,
    duration_ms: u32,
    status: Option<u16>,
    /// It may have arrived, and the far side cannot tell a repeat.
    may_repeat: bool,
}

/// A failure that may pass.
struct Failure {
    after: Option<Duration>,
    counts: bool,
    why: String,
}

impl Dispatcher {
    pub(super) fn land(&mut self, landed: Landed, now: Timestamp) {
        let Landed { taken, started, took, outcome } = landed;
        let mut attempt = Attempt { at: started, duration_ms: millis(took), status: None, may_repeat: false };
        let (talk, about) = match outcome {
            Outcome::Talked { talk, about } => (talk, about),
            Outcome::Gone(gone) => return self.land_without(&taken, &gone, &attempt, now),
            Outcome::NotLoaded(error) => {
                tracing::warn!(destination.id = %self.target.id, %error, "an event cannot be loaded");
                return self.put_back(&taken, now.plus(RELOAD_AFTER), false, now);
            }
        };
        attempt.status = talk.status;
        attempt.may_repeat = talk.is_unclear() && !self.target.destination.tells_repeats();
        self.gauges.took(took);
        if let Some(memory) = talk.memory {
            self.remember(about, memory);
        }
        let excerpt = talk.excerpt;
        let words = |reason: &Reason| explain(&reason.0, excerpt.as_deref());
        match talk.verdict {
            Err(poison) => self.land_poison(&taken, &attempt, &poison, now),
            Ok(Verdict::Delivered) => self.land_delivered(&taken, &attempt, now),
            Ok(Verdict::Skip(_)) => {
                self.breaker.unclear(now);
                taken.iter().for_each(|one| self.book.settle(one.position));
            }
            // One of several may be the reason: each is asked for alone.
            Ok(Verdict::GiveUp(_)) if taken.len() > 1 => {
                self.alive(now);
                self.put_back(&taken, now, true, now);
            }
            Ok(Verdict::GiveUp(reason)) => {
                self.alive(now);
                taken.iter().for_each(|one| self.give_up(one, &attempt, words(&reason)));
            }
            Ok(Verdict::Retry { after, counts, reason }) => {
                let failure = Failure { after, counts, why: words(&reason) };
                self.land_failed(&taken, &attempt, &failure, now);
            }
            Ok(Verdict::SwitchOff(reason)) => {
                let why = words(&reason);
                for one in &taken {
                    self.note(one, &attempt, DeliveryState::Retrying, Some(why.clone()));
                }
                self.put_back(&taken, now, false, now);
                self.halted = Some((DestinationState::SwitchedOff, why));
            }
        }
    }

    /// Answered, whatever the answer: somebody is there.
    fn alive(&mut self, now: Timestamp) {
        self.poisoned = 0;
        if self.breaker.succeeded(now) {
            tracing::info!(destination.id = %self.target.id, "the destination answers again");
        }
    }

    fn land_delivered(&mut self, taken: &[Taken], attempt: &Attempt, now: Timestamp) {
        self.alive(now);
        for one in taken {
            self.gauges.delivered.inc();
            let detail =
                one.passed_at.map(|at| format!("out of its lane's order: the lane went on without it at {at}"));
            self.note(one, attempt, DeliveryState::Delivered, detail);
            self.book.settle(one.position);
        }
    }

    fn land_failed(&mut self, taken: &[Taken], attempt: &Attempt, failure: &Failure, now: Timestamp) {
        let keep_trying = self.target.keep_trying;
        if attempt.may_repeat {
            self.gauges.may_repeat.inc_by(taken.len() as u64);
        }
        if failure.counts {
            for one in taken {
                self.gauges.retried.inc();
                if self.breaker.failed(one.position, now) {
                    // The alert that a person must act on is the error (`hub/alerts`): this one may come and go.
                    tracing::warn!(destination.id = %self.target.id, reason = failure.why, "the destination is down");
                }
            }
        } else {
            self.breaker.unclear(now);
        }
        if failure.counts && self.breaker.is_hopeless(now, keep_trying) {
            return self.land_hopeless(taken, attempt, failure, now);
        }
        // A dead destination uses up nobody's attempts and gets nobody parked.
        if self.breaker.is_open() {
            for one in taken {
                self.note(one, attempt, DeliveryState::Retrying, Some(failure.why.clone()));
            }
            return self.put_back(taken, now, false, now);
        }
        // One draw for all: those that shared a delivery come back together.
        let chance = self.draw();
        for one in taken {
            let first = one.first_failed_at.unwrap_or(now);
            let counts = failure.counts || retry::is_late(first, now, keep_trying);
            let next = if counts {
                retry::after_failure(one.attempts.saturating_add(1), first, now, keep_trying, failure.after, chance)
            } else {
                Next::TryAt(retry::after_refusal(now, failure.after, chance))
            };
            match next {
                Next::TryAt(at) => {
                    // A rate limit is no failed attempt; its reason stands in the row.
                    if counts {
                        self.note(one, attempt, DeliveryState::Retrying, Some(failure.why.clone()));
                    }
                    self.book.retry(one.position, now, at, counts, failure.why.clone());
                }
                Next::GiveUp => {
                    let hours = keep_trying.as_secs() / 3600;
                    self.give_up(one, attempt, format!("given up after {hours} hours; {}", failure.why));
                }
            }
        }
    }

    /// Nothing was taken for as long as an event is tried: nobody is there. Nothing is given up for it; the destination
    /// is switched off, and catches up when it is resumed.
    fn land_hopeless(&mut self, taken: &[Taken], attempt: &Attempt, failure: &Failure, now: Timestamp) {
        for one in taken {
            self.note(one, attempt, DeliveryState::Retrying, Some(failure.why.clone()));
        }
        self.put_back(taken, now, false, now);
        let hours = self.target.keep_trying.as_secs() / 3600;
        let why = format!("nothing was taken for {hours} hours; the last failure: {}", failure.why);
        self.halted = Some((DestinationState::SwitchedOff, why));
    }

    fn land_poison(&mut self, taken: &[Taken], attempt: &Attempt, poison: &str, now: Timestamp) {
        self.breaker.unclear(now);
        let [one] = taken else { return self.put_back(taken, now, true, now) };
        let why = explain(&format!("the event cannot be rendered: {poison}"), None);
        tracing::error!(destination.id = %self.target.id, event.id = %one.event_id, reason = why, "event given up");
        self.poisoned += 1;
        if self.poisoned >= MAX_POISONED {
            let many = format!("{MAX_POISONED} events in a row could not be rendered; the last one: {poison}");
            self.halted = Some((DestinationState::Paused, explain(&many, None)));
        }
        self.give_up(one, attempt, why);
    }

    fn land_without(&mut self, taken: &[Taken], gone: &[u64], attempt: &Attempt, now: Timestamp) {
        let (without, with): (Vec<_>, Vec<_>) = taken.iter().cloned().partition(|one| gone.contains(&one.position));
        for one in &without {
            self.give_up(one, attempt, "the event is no longer kept".to_owned());
        }
        self.put_back(&with, now, false, now);
    }

    fn give_up(&mut self, one: &Taken, attempt: &Attempt, why: String) {
        self.gauges.failed.inc();
        self.note(one, attempt, DeliveryState::Failed, Some(why));
        self.book.settle(one.position);
    }

    fn put_back(&mut self, taken: &[Taken], at: Timestamp, alone: bool, now: Timestamp) {
        self.breaker.unclear(now);
        taken.iter().for_each(|one| self.book.put_back(one.position, at, alone));
    }

    fn note(&mut self, one: &Taken, attempt: &Attempt, state: DeliveryState, detail: Option<String>) {
        self.book.note(AttemptRecord {
            partition: self.partition(),
            position: one.position,
            event_id: one.event_id,
            attempt: one.attempts.saturating_add(1),
            at: attempt.at,
            duration_ms: attempt.duration_ms,
            status: attempt.status,
            state,
            detail,
            may_repeat: attempt.may_repeat,
        });
    }

    /// A person gives up the event that its lane waits for. Answers how it stood.
    pub(super) fn give_up_by_hand(&mut self, position: u64, event_id: EventId, why: String, now: Timestamp) -> Place {
        let place = self.book.place(position);
        if let Place::First { attempts } = place {
            self.gauges.failed.inc();
            tracing::info!(destination.id = %self.target.id, event.id = %event_id, "event given up by hand");
            self.book.note(AttemptRecord {
                partition: self.partition(),
                position,
                event_id,
                attempt: attempts.max(1),
                at: now,
                duration_ms: 0,
                status: None,
                state: DeliveryState::Failed,
                detail: Some(why),
                may_repeat: false,
            });
            self.book.settle(position);
        }
        place
    }

    fn draw(&self) -> u64 {
        let mut bytes = [0; 8];
        self.port.chance.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
