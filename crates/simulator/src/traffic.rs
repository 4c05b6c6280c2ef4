//! Sends what a population tells to a hub, as the stores do: over connections that stay open, each notification until it is
//! answered with a 2xx.
//!
//! Notifications of one purchase go over one connection, one after another, so they arrive in order; [`Disorder`] breaks
//! that on purpose. Memory is bounded: a slow hub slows the population down.

use crate::calendar::Lived;
use crate::chance::Chance;
use crate::edge::Clock;
use crate::lives::Told;
use crate::standins::receiver::Receiver;
use crate::stores::{CannotTell, Outcome, Played, StoreKind};
use crate::truth::Truth;
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::StatusCode;
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

/// What goes wrong on the way. Percentages of all notifications.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disorder {
    /// Never arrive: the store gives up on them.
    pub drop_percent: u64,
    /// Sent twice.
    pub repeat_percent: u64,
    /// Held back until the next notification of the same purchase has been sent.
    pub swap_percent: u64,
    /// The answer is lost on the way: sent again although it was accepted.
    pub lost_answer_percent: u64,
    /// Held back for `late_by`.
    pub late_percent: u64,
    /// How long, in lived time: an hour of the customers, not of the machine.
    pub late_by: Lived,
    /// Each attempt waits a time of its own before it is made, at most this long.
    pub delay: Duration,
    /// Every purchase's notifications are held back until there are this many, then sent in any order but the right one,
    /// mixed with those of other purchases. 0 or 1: not at all; at most [`MAX_WINDOW`].
    pub shuffle_window: usize,
}

impl Disorder {
    /// Nothing goes wrong.
    pub const NONE: Disorder = Disorder {
        drop_percent: 0,
        repeat_percent: 0,
        swap_percent: 0,
        lost_answer_percent: 0,
        late_percent: 0,
        late_by: 0,
        delay: Duration::ZERO,
        shuffle_window: 0,
    };

    /// Whether notifications of a purchase arrive in order, all of them.
    #[must_use]
    pub const fn keeps_order(&self) -> bool {
        self.swap_percent == 0 && self.shuffle_window < 2 && self.late_percent == 0 && self.drop_percent == 0
    }

    /// What becomes of one notification. Drawn in the order in which the population tells, so that the seed alone decides.
    pub(crate) fn fate(&self, chance: &mut Chance) -> Fate {
        Fate {
            dropped: chance.percent(self.drop_percent),
            repeated: chance.percent(self.repeat_percent),
            swapped: chance.percent(self.swap_percent),
            answer_lost: chance.percent(self.lost_answer_percent),
            late: chance.percent(self.late_percent),
        }
    }
}

/// What becomes of one notification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) dropped: bool,
    pub(crate) repeated: bool,
    pub(crate) swapped: bool,
    answer_lost: bool,
    pub(crate) late: bool,
}

/// What goes wrong on the way from each store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disorders {
    /// From all stores.
    pub all: Disorder,
    /// From these stores instead.
    pub by_store: BTreeMap<StoreKind, Disorder>,
}

impl Disorders {
    /// What goes wrong on the way from this store.
    #[must_use]
    pub fn of(&self, store: StoreKind) -> Disorder {
        self.by_store.get(&store).copied().unwrap_or(self.all)
    }
}

impl From<Disorder> for Disorders {
    fn from(all: Disorder) -> Disorders {
        Disorders { all, by_store: BTreeMap::new() }
    }
}

/// How to send.
#[derive(Debug, Clone, PartialEq)]
pub struct TrafficOptions {
    /// How fast.
    pub pace: Pace,
    /// Connections, 1 to 256.
    pub connections: usize,
    /// What goes wrong on the way.
    pub disorder: Disorders,
    /// How far the stores' clocks are ahead, in milliseconds: what is signed anew for each attempt is signed then.
    pub skew_ms: i64,
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
            disorder: Disorders::default(),
            skew_ms: 0,
            patience: Duration::from_secs(120),
            seed: 1,
        }
    }
}

const MAX_CONNECTIONS: usize = 256;
/// Tells the numbers of fates from those of connections.
pub(crate) const FATES: u64 = 0x0FA7_E5FA_7E5F_A7E5;
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
    dropped: AtomicU64,
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
    /// Of these: lost on the way on purpose, never sent.
    pub dropped: u64,
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
            dropped: AtomicU64::new(0),
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
    /// Notifications that were lost on the way on purpose, never sent.
    pub dropped: u64,
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

    pub(crate) fn note_refusal(&self, refusal: String) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() < MAX_REFUSALS {
            refusals.push(refusal);
        }
    }

    fn count_dropped(&self, told: &Told) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.by_store.lock().unwrap_or_else(PoisonError::into_inner).entry(told.store()).or_default().dropped += 1;
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
            dropped: self.dropped.load(Ordering::Relaxed),
            p50_ms: ms(50.0),
            p99_ms: ms(99.0),
            by_store: self.by_store.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            refusals: self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// A store, and where its notifications go.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) store: Arc<dyn Played>,
    pub(crate) ingest_url: Arc<str>,
}

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) client: reqwest::Client,
    pub(crate) desks: Arc<BTreeMap<StoreKind, Desk>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) truth: Arc<Mutex<Truth>>,
    pub(crate) receiver: Option<Arc<Receiver>>,
    pub(crate) options: TrafficOptions,
    /// When attempts are made.
    pub(crate) clock: Clock,
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
        if told.is_silent() {
            line.learn_unheard(&told);
            continue;
        }
        line.counters.count_told(&told);
        let mut chance = Chance::new(line.options.seed ^ FATES, number as u64);
        let fate = line.options.disorder.of(told.store()).fate(&mut chance);
        if fate.dropped {
            line.drop_it(&told);
            continue;
        }
        if queues[lane(&told.purchase, connections)].send(Parcel { told, fate }).await.is_err() {
            break;
        }
    }
    drop(queues);
    while tasks.join_next().await.is_some() {}
}

/// Asks receivers for their consent where a store does that first, and waits for it.
pub(crate) async fn open(line: &Line) -> Result<(), String> {
    for desk in line.desks.values() {
        let now_ms = line.clock.now_ms() + line.options.skew_ms;
        let Some(body) = desk.store.opening(now_ms).map(Bytes::from) else { continue };
        let answer = desk.call(&line.client, &body, now_ms).await;
        let (status, _) = answer.map_err(|error| error.without_url().to_string())?;
        if !desk.store.is_consent(status.as_u16()) {
            return Err(format!("{} was not let in: {status}", desk.store.kind()));
        }
        for probe in desk.store.probes(now_ms) {
            let answer = desk.send(&line.client, &probe.body.into(), &probe.headers).await;
            let (status, _) = answer.map_err(|error| error.without_url().to_string())?;
            if !probe.answers.contains(&status.as_u16()) {
                return Err(format!("{} asked for {}: {status}", desk.store.kind(), probe.name));
            }
        }
        let until = Instant::now() + line.options.patience;
        while !desk.store.is_open() {
            if Instant::now() > until {
                return Err(format!("{}: {NOT_OPEN}", desk.store.kind()));
            }
            sleep(FIRST_WAIT).await;
        }
    }
    Ok(())
}

/// Why nothing flows.
const NOT_OPEN: &str = "the receiver has not confirmed that it wants notifications";

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
    /// It is lost on the way: true all the same, and the store knows that nobody answered.
    fn drop_it(&self, told: &Told) {
        self.counters.count_dropped(told);
        self.learn_unheard(told);
        if let Ok(desk) = self.desk(told) {
            desk.store.attempted(&told.said, self.clock.now_ms(), Outcome::Lost);
        }
    }

    /// No notification tells it, or none that arrives.
    fn learn_unheard(&self, told: &Told) {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner).learn_unheard(told);
    }

    fn desk(&self, told: &Told) -> Result<&Desk, CannotTell> {
        self.desks.get(&told.store()).ok_or(CannotTell::Misplaced)
    }

    fn body(&self, told: &Told) -> Result<Vec<u8>, CannotTell> {
        self.desk(told)?.store.body(&told.said)
    }
}

impl Desk {
    /// One attempt: the status and text of its answer.
    async fn call(
        &self,
        client: &reqwest::Client,
        body: &Bytes,
        now_ms: i64,
    ) -> Result<(StatusCode, String), reqwest::Error> {
        self.send(client, body, &self.store.headers(body, now_ms)).await
    }

    async fn send(
        &self,
        client: &reqwest::Client,
        body: &Bytes,
        headers: &[(&'static str, String)],
    ) -> Result<(StatusCode, String), reqwest::Error> {
        let request = client.post(&*self.ingest_url).header("content-type", self.store.content_type());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let answer = request.body(body.clone()).send().await?;
        let status = answer.status();
        Ok((status, answer.text().await?))
    }
}

/// Sends one notification at a time, in order, whenever it is told to.
pub(crate) struct Single(Connection);

impl Single {
    pub(crate) fn new(line: Line) -> Single {
        Single(Connection::new(line, 0))
    }

    /// True: it was accepted, or there is nothing to send. `again`: it was accepted before.
    pub(crate) async fn send(&mut self, told: Told, again: bool) -> bool {
        if told.is_silent() {
            self.0.line.learn_unheard(&told);
            return true;
        }
        if !again {
            self.0.line.counters.count_told(&told);
        }
        self.0.deliver(&Parcel { told, fate: Fate::default() }, again, 0).await
    }

    /// It never arrives.
    pub(crate) fn drop_it(&mut self, told: &Told) {
        self.0.line.counters.count_told(told);
        self.0.line.drop_it(told);
    }
}

/// A notification on its way.
struct Parcel {
    told: Told,
    fate: Fate,
}

/// One connection: its purchases' notifications, one after another.
struct Connection {
    line: Line,
    chance: Chance,
    held: BTreeMap<Arc<str>, Vec<Parcel>>,
    held_count: usize,
    /// Those that are late, by the moment at which they come and their number here.
    late: BTreeMap<(Lived, u64), Parcel>,
    late_count: u64,
    /// Shuffled and ready to be sent, in any order, and whether it was accepted before.
    pool: Vec<(Parcel, bool)>,
}

impl Connection {
    fn new(line: Line, number: usize) -> Connection {
        let chance = Chance::new(line.options.seed, number as u64);
        let (held, late, pool) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Connection { line, chance, held, held_count: 0, late, late_count: 0, pool }
    }

    fn disorder(&self, parcel: &Parcel) -> Disorder {
        self.line.options.disorder.of(parcel.told.store())
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Parcel>) {
        while let Some(parcel) = queue.recv().await {
            self.arrive_late(parcel.told.at).await;
            if parcel.fate.late && self.late.len() < MAX_HELD {
                self.late_count += 1;
                let comes = parcel.told.at.saturating_add(self.disorder(&parcel).late_by);
                self.late.insert((comes, self.late_count), parcel);
            } else {
                self.pass_on(parcel).await;
            }
        }
        self.arrive_late(Lived::MAX).await;
        for (_, held) in std::mem::take(&mut self.held) {
            self.release(held);
        }
        while self.send_any().await {}
    }

    /// Passes on what was late and whose time has come.
    async fn arrive_late(&mut self, now: Lived) {
        while let Some(next) = self.late.first_entry()
            && next.key().0 <= now
        {
            let parcel = next.remove();
            self.pass_on(parcel).await;
        }
    }

    async fn pass_on(&mut self, parcel: Parcel) {
        let window = self.disorder(&parcel).shuffle_window.min(MAX_WINDOW);
        if window < 2 { self.swap(parcel).await } else { self.mix(parcel, window).await }
    }

    /// Sends it, or holds it back until the next of its purchase has been sent.
    async fn swap(&mut self, parcel: Parcel) {
        let before = self.held.remove(&parcel.told.purchase);
        if before.is_none() && self.held.len() < MAX_HELD && parcel.fate.swapped {
            self.held.insert(Arc::clone(&parcel.told.purchase), vec![parcel]);
            return;
        }
        self.deliver_now(&parcel).await;
        for held in before.into_iter().flatten() {
            self.deliver_now(&held).await;
        }
    }

    /// Holds it back until its purchase has enough to shuffle, or there is no more room; then keeps as many in the pool
    /// as the window is wide.
    async fn mix(&mut self, parcel: Parcel, window: usize) {
        let purchase = Arc::clone(&parcel.told.purchase);
        let of_purchase = self.held.entry(Arc::clone(&purchase)).or_default();
        of_purchase.push(parcel);
        self.held_count += 1;
        let full = (of_purchase.len() >= window).then_some(purchase);
        let full = full.or_else(|| (self.held_count > MAX_HELD).then(|| self.held.keys().next().cloned()).flatten());
        if let Some(held) = full.and_then(|purchase| self.held.remove(&purchase)) {
            self.held_count = self.held_count.saturating_sub(held.len());
            self.release(held);
        }
        while self.pool.len() > window {
            self.send_any().await;
        }
    }

    /// Puts a purchase's notifications into the pool, in any order but the right one.
    fn release(&mut self, mut held: Vec<Parcel>) {
        for last in (1..held.len()).rev() {
            let other = usize::try_from(self.chance.below(last as u64 + 1)).unwrap_or(0);
            held.swap(last, other);
        }
        if held.len() > 1 && held.is_sorted_by_key(|parcel| parcel.told.ordinal) {
            held.rotate_left(1);
        }
        self.pool.extend(held.into_iter().map(|parcel| (parcel, false)));
    }

    /// Sends one of the pool. False: there is none.
    async fn send_any(&mut self) -> bool {
        if self.pool.is_empty() {
            return false;
        }
        let place = usize::try_from(self.chance.below(self.pool.len() as u64)).unwrap_or(0);
        let (parcel, is_repeat) = self.pool.remove(place);
        let more = u32::from(parcel.fate.answer_lost && !is_repeat);
        let accepted = self.deliver(&parcel, is_repeat, more).await;
        if accepted && !is_repeat && parcel.fate.repeated {
            // It comes again later, among others.
            self.pool.push((parcel, true));
        }
        true
    }

    /// Sends it, and what repeats it right behind it.
    async fn deliver_now(&mut self, parcel: &Parcel) {
        let more = u32::from(parcel.fate.repeated) + u32::from(parcel.fate.answer_lost);
        self.deliver(parcel, false, more).await;
    }

    /// Sends it so many more times than once. True: it was accepted.
    async fn deliver(&mut self, parcel: &Parcel, was_accepted: bool, more: u32) -> bool {
        let told = &parcel.told;
        let body = match self.line.body(told) {
            Ok(body) => Bytes::from(body),
            Err(error) => {
                self.give_up(told, &error.to_string());
                return false;
            }
        };
        if let Some(receiver) = &self.line.receiver {
            receiver.note_sent(&told.purchase);
        }
        let mut accepted = was_accepted;
        for _ in 0..=more {
            self.dawdle(parcel).await;
            if let Err(reason) = self.attempt_until_answered(told, &body).await {
                self.give_up(told, &reason);
                return false;
            }
            if !accepted {
                accepted = true;
                self.line.counters.count_accepted(told);
                self.line.truth.lock().unwrap_or_else(PoisonError::into_inner).learn(told);
            }
        }
        true
    }

    /// The way takes its time.
    async fn dawdle(&mut self, parcel: &Parcel) {
        let most = u64::try_from(self.disorder(parcel).delay.as_millis()).unwrap_or(u64::MAX);
        if most > 0 {
            sleep(Duration::from_millis(self.chance.below(most + 1))).await;
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
        let desk = match self.line.desk(told) {
            Ok(desk) if !desk.store.is_open() => return Attempt::Refused(NOT_OPEN.to_owned()),
            Ok(desk) => desk,
            Err(error) => return Attempt::Refused(error.to_string()),
        };
        let now_ms = self.line.clock.now_ms() + self.line.options.skew_ms;
        let began = Instant::now();
        let (attempt, outcome) = match desk.call(&self.line.client, body, now_ms).await {
            Ok((status, _)) if status.is_success() => {
                let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX).min(MAX_LATENCY_US);
                counters.latency.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
                (Attempt::Accepted, Outcome::Accepted)
            }
            Ok((status, text)) => {
                let excerpt: String = text.chars().take(MAX_EXCERPT).collect();
                let reason = format!("{status}: {excerpt}");
                let again = [408, 425, 429].contains(&status.as_u16()) || status.is_server_error();
                (if again { Attempt::Failed(reason) } else { Attempt::Refused(reason) }, Outcome::Refused)
            }
            Err(error) => {
                let outcome = if error.is_timeout() { Outcome::TimedOut } else { Outcome::NoConnection };
                (Attempt::Failed(error.without_url().to_string()), outcome)
            }
        };
        desk.store.attempted(&told.said, self.line.clock.now_ms(), outcome);
        attempt
    }

    fn give_up(&self, told: &Told, reason: &str) {
        self.line.counters.given_up.fetch_add(1, Ordering::Relaxed);
        self.line.counters.note_refusal(format!("{:?} of {}: {reason}", told.turn, told.purchase));
    }
}

enum Attempt {
    Accepted,
    Refused(String),
    Failed(String),
}
