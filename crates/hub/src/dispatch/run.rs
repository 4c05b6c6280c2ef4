//! The loop of one destination: reads the log, starts deliveries, saves what came of them. What may go when is decided by
//! the pure modules; what an answer does to the book is in `land`.
//!
//! It never waits for one thing: deliveries, page reads and saves run side by side, and the loop wakes for whichever is
//! first, for new events, for orders and for the next moment at which something is due. Nothing is polled.

use super::breaker::{Breaker, Look, Patience, Permit};
use super::deliver::converse;
use super::figures::Gauges;
use super::land::{Landed, Outcome};
use super::memories::Memories;
use super::orders::{Confirm, Order};
use super::settle::{Book, MAX_PARKED, OPEN_FOR, OnWire, Taken};
use super::{Port, Target};
use crate::clock::Sleep;
use crate::recent::Page;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use paidup_destinations::{About, LoggedEvent, Memory, Moment, Pace};
use paidup_lifecycle::time::Timestamp;
use paidup_store::StoreError;
use paidup_store::records::{DestinationState, Progress, Settlement};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Events read at once from the database.
const READ_PAGE: usize = 512;
/// Progress is saved when so many events are done, ...
const SAVE_EVENTS: usize = 256;
/// ... or at the next multiple of this: what a crash repeats. The same moments for all loops, so that one transaction
/// saves for all of them ([`super::settler`]).
const SAVE_WITHIN: Duration = Duration::from_millis(50);
/// When so many are done and not saved yet, nothing more is started: what a crash repeats stays bounded.
const MAX_UNSAVED: usize = 1_024;
/// After the database refused, it is asked again not sooner than this.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// What is in flight may take so long to finish when the loop is stopped; the rest is repeated later.
const DRAIN: Duration = Duration::from_secs(10);
/// When more wait than this, those that coalesce share deliveries, ...
const SINGLY: u64 = 10;
/// ... by so many (Discord shows ten embeds in one message), ...
const FEW: usize = 10;
/// ... and beyond this, as many as the destination takes.
const CROWD: u64 = 100;

/// What came of something that the loop had started.
enum Done {
    Landed(Landed),
    Read(Result<Vec<LoggedEvent>, StoreError>),
    Saved(Settlement, Result<(), StoreError>),
}

/// Why a loop stops by itself.
pub(super) type Halted = (DestinationState, String);

/// The loop's state.
pub struct Dispatcher {
    pub(super) port: Arc<Port>,
    pub(super) target: Arc<Target>,
    pub(super) book: Book,
    pub(super) breaker: Breaker,
    pub(super) gauges: Gauges,
    memories: Memories,
    /// Events in a row that could not be rendered.
    pub(super) poisoned: u32,
    pub(super) halted: Option<Halted>,
    partition: u16,
    pace: Pace,
    io: FuturesUnordered<BoxFuture<'static, Done>>,
    flights: usize,
    flying: usize,
    /// After a loop that broke off: events up to here, and so many of them, may have been sent already.
    doubtful_to: u64,
    doubtful: usize,
    /// When a delivery came back last; at first, when the loop began.
    landed_at: Timestamp,
    /// There may be more to read.
    more: bool,
    reading: bool,
    read_after: Timestamp,
    saving: bool,
    save_after: Timestamp,
    /// When what is not saved is to be saved.
    save_due: Option<Timestamp>,
    /// Orders to confirm with the next save, and with the one under way.
    pub(super) confirms: Vec<Confirm>,
    confirms_saving: Vec<Confirm>,
    /// How the breaker stands, for those who look.
    shown: Arc<Mutex<Look>>,
}

impl Dispatcher {
    /// A loop that has not read anything yet. It shows in `shown` how its breaker stands.
    #[must_use]
    pub fn new(port: Arc<Port>, target: Arc<Target>, partition: u16, shown: Arc<Mutex<Look>>) -> Dispatcher {
        let nothing = Progress::at(partition, 0);
        Dispatcher {
            book: Book::open(target.id, partition, target.order, &nothing, Vec::new()),
            breaker: Breaker::default(),
            shown,
            gauges: port.figures.of(target.id),
            memories: Memories::default(),
            poisoned: 0,
            halted: None,
            partition,
            pace: target.destination.pace(),
            io: FuturesUnordered::new(),
            flights: 0,
            flying: 0,
            doubtful_to: 0,
            doubtful: 0,
            landed_at: port.clock.now(),
            more: true,
            reading: false,
            read_after: Timestamp::MIN,
            saving: false,
            save_after: Timestamp::MIN,
            save_due: None,
            confirms: Vec::new(),
            confirms_saving: Vec::new(),
            port,
            target,
        }
    }

    /// Runs until `stop` is cancelled, or until it must not go on: then answers why.
    pub async fn run(
        mut self,
        stop: &CancellationToken,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Option<(DestinationState, String)> {
        let mut changes = self.port.recent.changes();
        self.open(stop).await;
        let mut sleep: Option<(Timestamp, Sleep)> = None;
        while self.halted.is_none() && !stop.is_cancelled() {
            let wake = self.work();
            if sleep.as_ref().map(|(at, _)| *at) != wake {
                sleep = wake.map(|at| (at, self.port.clock.sleep_until(at)));
            }
            let due = async {
                match &mut sleep {
                    Some((_, sleep)) => sleep.await,
                    None => std::future::pending().await,
                }
            };
            let mut slept = false;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some(order) = orders.recv() => self.obey(order),
                Some(done) = self.io.next(), if !self.io.is_empty() => self.take_in(done),
                Ok(()) = changes.changed() => self.more = true,
                () = due => slept = true,
            }
            if slept {
                sleep = None;
            }
            // Whatever else is done by now comes along: one round of work for all of it.
            while let Some(Some(done)) = self.io.next().now_or_never() {
                self.take_in(done);
            }
        }
        self.drain().await;
        self.halted
    }

    /// Reads how far it had come.
    async fn open(&mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let opened = async {
                let book = load(&self.port, &self.target, self.partition).await?;
                let head = self.port.store.head(self.partition).await?;
                Ok::<_, StoreError>((book, self.port.store.remembers(self.target.id).await?, head))
            };
            match opened.await {
                Ok((book, remembers, head)) => {
                    if self.target.broke_off && !self.target.destination.tells_repeats() {
                        let in_flight = self.pace.concurrency.saturating_mul(self.pace.coalesces.max(1));
                        (self.doubtful_to, self.doubtful) = (head, in_flight.saturating_add(MAX_UNSAVED));
                    }
                    let patience = Patience { full: self.pace.concurrency, ..Patience::default() };
                    self.breaker = Breaker::restore(patience, book.failing_since());
                    if book.failing_since().is_some() || self.target.gently {
                        self.breaker.begin_gently(self.port.clock.now());
                    }
                    self.memories = Memories::new(remembers);
                    self.book = book;
                    return;
                }
                Err(error) => {
                    tracing::warn!(destination.id = %self.target.id, %error, "progress cannot be read");
                    self.port.clock.sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Does all that can be done now; answers when there is more to do, if time alone makes it so.
    fn work(&mut self) -> Option<Timestamp> {
        let now = self.port.clock.now();
        let read = self.read(now);
        let pass = self.pass(now);
        let start = self.start(now);
        let overdue = self.advance(now);
        let save = self.save(now);
        let step = self.breaker.step(now, self.flights);
        let unread = self.unread();
        self.gauges.stand(&self.book, &self.breaker, self.flights, unread);
        *self.shown.lock() = self.breaker.look();
        [read, pass, start, overdue, save, step].into_iter().flatten().min()
    }

    /// Lanes go on without what they have waited for long enough. Not while the destination is down: nothing would go on.
    fn pass(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.breaker.is_open() {
            return None;
        }
        for event_id in self.book.pass(now) {
            self.gauges.passed.inc();
            tracing::warn!(destination.id = %self.target.id, event.id = %event_id, "its lane goes on without an event");
        }
        self.book.next_pass()
    }

    /// Moves the cursor, unless that gains nothing: while the breaker is open, and while every slot waits and nothing has
    /// come back for as long as an attempt may be open. Then the destination hangs as a whole: rows would only say so one
    /// by one. When an answer comes, or the attempts fail, the cursor moves or the breaker decides.
    fn advance(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.book.failing(self.breaker.failing_since());
        let hangs = self.flights >= self.breaker.slots(self.pace.concurrency) && now.since(self.landed_at) >= OPEN_FOR;
        self.book.advance(now, hangs || self.breaker.is_open())
    }

    fn unread(&self) -> u64 {
        self.port.recent.head(self.partition).unwrap_or(0).saturating_sub(self.book.read_to())
    }

    fn read(&mut self, now: Timestamp) -> Option<Timestamp> {
        while self.more && !self.reading {
            let room = self.book.room().min(READ_PAGE);
            if room == 0 {
                return None;
            }
            if self.read_after > now {
                return Some(self.read_after);
            }
            match self.port.recent.after(self.partition, self.book.read_to(), room) {
                Page::Events(events) => {
                    self.more = !events.is_empty();
                    self.take_events(events);
                }
                Page::Behind => {
                    // What is written from now on is announced anew.
                    (self.more, self.reading) = (false, true);
                    let (port, partition, after) = (Arc::clone(&self.port), self.partition, self.book.read_to());
                    self.io
                        .push(async move { Done::Read(port.store.events_after(partition, after, room).await) }.boxed());
                }
            }
        }
        None
    }

    fn take_events(&mut self, events: Vec<LoggedEvent>) {
        for event in events {
            let wanted = self.target.wants(&event);
            self.book.read(event, wanted);
        }
    }

    fn start(&mut self, now: Timestamp) -> Option<Timestamp> {
        while self.flights < self.pace.concurrency && self.book.unsaved() < MAX_UNSAVED {
            let ready = self.book.ready(now);
            if ready == 0 {
                return self.book.next_due();
            }
            let on_wire = OnWire::default();
            let taken = match self.breaker.permit(now, self.flights) {
                Permit::UpTo(most, until) if self.flights >= most => return Some(until),
                Permit::Freely | Permit::UpTo(..) => match self.target.destination.together() {
                    None => {
                        // What a rate limit sent back together is no pressure by itself, but comes back together.
                        let crowd = self.waiting().max(ready as u64);
                        self.book.take(now, share(self.pace.coalesces, crowd), &on_wire)
                    }
                    Some(alike) => self.book.take_alike(now, self.pace.coalesces, alike, &on_wire),
                },
                Permit::Probe => {
                    let newest = self.breaker.probe();
                    self.book.probe(now, newest, &on_wire)
                }
                Permit::NotBefore(at) => return Some(at),
                Permit::AwaitProbe => return None,
            };
            if taken.is_empty() {
                return None;
            }
            self.fly(taken, on_wire);
        }
        None
    }

    /// Events that wait without being in trouble: pressure.
    fn waiting(&self) -> u64 {
        (self.book.pending() - self.book.parked()).saturating_sub(self.flying) as u64 + self.unread()
    }

    fn fly(&mut self, taken: Vec<Taken>, on_wire: OnWire) {
        self.flights += 1;
        self.flying += taken.len();
        let doubtful = taken.iter().filter(|one| one.position <= self.doubtful_to && one.attempts == 0).count();
        let doubtful = doubtful.min(self.doubtful);
        self.doubtful -= doubtful;
        self.gauges.may_repeat.inc_by(doubtful as u64);
        let (waiting, memories) = (self.waiting(), self.memories.clone());
        let (port, target) = (Arc::clone(&self.port), Arc::clone(&self.target));
        let flight = async move { Done::Landed(fly(&port, &target, taken, &memories, waiting, &on_wire).await) };
        self.io.push(flight.boxed());
    }

    fn save(&mut self, now: Timestamp) -> Option<Timestamp> {
        let unsaved = self.book.unsaved();
        if unsaved == 0 || self.saving {
            return None;
        }
        let due = *self.save_due.get_or_insert_with(|| next_multiple(now, SAVE_WITHIN));
        let at_once = self.pace.settle_each || unsaved >= SAVE_EVENTS || !self.confirms.is_empty();
        let due = if at_once { now } else { due }.max(self.save_after);
        if due > now {
            return Some(due);
        }
        self.save_due = None;
        self.saving = true;
        self.confirms_saving.append(&mut self.confirms);
        let (port, settlement) = (Arc::clone(&self.port), self.book.settlement());
        self.io.push(
            async move {
                let saved = port.settler.save(settlement.clone()).await;
                Done::Saved(settlement, saved)
            }
            .boxed(),
        );
        None
    }

    fn take_in(&mut self, done: Done) {
        let now = self.port.clock.now();
        match done {
            Done::Landed(landed) => {
                (self.landed_at, self.flights) = (now, self.flights - 1);
                self.flying -= landed.taken.len();
                self.land(landed, now);
            }
            Done::Read(Ok(events)) => {
                self.reading = false;
                self.more |= !events.is_empty();
                self.take_events(events);
            }
            Done::Read(Err(error)) => {
                tracing::warn!(destination.id = %self.target.id, %error, "events cannot be read");
                (self.reading, self.more, self.read_after) = (false, true, now.plus(STORE_PAUSE));
            }
            Done::Saved(_, Ok(())) => {
                self.saving = false;
                self.confirms_saving.drain(..).for_each(|confirm| confirm());
            }
            Done::Saved(settlement, Err(error)) => {
                tracing::warn!(destination.id = %self.target.id, %error, "progress cannot be saved");
                (self.saving, self.save_after) = (false, now.plus(STORE_PAUSE));
                self.book.unsave(settlement);
            }
        }
    }

    /// Lets what is in flight finish, within bounds, and saves everything that is done.
    async fn drain(&mut self) {
        let finish = async {
            while self.flights > 0 {
                match self.io.next().await {
                    Some(done) => self.take_in(done),
                    None => break,
                }
            }
        };
        if tokio::time::timeout(DRAIN, finish).await.is_err() {
            tracing::info!(destination.id = %self.target.id, in_flight = self.flights, "deliveries will be repeated");
        }
        self.flights = 0;
        while self.saving {
            match self.io.next().await {
                Some(Done::Landed(_)) => {}
                Some(done) => self.take_in(done),
                None => break,
            }
        }
        self.advance(self.port.clock.now());
        if self.book.unsaved() > 0
            && let Err(error) = self.port.settler.save(self.book.settlement()).await
        {
            tracing::warn!(destination.id = %self.target.id, %error, "progress cannot be saved");
        }
        self.gauges.stand(&self.book, &self.breaker, 0, self.unread());
    }
}

/// The book as it was saved: the same whether the destination is served or not.
pub(crate) async fn load(port: &Port, target: &Target, partition: u16) -> Result<Book, StoreError> {
    let progress = port.store.progress(target.id).await?;
    let progress = progress.into_iter().find(|progress| progress.partition == partition);
    // Without a row nothing was ever settled: `put_destination` makes one.
    let progress = progress.unwrap_or(Progress::at(partition, 0));
    // More rows than the book takes can only come from replays while the destination was not served.
    let mut parked = port.store.parked(target.id, 2 * MAX_PARKED).await?;
    parked.retain(|row| row.partition == partition);
    Ok(Book::open(target.id, partition, target.order, &progress, parked).skipping_after(target.skip_after))
}

/// The first multiple of `span` after `now`.
fn next_multiple(now: Timestamp, span: Duration) -> Timestamp {
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1);
    let past = now.as_millis().rem_euclid(span);
    Timestamp::from_millis_clamped(now.as_millis().saturating_add(span - past))
}

/// How many events one delivery carries. A few that wait are told one by one: people read them.
fn share(coalesces: usize, waiting: u64) -> usize {
    match waiting {
        0..=SINGLY => 1,
        _ if waiting <= CROWD => coalesces.min(FEW),
        _ => coalesces,
    }
    .max(1)
}

async fn fly(
    port: &Port,
    target: &Target,
    taken: Vec<Taken>,
    memories: &Memories,
    waiting: u64,
    on_wire: &OnWire,
) -> Landed {
    let begun = port.clock.now();
    let landed = |taken, outcome| {
        let sent = on_wire.load(Ordering::Relaxed);
        let started = if sent == 0 { begun } else { Timestamp::from_millis_clamped(sent) };
        Landed { taken, started, took: port.clock.now().since(started), outcome }
    };
    let mut events = Vec::with_capacity(taken.len());
    let mut gone = Vec::new();
    for one in &taken {
        match &one.event {
            Some(event) => events.push(event.clone()),
            None => match port.store.event(one.event_id).await {
                Ok(Some(event)) => events.push(event),
                Ok(None) => gone.push(one.position),
                Err(error) => return landed(taken, Outcome::NotLoaded(error)),
            },
        }
    }
    if !gone.is_empty() {
        return landed(taken, Outcome::Gone(gone));
    }
    let Some(about) = events.first().map(|first| target.destination.about(&first.event)) else {
        return landed(taken, Outcome::Gone(Vec::new()));
    };
    let memory = match memories.recall(&*port.store, target.id, about).await {
        Ok(memory) => memory,
        Err(error) => return landed(taken, Outcome::NotLoaded(error)),
    };
    let attempt = taken.iter().map(|one| one.attempts).max().unwrap_or(0).saturating_add(1);
    let moment = Moment { now: begun, attempt, waiting };
    let talk = converse(port, &*target.destination, &target.secrets, &events, &memory, moment, on_wire).await;
    landed(taken, Outcome::Talked { talk, about })
}

impl Dispatcher {
    pub(super) fn partition(&self) -> u16 {
        self.partition
    }

    /// Keeps what a delivery wants remembered: at once for the next deliveries, and saved together with what became of
    /// this one.
    pub(super) fn remember(&mut self, about: About, memory: Memory) {
        match self.memories.remember(about, memory) {
            Ok(body) => self.book.remember(about.0.to_vec(), body),
            Err(bytes) => tracing::warn!(destination.id = %self.target.id, bytes, "too much to remember"),
        }
    }
}
