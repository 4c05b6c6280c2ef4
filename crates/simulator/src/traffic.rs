//! Sends what a population tells to a hub, as the stores do: over connections that stay open, each notification until it is
//! answered with a 2xx.
//!
//! Notifications of one purchase go over one connection, one after another, so they arrive in order; [`Disorder`] breaks
//! that on purpose. Memory is bounded: a slow hub slows the population down.

use crate::chance::Chance;
use crate::edge::Clock;
use crate::lives::{Said, Told};
use crate::standins::receiver::Receiver;
use crate::stores::StoreKind;
use crate::stores::app_store::AppStore;
use crate::stores::stripe::Stripe;
use crate::truth::Truth;
use bytes::Bytes;
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
    /// Every purchase's notifications are held back until there are this many, then sent in any order but the right one,
    /// mixed with those of other purchases. 0 or 1: not at all; at most [`MAX_WINDOW`].
    pub shuffle_window: usize,
}

impl Disorder {
    /// Whether notifications of a purchase arrive in order.
    #[must_use]
    pub const fn keeps_order(&self) -> bool {
        self.swap_percent == 0 && self.shuffle_window < 2
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
/// The widest window of a shuffle.
pub const MAX_WINDOW: usize = 64;
/// Notifications waiting for one connection.
const QUEUE: usize = 32;
/// Held-back notifications of one connection.
const MAX_HELD: usize = 1_000;
/// The waits between attempts. The stores' are hours; a simulation has seconds.
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
    by_store: Mutex<BTreeMap<StoreKind, StoreFigures>>,
    latency: Mutex<Histogram<u64>>,
    refusals: Mutex<Vec<String>>,
}

/// What one store has sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StoreFigures {
    /// Notifications that its customers told.
    pub told: u64,
    /// Of these: answered 2xx, each counted once.
    pub accepted: u64,
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
            by_store: Mutex::default(),
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
    /// The same by store.
    pub by_store: BTreeMap<StoreKind, StoreFigures>,
    /// Why the first ones were given up.
    pub refusals: Vec<String>,
}

impl Counters {
    fn count_told(&self, told: &Told) {
        self.told.fetch_add(1, Ordering::Relaxed);
        self.by_store.lock().unwrap_or_else(PoisonError::into_inner).entry(told.store()).or_default().told += 1;
    }

    fn count_accepted(&self, told: &Told) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.by_store.lock().unwrap_or_else(PoisonError::into_inner).entry(told.store()).or_default().accepted += 1;
    }

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
            by_store: self.by_store.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            refusals: self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// A store, and where its notifications go.
pub(crate) struct Desk<S> {
    pub(crate) store: Arc<S>,
    pub(crate) ingest_url: Arc<str>,
}

impl<S> Clone for Desk<S> {
    fn clone(&self) -> Self {
        Desk { store: Arc::clone(&self.store), ingest_url: Arc::clone(&self.ingest_url) }
    }
}

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) client: reqwest::Client,
    pub(crate) app_store: Desk<AppStore>,
    pub(crate) stripe: Desk<Stripe>,
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
        line.counters.count_told(&told);
        if queues[lane(&told.purchase, connections)].send(told).await.is_err() {
            break;
        }
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

impl Line {
    fn body(&self, told: &Told) -> Result<Vec<u8>, String> {
        match &told.said {
            Said::AppStore(notification) => self.app_store.store.body(notification).map_err(|error| error.to_string()),
            Said::Stripe(event) => self.stripe.store.body(event).map_err(|error| error.to_string()),
        }
    }

    /// One attempt: Apple's proof is in the body, Stripe signs each attempt anew.
    fn request(&self, told: &Told, body: &Bytes) -> reqwest::RequestBuilder {
        let request = match &told.said {
            Said::AppStore(_) => self.client.post(&*self.app_store.ingest_url),
            Said::Stripe(_) => {
                let signature = self.stripe.store.signature(body, Clock::System.now_ms());
                self.client.post(&*self.stripe.ingest_url).header("stripe-signature", signature)
            }
        };
        request.header("content-type", "application/json").body(body.clone())
    }
}

/// A notification on its way.
struct Parcel {
    told: Told,
    /// It was accepted before.
    is_repeat: bool,
}

/// One connection: its purchases' notifications, one after another.
struct Connection {
    line: Line,
    chance: Chance,
    held: BTreeMap<Arc<str>, Vec<Told>>,
    held_count: usize,
    /// Shuffled and ready to be sent, in any order.
    pool: Vec<Parcel>,
}

impl Connection {
    fn new(line: Line, number: usize) -> Connection {
        let chance = Chance::new(line.options.seed, number as u64);
        Connection { line, chance, held: BTreeMap::new(), held_count: 0, pool: Vec::new() }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Told>) {
        let window = self.line.options.disorder.shuffle_window.min(MAX_WINDOW);
        while let Some(told) = queue.recv().await {
            if window < 2 { self.swap(told).await } else { self.mix(told, window).await }
        }
        for (_, held) in std::mem::take(&mut self.held) {
            self.release(held);
        }
        while self.send_any().await {}
    }

    /// Sends it, or holds it back until the next of its purchase has been sent.
    async fn swap(&mut self, told: Told) {
        let percent = self.line.options.disorder.swap_percent;
        let before = self.held.remove(&told.purchase);
        if before.is_none() && self.held.len() < MAX_HELD && self.chance.percent(percent) {
            self.held.insert(Arc::clone(&told.purchase), vec![told]);
            return;
        }
        self.deliver(&Parcel { told, is_repeat: false }).await;
        for told in before.into_iter().flatten() {
            self.deliver(&Parcel { told, is_repeat: false }).await;
        }
    }

    /// Holds it back until its purchase has enough to shuffle, or there is no more room; then keeps as many in the pool
    /// as the window is wide.
    async fn mix(&mut self, told: Told, window: usize) {
        let purchase = Arc::clone(&told.purchase);
        let of_purchase = self.held.entry(Arc::clone(&purchase)).or_default();
        of_purchase.push(told);
        self.held_count += 1;
        let full = (of_purchase.len() >= window).then_some(purchase);
        let full = full.or_else(|| (self.held_count > MAX_HELD).then(|| self.held.keys().next().cloned()).flatten());
        if let Some(held) = full.and_then(|purchase| self.held.remove(&purchase)) {
            self.held_count -= held.len();
            self.release(held);
        }
        while self.pool.len() > window {
            self.send_any().await;
        }
    }

    /// Puts a purchase's notifications into the pool, in any order but the right one.
    fn release(&mut self, mut held: Vec<Told>) {
        for last in (1..held.len()).rev() {
            let other = usize::try_from(self.chance.below(last as u64 + 1)).unwrap_or(0);
            held.swap(last, other);
        }
        if held.len() > 1 && held.is_sorted_by_key(|told| told.ordinal) {
            held.rotate_left(1);
        }
        self.pool.extend(held.into_iter().map(|told| Parcel { told, is_repeat: false }));
    }

    /// Sends the first of the pool, or one further back. False: there is none.
    async fn send_any(&mut self) -> bool {
        if self.pool.is_empty() {
            return false;
        }
        let place = usize::try_from(self.chance.below(self.pool.len() as u64)).unwrap_or(0);
        let parcel = self.pool.remove(place);
        let is_repeated = !parcel.is_repeat && self.chance.percent(self.line.options.disorder.repeat_percent);
        if self.deliver(&parcel).await && is_repeated {
            // It comes again later, among others.
            self.pool.push(Parcel { is_repeat: true, ..parcel });
        }
        true
    }

    /// True: it was accepted.
    async fn deliver(&mut self, parcel: &Parcel) -> bool {
        let told = &parcel.told;
        let body = match self.line.body(told) {
            Ok(body) => Bytes::from(body),
            Err(error) => {
                self.give_up(told, &error);
                return false;
            }
        };
        if let Some(receiver) = &self.line.receiver {
            receiver.note_sent(&told.purchase);
        }
        let disorder = self.line.options.disorder;
        // In a shuffle repeats come from the pool.
        let at_once = if disorder.shuffle_window < 2 { disorder.repeat_percent } else { 0 };
        let mut more =
            u32::from(self.chance.percent(at_once)) + u32::from(self.chance.percent(disorder.lost_answer_percent));
        let mut accepted = parcel.is_repeat;
        loop {
            match self.attempt_until_answered(told, &body).await {
                Ok(()) if !accepted => {
                    accepted = true;
                    self.line.counters.count_accepted(told);
                    self.line.truth.lock().unwrap_or_else(PoisonError::into_inner).learn(told);
                }
                Ok(()) => {}
                Err(reason) => {
                    self.give_up(told, &reason);
                    return false;
                }
            }
            if more == 0 {
                return true;
            }
            more -= 1;
        }
    }

    /// Tries until there is a 2xx. Stores would try again after a 4xx too; here it ends the notification at once, because
    /// a hub that refuses a genuine notification has a fault that trying again would hide.
    async fn attempt_until_answered(&self, told: &Told, body: &Bytes) -> Result<(), String> {
        let mut wait = FIRST_WAIT;
        let mut waited = Duration::ZERO;
        loop {
            let reason = match self.attempt(told, body).await {
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

    async fn attempt(&self, told: &Told, body: &Bytes) -> Attempt {
        let counters = &self.line.counters;
        counters.attempts.fetch_add(1, Ordering::Relaxed);
        let request = self.line.request(told, body);
        let began = Instant::now();
        let answer = match request.send().await {
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
