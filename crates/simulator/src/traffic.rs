//! Sends what a population tells to a hub, as Apple does: over connections that stay open, each notification until it is
//! answered with a 2xx.
//!
//! Notifications of one purchase go over one connection, one after another, so they arrive in order; [`Disorder`] breaks
//! that on purpose. Memory is bounded: a slow hub slows the population down.

use crate::chance::Chance;
use crate::lives::Told;
use crate::standins::receiver::Receiver;
use crate::stores::app_store::AppStore;
use crate::truth::Truth;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How fast notifications are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each at its moment of lived time.
    Life,
    /// This many a second, whatever their dates.
    Rate(f64),
    /// As fast as they are answered.
    Unbounded,
}

/// What the network does to the order. Percentages of all notifications.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disorder {
    /// Sent twice.
    pub repeat_percent: u64,
    /// Held back until the next notification of the same purchase has been sent.
    pub swap_percent: u64,
    /// The answer is lost on the way: sent again although it was accepted.
    pub lost_answer_percent: u64,
}

impl Disorder {
    /// Whether notifications of a purchase arrive in order.
    #[must_use]
    pub const fn keeps_order(&self) -> bool {
        self.swap_percent == 0
    }
}

/// How to send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrafficOptions {
    /// How fast.
    pub pace: Pace,
    /// Connections, 1 to 256.
    pub connections: usize,
    /// What goes wrong on the way.
    pub disorder: Disorder,
    /// How long one notification is tried again, counted in the waits between attempts.
    pub patience: Duration,
    /// Decides the disorder.
    pub seed: u64,
}

impl Default for TrafficOptions {
    fn default() -> Self {
        TrafficOptions {
            pace: Pace::Life,
            connections: 16,
            disorder: Disorder::default(),
            patience: Duration::from_secs(120),
            seed: 1,
        }
    }
}

const MAX_CONNECTIONS: usize = 256;
/// Notifications waiting for one connection.
const QUEUE: usize = 32;
/// Held-back notifications of one connection.
const MAX_HELD: usize = 1_000;
/// The waits between attempts. Apple's are hours; a simulation has seconds.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Longest latency that is told apart, in microseconds.
const MAX_LATENCY_US: u64 = 60_000_000;
/// Refusals that are kept with their reason.
const MAX_REFUSALS: usize = 20;
/// Characters of an answer in a refusal.
const MAX_EXCERPT: usize = 300;

/// What has been sent so far. Read it at any time.
#[derive(Debug)]
pub struct Counters {
    told: AtomicU64,
    accepted: AtomicU64,
    attempts: AtomicU64,
    retried: AtomicU64,
    given_up: AtomicU64,
    latency: Mutex<Histogram<u64>>,
    refusals: Mutex<Vec<String>>,
}

impl Default for Counters {
    fn default() -> Self {
        let latency = Histogram::new_with_max(MAX_LATENCY_US, 3)
            .expect("three digits up to a minute are within the histogram's bounds");
        Counters {
            told: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            latency: Mutex::new(latency),
            refusals: Mutex::new(Vec::new()),
        }
    }
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Notifications that the population told.
    pub told: u64,
    /// Of these: answered 2xx, each counted once.
    pub accepted: u64,
    /// Requests, repeats and retries included.
    pub attempts: u64,
    /// Requests that were tried again.
    pub retried: u64,
    /// Notifications that were never accepted.
    pub given_up: u64,
    /// Half of the accepted requests were answered within this many milliseconds.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// Why the first ones were given up.
    pub refusals: Vec<String>,
}

impl Counters {
    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        #[allow(clippy::cast_precision_loss, reason = "a minute of microseconds is far below 2^53")]
        let ms = |percentile| latency.value_at_percentile(percentile) as f64 / 1000.0;
        Snapshot {
            told: self.told.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            attempts: self.attempts.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            given_up: self.given_up.load(Ordering::Relaxed),
            p50_ms: ms(50.0),
            p99_ms: ms(99.0),
            refusals: self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) client: reqwest::Client,
    pub(crate) ingest_url: Arc<str>,
    pub(crate) store: Arc<AppStore>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) truth: Arc<Mutex<Truth>>,
    pub(crate) receiver: Option<Arc<Receiver>>,
    pub(crate) options: TrafficOptions,
}

/// Sends everything, until the population has nothing more to tell or `stop` is cancelled. What has been handed to a
/// connection by then is still sent.
pub(crate) async fn send_all(
    line: &Line,
    population: impl Iterator<Item = Told>,
    speed: f64,
    stop: &CancellationToken,
) {
    let connections = line.options.connections.clamp(1, MAX_CONNECTIONS);
    let mut tasks = JoinSet::new();
    let queues: Vec<_> = (0..connections)
        .map(|number| {
            let (queue, told) = mpsc::channel(QUEUE);
            tasks.spawn(Connection::new(line.clone(), number).run(told));
            queue
        })
        .collect();
    let began = Instant::now();
    for (number, told) in population.enumerate() {
        if stop.is_cancelled() || !wait_for_turn(line, &told, number, began, speed, stop).await {
            break;
        }
        let queue = &queues[lane(&told.purchase, connections)];
        let sent = tokio::select! {
            sent = queue.send(told) => sent.is_ok(),
            () = stop.cancelled() => false,
        };
        if !sent {
            break;
        }
        line.counters.told.fetch_add(1, Ordering::Relaxed);
    }
    drop(queues);
    while tasks.join_next().await.is_some() {}
}

/// False when it is time to stop.
async fn wait_for_turn(
    line: &Line,
    told: &Told,
    number: usize,
    began: Instant,
    speed: f64,
    stop: &CancellationToken,
) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "seconds of a simulation")]
    let seconds = match line.options.pace {
        Pace::Life => told.at as f64 / 1000.0 / speed,
        Pace::Rate(rate) => number as f64 / rate.clamp(0.001, 1_000_000.0),
        Pace::Unbounded => return true,
    };
    let due = began + Duration::try_from_secs_f64(seconds).unwrap_or_default();
    if due <= Instant::now() {
        return true;
    }
    tokio::select! {
        () = sleep_until(due) => true,
        () = stop.cancelled() => false,
    }
}

fn lane(purchase: &str, connections: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    purchase.hash(&mut hasher);
    usize::try_from(hasher.finish() % connections as u64).unwrap_or(0)
}

/// One connection: its purchases' notifications, one after another.
struct Connection {
    line: Line,
    chance: Chance,
    held: BTreeMap<Arc<str>, Told>,
}

impl Connection {
    fn new(line: Line, number: usize) -> Connection {
        let chance = Chance::new(line.options.seed, number as u64);
        Connection { line, chance, held: BTreeMap::new() }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Told>) {
        while let Some(told) = queue.recv().await {
            let disorder = self.line.options.disorder;
            let before = self.held.remove(&told.purchase);
            if before.is_none() && self.held.len() < MAX_HELD && self.chance.percent(disorder.swap_percent) {
                self.held.insert(Arc::clone(&told.purchase), told);
                continue;
            }
            self.deliver(&told).await;
            if let Some(before) = before {
                self.deliver(&before).await;
            }
        }
        for told in std::mem::take(&mut self.held).into_values() {
            self.deliver(&told).await;
        }
    }

    async fn deliver(&mut self, told: &Told) {
        let body = match self.line.store.body(&told.notification) {
            Ok(body) => bytes::Bytes::from(body),
            Err(error) => return self.give_up(told, &error.to_string()),
        };
        if let Some(receiver) = &self.line.receiver {
            receiver.note_sent(&told.purchase);
        }
        let disorder = self.line.options.disorder;
        let mut more = u32::from(self.chance.percent(disorder.repeat_percent))
            + u32::from(self.chance.percent(disorder.lost_answer_percent));
        let mut accepted = false;
        loop {
            match self.attempt_until_answered(&body).await {
                Ok(()) if !accepted => {
                    accepted = true;
                    self.line.counters.accepted.fetch_add(1, Ordering::Relaxed);
                    self.line.truth.lock().unwrap_or_else(PoisonError::into_inner).learn(told);
                }
                Ok(()) => {}
                Err(reason) => return self.give_up(told, &reason),
            }
            if more == 0 {
                return;
            }
            more -= 1;
        }
    }

    /// Tries until there is a 2xx. Apple would try again after a 4xx too; here it ends the notification at once, because
    /// a hub that refuses a genuine notification has a fault that trying again would hide.
    async fn attempt_until_answered(&self, body: &bytes::Bytes) -> Result<(), String> {
        let mut wait = FIRST_WAIT;
        let mut waited = Duration::ZERO;
        loop {
            let reason = match self.attempt(body).await {
                Attempt::Accepted => return Ok(()),
                Attempt::Refused(reason) => return Err(reason),
                Attempt::Failed(reason) => reason,
            };
            if waited >= self.line.options.patience {
                return Err(reason);
            }
            self.line.counters.retried.fetch_add(1, Ordering::Relaxed);
            sleep(wait).await;
            waited += wait;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn attempt(&self, body: &bytes::Bytes) -> Attempt {
        let counters = &self.line.counters;
        counters.attempts.fetch_add(1, Ordering::Relaxed);
        let request = self.line.client.post(&*self.line.ingest_url).header("content-type", "application/json");
        let began = Instant::now();
        let answer = match request.body(body.clone()).send().await {
            Ok(answer) => answer,
            Err(error) => return Attempt::Failed(error.without_url().to_string()),
        };
        let status = answer.status();
        let text = match answer.text().await {
            Ok(text) => text,
            Err(error) => return Attempt::Failed(error.without_url().to_string()),
        };
        if status.is_success() {
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX).min(MAX_LATENCY_US);
            counters.latency.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
            return Attempt::Accepted;
        }
        let excerpt: String = text.chars().take(MAX_EXCERPT).collect();
        let reason = format!("{status}: {excerpt}");
        let again = [408, 425, 429].contains(&status.as_u16()) || status.is_server_error();
        if again { Attempt::Failed(reason) } else { Attempt::Refused(reason) }
    }

    fn give_up(&self, told: &Told, reason: &str) {
        self.line.counters.given_up.fetch_add(1, Ordering::Relaxed);
        let mut refusals = self.line.counters.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() < MAX_REFUSALS {
            refusals.push(format!("{:?} of {}: {reason}", told.turn, told.purchase));
        }
    }
}

enum Attempt {
    Accepted,
    Refused(String),
    Failed(String),
}
