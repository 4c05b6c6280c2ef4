//! The loop over a real database with a scripted far side and a clock that the test moves.

mod outages;
mod policies;

use super::breaker::Breaker;
use super::deliver::secret_texts;
use super::*;
use crate::clock::{SeededChance, VirtualClock};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use paidup_destinations::{
    Answer, BudgetGuess, BudgetHint, BudgetKey, CallFailure, Conversation, Memory, Moment, Pace, Poison, Reason, Step,
    Verdict,
};
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::filter::Filter;
use paidup_lifecycle::ids::{EventId, PurchaseId};
use paidup_lifecycle::sample;
use paidup_lifecycle::time::Timestamp;
use paidup_store::records::{AttemptQuery, DeliveryState, DestinationRecord, Start};
use paidup_store::{Before, Changes, Decision, OpenOptions, Refused, Urgency, Wants};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use url::Url;

const ID: DestinationId = DestinationId([9; 16]);

/// What the far side does with a request for an event, by the event's number and the number of the call.
#[derive(Clone, Copy)]
enum Does {
    Answer(u16),
    /// The same, after a while.
    Late(u16, Duration),
    Fail(CallFailure),
    /// Takes it, and the answer is lost.
    Lose,
    Hang,
}

type Script = Box<dyn Fn(&[u64], usize) -> Does + Send + Sync>;

/// The far side. Each request names its events in its body.
struct FarSide {
    script: Mutex<Script>,
    clock: VirtualClock,
    /// Numbers of the events of each call, with its moment.
    calls: Mutex<Vec<(Timestamp, Vec<u64>)>>,
    counts: Mutex<HashMap<Vec<u64>, usize>>,
    /// Numbers that were taken, in order.
    took: Arc<Mutex<Vec<u64>>>,
}

impl Outbound for FarSide {
    fn call_up_to(&self, request: http::Request<Bytes>, _: Duration, _: usize) -> BoxFuture<'static, Answer> {
        let text = String::from_utf8(request.body().to_vec()).unwrap();
        let numbers: Vec<u64> = text.split(',').map(|number| number.parse().unwrap()).collect();
        self.calls.lock().push((self.clock.now(), numbers.clone()));
        let count = {
            let mut counts = self.counts.lock();
            let count = counts.entry(numbers.clone()).or_default();
            *count += 1;
            *count
        };
        let does = (self.script.lock())(&numbers, count);
        let (clock, took) = (self.clock.clone(), Arc::clone(&self.took));
        Box::pin(async move {
            let status = match does {
                Does::Answer(status) => status,
                Does::Late(status, after) => {
                    clock.sleep(after).await;
                    status
                }
                Does::Fail(failure) => return Answer::Failed(failure),
                Does::Lose => {
                    took.lock().extend(&numbers);
                    return Answer::Failed(CallFailure::ConnectionLost);
                }
                Does::Hang => std::future::pending().await,
            };
            if status == 200 {
                took.lock().extend(&numbers);
            }
            let body = Bytes::from_static(b"key topsecret said no");
            Answer::Response(http::Response::builder().status(status).body(body).unwrap())
        })
    }

    fn check(&self, _: Url) -> BoxFuture<'static, Result<(), CallFailure>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// One call for all events; events of type ENTITLEMENTS_CHANGED cannot be rendered.
struct Plain {
    pace: Pace,
    guess: Option<BudgetGuess>,
}

impl Destination for Plain {
    fn deliver(&self, events: &[LoggedEvent], _: &Memory, _: Moment) -> Result<Box<dyn Conversation>, Poison> {
        if events.iter().any(|event| event.event.event_type == EventType::EntitlementsChanged) {
            return Err(Poison("no words for it".into()));
        }
        let numbers: Vec<String> = events.iter().map(|event| event.position.to_string()).collect();
        let request = http::Request::post("http://far.example/").body(Bytes::from(numbers.join(","))).unwrap();
        let budgets = self.guess.iter().map(|guess| guess.key.clone()).collect();
        Ok(Box::new(OneCall { request: Some(Step::Call { request, budgets }), limited: None }))
    }

    fn skips(&self, event: &LoggedEvent) -> Option<Reason> {
        (event.event.event_type == EventType::Deactivate).then(|| Reason("nothing to say".into()))
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn budgets(&self) -> Vec<BudgetGuess> {
        self.guess.clone().into_iter().collect()
    }
}

struct OneCall {
    request: Option<Step>,
    limited: Option<Verdict>,
}

impl Conversation for OneCall {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        if let Some(call) = self.request.take() {
            return call;
        }
        if let Some(verdict) = self.limited.take() {
            return Step::Finish(verdict);
        }
        let again = |reason: &str| Verdict::Retry { after: None, counts: true, reason: Reason(reason.into()) };
        Step::Finish(match answer {
            Some(Answer::Response(response)) => match response.status().as_u16() {
                200 => Verdict::Delivered,
                400 => Verdict::GiveUp(Reason("refused".into())),
                410 => Verdict::SwitchOff(Reason("gone".into())),
                429 => {
                    let (after, key) = (Duration::from_secs(7), BudgetKey("far".into()));
                    let reason = Reason("rate limit".into());
                    self.limited = Some(Verdict::Retry { after: Some(after), counts: false, reason });
                    return Step::Learn(vec![BudgetHint { key, remaining: Some(0), resets_after: after }]);
                }
                _ => again("status 500"),
            },
            Some(Answer::Failed(failure)) => again(&failure.to_string()),
            None => panic!("asked twice without an answer"),
        })
    }
}

/// Appends events: one lane each unless said otherwise.
pub(super) struct Append(pub(super) Vec<Event>);

impl Decision for Append {
    fn wants(&self) -> Wants {
        Wants::default()
    }

    fn decide(&mut self, _: &Before) -> Result<Changes, Refused> {
        Ok(Changes { events: self.0.clone(), ..Changes::default() })
    }
}

struct World {
    store: Arc<dyn Store>,
    clock: VirtualClock,
    far: Arc<FarSide>,
    recent: Arc<Recent>,
    pace: Pace,
    guess: Option<BudgetGuess>,
    filters: Vec<FilterVersion>,
    order: LaneOrder,
    skip_after: Option<Duration>,
    broke_off: bool,
    made: u64,
    /// How time passes in `until`.
    step: Duration,
    dispatch: Dispatch,
    halts: mpsc::UnboundedReceiver<Halt>,
    _dir: tempfile::TempDir,
}

const PACE: Pace = Pace { concurrency: 8, coalesces: 1, timeout: Duration::from_secs(15), settle_each: false };

fn everything(_: &[u64], _: usize) -> Does {
    Does::Answer(200)
}

impl World {
    async fn new(script: impl Fn(&[u64], usize) -> Does + Send + Sync + 'static) -> World {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("test.db").display());
        let store = paidup_store::open(&url, OpenOptions::default()).await.unwrap();
        let clock = VirtualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let far = Arc::new(FarSide {
            script: Mutex::new(Box::new(script)),
            clock: clock.clone(),
            calls: Mutex::default(),
            counts: Mutex::default(),
            took: Arc::default(),
        });
        let recent = Arc::new(Recent::default());
        let fill = Arc::clone(&recent);
        store.listen(Box::new(move |events| fill.push(events)));
        store.put_destination(record(ID, clock.now())).await.unwrap();
        let (dispatch, halts) = dispatch(&store, &clock, Arc::clone(&far) as Arc<dyn Outbound>, &recent);
        World {
            store,
            clock,
            far,
            recent,
            pace: PACE,
            guess: None,
            filters: Vec::new(),
            order: LaneOrder::Purchase,
            skip_after: None,
            broke_off: false,
            made: 0,
            step: Duration::from_millis(10),
            dispatch,
            halts,
            _dir: dir,
        }
    }

    fn start(&self) {
        self.start_as(Arc::new(Plain { pace: self.pace, guess: self.guess.clone() }));
    }

    fn start_as(&self, destination: Arc<dyn Destination>) {
        let secrets = secret_texts(&["key"], &serde_json::json!({"key": "topsecret"})).into();
        let target = Target {
            id: ID,
            order: self.order,
            skip_after: self.skip_after,
            keep_trying: paidup_store::records::DEFAULT_KEEP_TRYING,
            gently: false,
            broke_off: self.broke_off,
            filters: self.filters.clone(),
            destination,
            secrets,
        };
        self.dispatch.start(target);
    }

    /// As after a crash: nothing in memory, everything from the database.
    fn forget(&mut self) {
        self.recent = Arc::new(Recent::default());
        let fill = Arc::clone(&self.recent);
        self.store.listen(Box::new(move |events| fill.push(events)));
        let far = Arc::clone(&self.far) as Arc<dyn Outbound>;
        (self.dispatch, self.halts) = dispatch(&self.store, &self.clock, far, &self.recent);
    }

    /// As when the machine stops: the loop is gone in the middle of whatever it does. What it had handed over to be saved is.
    async fn crash(&mut self) {
        let running = self.dispatch.running.lock().remove(&ID).unwrap();
        running.ended.abort();
        assert!(running.ended.await.is_err());
        let nothing = paidup_store::records::Settlement::of(ID);
        self.dispatch.port().settler.save(nothing).await.unwrap();
        self.forget();
    }

    fn script(&self, script: impl Fn(&[u64], usize) -> Does + Send + Sync + 'static) {
        *self.far.script.lock() = Box::new(script);
    }

    async fn append(&mut self, lanes: &[u8]) {
        let lanes: Vec<(u8, EventType)> = lanes.iter().map(|lane| (*lane, EventType::Activate)).collect();
        self.append_types(&lanes).await;
    }

    async fn append_types(&mut self, lanes: &[(u8, EventType)]) {
        let base = sample::event(EventType::Activate, paidup_lifecycle::observation::Store::Stripe);
        let mut events = Vec::new();
        for (lane, event_type) in lanes {
            self.made += 1;
            let mut event = base.clone();
            event.id = EventId::derive(&[&self.made.to_be_bytes()]);
            event.event_type = *event_type;
            event.seq = self.made;
            event.purchase.id = PurchaseId([*lane; 16]);
            events.push(event);
        }
        self.store.commit(Urgency::Intake, Box::new(Append(events))).await.unwrap();
    }

    /// Lets the loop work, and time pass step by step, until `come`. Real time only bounds a test that fails.
    async fn until(&self, what: &str, mut come: impl AsyncFnMut() -> bool) {
        let moved = async {
            while !come().await {
                for _ in 0..200 {
                    tokio::task::yield_now().await;
                }
                self.clock.advance(self.step);
            }
        };
        let patience = Duration::from_secs(600);
        assert!(tokio::time::timeout(patience, moved).await.is_ok(), "never came: {what}");
    }

    async fn until_cursor(&self, cursor: u64) {
        self.until(&format!("cursor at {cursor}"), async || self.progress().await == (cursor, 0)).await;
    }

    /// Cursor and number of rows.
    async fn progress(&self) -> (u64, usize) {
        let progress = self.store.progress(ID).await.unwrap();
        assert!(progress.iter().all(|progress| progress.partition == PARTITION));
        (progress[0].cursor, self.store.parked(ID, 1_000).await.unwrap().len())
    }

    async fn attempts(&self, state: DeliveryState) -> Vec<String> {
        let query = AttemptQuery { destination: Some(ID), state: Some(state), limit: 200, ..AttemptQuery::default() };
        let attempts = self.store.attempts(query).await.unwrap();
        attempts.into_iter().map(|attempt| attempt.record.detail.unwrap_or_default()).collect()
    }

    fn took(&self) -> Vec<u64> {
        self.far.took.lock().clone()
    }
}

/// A destination of which the loop needs nothing but its id.
pub(super) fn record(id: DestinationId, now: Timestamp) -> DestinationRecord {
    DestinationRecord {
        id,
        kind: "plain".into(),
        name: "plain".into(),
        settings: b"{}".to_vec(),
        order: LaneOrder::Purchase,
        filters: Vec::new(),
        start: Start::Beginning,
        state: DestinationState::Active,
        state_reason: None,
        state_since: now,
        max_backlog: paidup_store::records::DEFAULT_MAX_BACKLOG,
        gaps: Vec::new(),
        skip_after: None,
        keep_trying: paidup_store::records::DEFAULT_KEEP_TRYING,
        created_at: now,
    }
}

pub(super) fn dispatch(
    store: &Arc<dyn Store>,
    clock: &VirtualClock,
    outbound: Arc<dyn Outbound>,
    recent: &Arc<Recent>,
) -> (Dispatch, mpsc::UnboundedReceiver<Halt>) {
    let port = Arc::new(Port {
        store: Arc::clone(store),
        settler: Settler::new(Arc::clone(store)),
        clock: Arc::new(clock.clone()),
        chance: Arc::new(SeededChance::new(1)),
        outbound,
        recent: Arc::clone(recent),
        budgets: Mutex::default(),
        figures: Figures::default(),
    });
    let (halts, halted) = mpsc::unbounded_channel();
    (Dispatch::new(port, TaskTracker::new(), CancellationToken::new(), halts), halted)
}

fn assert_lanes_in_order(took: &[u64], lanes: &[u8]) {
    for lane in lanes.iter().collect::<BTreeSet<_>>() {
        let of_lane: Vec<u64> = took.iter().copied().filter(|n| lanes[*n as usize - 1] == *lane).collect();
        assert!(of_lane.is_sorted(), "lane {lane} out of order: {of_lane:?}");
    }
}

#[tokio::test]
async fn events_arrive_in_their_lanes_order_and_progress_is_one_cursor() {
    let mut world = World::new(everything).await;
    let lanes: Vec<u8> = (0..60).map(|n| n % 7).collect();
    world.append(&lanes[..30]).await;
    world.start();
    world.append(&lanes[30..]).await;
    world.until_cursor(60).await;
    assert_lanes_in_order(&world.took(), &lanes);
    assert_eq!((world.took().len(), world.attempts(DeliveryState::Delivered).await.len()), (60, 60));
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn a_failed_event_holds_its_lane_alone_across_a_restart() {
    let mut world = World::new(|numbers, _| if numbers == [1] { Does::Answer(500) } else { Does::Answer(200) }).await;
    world.append(&[1, 2, 1, 3]).await;
    world.start();
    world.until("both rows", async || world.progress().await == (4, 2)).await;
    assert_eq!(world.took(), [2, 4]);
    world.dispatch.stop(ID).await;
    assert_eq!(world.attempts(DeliveryState::Retrying).await[0], "status 500; answer: key *** said no");

    world.forget();
    world.script(everything);
    world.start();
    world.until_cursor(4).await;
    assert_eq!(world.took(), [2, 4, 1, 3]);
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn an_attempt_that_hangs_holds_nobody_else() {
    let mut world = World::new(|numbers, _| if numbers == [1] { Does::Hang } else { Does::Answer(200) }).await;
    world.append(&[1, 2, 1, 3]).await;
    world.start();
    world.until("the cursor has passed it", async || world.progress().await == (4, 2)).await;
    assert_eq!(world.took(), [2, 4]);
    let sent = world.far.calls.lock()[0].0;
    assert!(world.clock.now() >= sent.plus(Duration::from_secs(2)));
    // As in a crash: the loop is gone without a word.
    world.script(everything);
    world.forget();
    world.start();
    world.until_cursor(4).await;
    assert_eq!(world.took(), [2, 4, 1, 3]);
}

#[tokio::test]
async fn when_every_slot_hangs_the_cursor_stands_until_one_comes_back() {
    let mut world = World::new(|_, _| Does::Hang).await;
    let lanes: Vec<u8> = (0..20).collect();
    world.append(&lanes).await;
    world.start();
    world.until("all slots", async || world.far.calls.lock().len() == PACE.concurrency).await;
    let sent = world.far.calls.lock()[0].0;
    world.until("a minute", async || world.clock.now() >= sent.plus(Duration::from_secs(60))).await;
    assert_eq!(world.progress().await, (0, 0), "rows gain nothing while nothing can be sent");
    assert_eq!(world.far.calls.lock().len(), PACE.concurrency);
    // As in a crash: what hung is sent again, nothing was skipped.
    world.script(everything);
    world.forget();
    world.start();
    world.until_cursor(20).await;
    assert_eq!(world.took().into_iter().collect::<BTreeSet<_>>().len(), 20);
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn a_dead_destination_parks_few_uses_up_no_attempts_and_loses_nothing() {
    let mut world = World::new(|_, _| Does::Fail(CallFailure::NotConnected)).await;
    let lanes: Vec<u8> = (0..200).collect();
    world.append(&lanes).await;
    world.start();
    world.step = Duration::from_secs(1);
    world.until("a probe", async || world.far.calls.lock().len() > 110).await;
    let begun = world.far.calls.lock()[0].0;
    let (cursor, rows) = world.progress().await;
    assert!(rows <= 110 && cursor <= 110, "{rows} rows, cursor at {cursor}");
    let called = world.far.calls.lock().len();
    world.until("an hour", async || world.clock.now() >= begun.plus(Duration::from_secs(3600))).await;
    let probes = world.far.calls.lock().len() - called;
    assert!((30..=70).contains(&probes), "{probes} probes in an hour");
    assert_eq!(world.progress().await, (cursor, rows));
    assert!(world.store.parked(ID, 1_000).await.unwrap().iter().all(|row| row.attempts <= 2));
    world.script(everything);
    world.until_cursor(200).await;
    let took: BTreeSet<u64> = world.took().into_iter().collect();
    assert_eq!(took.len(), 200);
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn a_destination_that_is_dead_for_75_hours_is_switched_off_and_gives_nothing_up() {
    let mut world = World::new(|_, _| Does::Fail(CallFailure::NotConnected)).await;
    let lanes: Vec<u8> = (0..200).collect();
    world.append(&lanes).await;
    world.step = Duration::from_secs(600);
    world.start();
    world.until("a call", async || !world.far.calls.lock().is_empty()).await;
    let begun = world.far.calls.lock()[0].0;
    let hours = |count: u64| begun.plus(Duration::from_secs(count * 3600));
    world.until("40 hours", async || world.clock.now() >= hours(40)).await;
    // A restart does not begin to count anew.
    world.dispatch.stop(ID).await;
    let since = world.store.progress(ID).await.unwrap()[0].failing_since;
    assert!(since.is_some_and(|since| since >= begun && since < hours(40)), "{since:?}");
    world.forget();
    world.start();
    world.until("74 hours", async || world.clock.now() >= hours(74)).await;
    assert!(world.halts.try_recv().is_err());
    let (mut halt, mut halts) = (None, std::mem::replace(&mut world.halts, mpsc::unbounded_channel().1));
    world
        .until("the end", async || {
            halt = halts.try_recv().ok();
            halt.is_some()
        })
        .await;
    let halt = halt.unwrap();
    assert_eq!(halt.state, DestinationState::SwitchedOff);
    assert!(halt.reason.starts_with("nothing was taken for 75 hours") && halt.reason.contains("could not connect"));
    world.dispatch.stop(ID).await;
    assert_eq!(world.store.progress(ID).await.unwrap()[0].failing_since, since);
    assert_eq!(world.attempts(DeliveryState::Failed).await.len(), 0, "nothing was given up");

    // Resumed, it has the same time again, and what was hardly tried is not given up by its age.
    let record = world.store.destinations().await.unwrap().remove(0);
    world.store.resume_destination(record, paidup_store::records::ResumeFrom::Cursor).await.unwrap();
    world.forget();
    world.start();
    let later = world.clock.now().plus(Duration::from_secs(5 * 3600));
    world.until("five hours more", async || world.clock.now() >= later).await;
    assert!(world.halts.try_recv().is_err());
    world.script(everything);
    world.until_cursor(200).await;
    assert_eq!(world.took().into_iter().collect::<BTreeSet<_>>().len(), 200);
    assert_eq!(world.attempts(DeliveryState::Failed).await.len(), 0);
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn one_event_that_is_never_taken_is_given_up_for_itself() {
    let mut world = World::new(|numbers, _| if numbers == [1] { Does::Answer(500) } else { Does::Answer(200) }).await;
    world.append(&[1, 1]).await;
    world.step = Duration::from_secs(600);
    world.start();
    world.until_cursor(2).await;
    assert_eq!(world.took(), [2]);
    let failed = world.attempts(DeliveryState::Failed).await;
    assert!(failed[0].starts_with("given up after 75 hours; status 500"), "{failed:?}");
    assert!(world.halts.try_recv().is_err(), "the destination goes on");
    assert!(world.attempts(DeliveryState::Retrying).await.len() >= 10, "it was really tried");
    world.dispatch.stop(ID).await;
}

/// Counts the deliveries about each customer in what it remembers.
struct Counting {
    /// What it remembered at each delivery.
    recalled: Mutex<Vec<u64>>,
}

struct Count {
    step: usize,
    position: u64,
    count: u64,
}

impl Destination for Counting {
    fn deliver(&self, events: &[LoggedEvent], memory: &Memory, _: Moment) -> Result<Box<dyn Conversation>, Poison> {
        let count = memory.0.get("count").map_or(0, |count| count.parse().unwrap());
        self.recalled.lock().push(count);
        Ok(Box::new(Count { step: 0, position: events[0].position, count }))
    }

    fn skips(&self, _: &LoggedEvent) -> Option<Reason> {
        None
    }

    fn pace(&self) -> Pace {
        Pace { concurrency: 1, ..PACE }
    }
}

impl Conversation for Count {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        self.step += 1;
        match self.step {
            1 => {
                let body = Bytes::from(self.position.to_string());
                let request = http::Request::post("http://far.example/").body(body).unwrap();
                Step::Call { request, budgets: Vec::new() }
            }
            2 => Step::Remember(Memory([("count".to_owned(), (self.count + 1).to_string())].into())),
            _ => match answer {
                Some(Answer::Response(response)) if response.status() == 200 => Step::Finish(Verdict::Delivered),
                _ => Step::Finish(Verdict::Retry { after: None, counts: true, reason: Reason("no".into()) }),
            },
        }
    }
}

#[tokio::test]
async fn what_is_remembered_about_a_customer_outlives_lanes_failures_and_crashes() {
    let fails_first = |numbers: &[u64], count: usize| {
        if numbers == [2] && count == 1 { Does::Answer(500) } else { Does::Answer(200) }
    };
    let mut world = World::new(fails_first).await;
    let counting = Arc::new(Counting { recalled: Mutex::default() });
    world.append(&[1, 2, 3]).await;
    world.start_as(counting.clone());
    world.until_cursor(3).await;
    assert_eq!(*counting.recalled.lock(), [0, 1, 2, 3], "three lanes of one customer, one failure");
    // As in a crash: only what was saved is known.
    world.forget();
    world.append(&[4]).await;
    world.start_as(counting.clone());
    world.until_cursor(4).await;
    assert_eq!(counting.recalled.lock().last(), Some(&4));
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn events_that_cannot_be_rendered_are_given_up_and_five_in_a_row_pause_the_destination() {
    let mut world = World::new(everything).await;
    let (good, bad) = (EventType::Activate, EventType::EntitlementsChanged);
    world.append_types(&[(1, bad), (1, good), (1, bad), (1, bad), (1, EventType::Deactivate), (1, good)]).await;
    world.start();
    world.until_cursor(6).await;
    assert_eq!(world.took(), [2, 6]);
    let failed = world.attempts(DeliveryState::Failed).await;
    assert_eq!(failed, vec!["the event cannot be rendered: no words for it"; 3]);
    assert!(world.halts.try_recv().is_err());

    world.append_types(&[(1, bad), (1, bad), (1, bad), (1, bad), (1, bad), (1, good)]).await;
    let halt = world.halts.recv().await.unwrap();
    assert_eq!((halt.id, halt.state), (ID, DestinationState::Paused));
    assert!(halt.reason.contains("no words for it"), "{}", halt.reason);
    world.dispatch.stop(ID).await;
    assert_eq!(world.took(), [2, 6]);
    world.start();
    world.until_cursor(12).await;
    assert_eq!(world.took(), [2, 6, 12]);
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn a_destination_that_is_gone_is_switched_off_and_catches_up_when_it_is_back() {
    let mut world = World::new(|_, _| Does::Answer(410)).await;
    world.append(&[1, 2, 3]).await;
    world.start();
    let halt = world.halts.recv().await.unwrap();
    assert_eq!((halt.state, halt.reason.as_str()), (DestinationState::SwitchedOff, "gone; answer: key *** said no"));
    world.dispatch.stop(ID).await;
    world.append(&[1]).await;
    world.script(everything);
    world.start();
    world.until_cursor(4).await;
    assert_eq!(world.took().into_iter().collect::<BTreeSet<_>>().len(), 4);
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn a_crowd_shares_deliveries_and_a_refusal_is_sought_one_by_one() {
    // The sixth event is refused, alone or in company.
    let mut world =
        World::new(|numbers, _| if numbers.contains(&6) { Does::Answer(400) } else { Does::Answer(200) }).await;
    world.pace = Pace { concurrency: 1, coalesces: 500, settle_each: true, ..PACE };
    let lanes: Vec<u8> = (0..40).map(|n| n % 4).collect();
    world.append(&lanes).await;
    world.start();
    world.until_cursor(40).await;
    assert_lanes_in_order(&world.took(), &lanes);
    assert_eq!((world.took().len(), world.attempts(DeliveryState::Failed).await.len()), (39, 1));
    let calls: Vec<usize> = world.far.calls.lock().iter().map(|(_, numbers)| numbers.len()).collect();
    assert!(calls.contains(&10) && calls.iter().all(|count| *count <= 10), "{calls:?}");
    assert_eq!(calls[calls.len() - 1], 1, "a few are told one by one: {calls:?}");
    world.dispatch.stop(ID).await;
}

/// A rate limit sends a whole message back: what comes back together is told together again, and not one by one against the
/// same limit.
#[tokio::test]
async fn a_crowd_that_a_rate_limit_sent_back_still_shares_deliveries() {
    let first = AtomicBool::new(true);
    let mut world =
        World::new(move |_, _| Does::Answer(if first.swap(false, Ordering::Relaxed) { 429 } else { 200 })).await;
    world.pace = Pace { concurrency: 1, coalesces: 500, settle_each: true, ..PACE };
    let lanes: Vec<u8> = (0..150).collect();
    world.append(&lanes).await;
    world.start();
    world.until_cursor(150).await;
    assert_lanes_in_order(&world.took(), &lanes);
    let calls: Vec<usize> = world.far.calls.lock().iter().map(|(_, numbers)| numbers.len()).collect();
    assert!(calls[0] > 10 && calls.len() <= 14, "{calls:?}");
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn rate_limits_are_waited_for_and_count_as_no_attempt() {
    let mut world =
        World::new(|numbers, count| if numbers == [1] && count == 1 { Does::Answer(429) } else { Does::Answer(200) })
            .await;
    world.pace = Pace { concurrency: 1, ..PACE };
    let per = Duration::from_secs(2);
    world.guess = Some(BudgetGuess { key: BudgetKey("far".into()), calls: 2, per });
    world.append(&[1, 1, 1, 1, 1]).await;
    world.start();
    world.until_cursor(5).await;
    assert_eq!(world.took(), [1, 2, 3, 4, 5]);
    assert_eq!(world.attempts(DeliveryState::Retrying).await.len(), 0);
    let calls: Vec<Timestamp> = world.far.calls.lock().iter().map(|(at, _)| *at).collect();
    assert!(calls[1].since(calls[0]) >= Duration::from_secs(7));
    assert!(calls[1..].windows(3).all(|window| window[2].since(window[0]) >= per), "{calls:?}");
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn a_replay_is_delivered_again_and_filters_hold_by_position() {
    let mut world = World::new(everything).await;
    let none = Filter { products: vec!["no such product".into()], ..Filter::default() };
    world.filters = vec![
        FilterVersion { from: vec![(0, 1)], filter: Filter::default() },
        FilterVersion { from: vec![(0, 3)], filter: none },
        FilterVersion { from: vec![(0, 5)], filter: Filter::default() },
    ];
    world.append(&[1, 1, 1, 1, 1, 1]).await;
    world.start();
    world.until_cursor(6).await;
    assert_eq!(world.took(), [1, 2, 5, 6]);

    let event = world.store.events_after(0, 3, 1).await.unwrap().remove(0);
    let replay = |confirm| Order::Replay(Box::new(event.clone()), confirm);
    assert_eq!(world.dispatch.ask(ID, replay).await, Some(()));
    world.until_cursor(6).await;
    assert_eq!(world.took(), [1, 2, 5, 6, 4]);
    let look = world.dispatch.ask(ID, |answer| Order::Look(4, answer)).await;
    assert_eq!(look, Some(settle::Standing::Settled));
    world.dispatch.stop(ID).await;
    assert_eq!(world.dispatch.ask(ID, |answer| Order::Look(4, answer)).await, None);
}

#[tokio::test]
async fn what_is_no_longer_in_memory_is_read_in_pages() {
    let mut world = World::new(everything).await;
    let lanes: Vec<u8> = (0..1_500_u32).map(|n| (n % 200) as u8).collect();
    for part in lanes.chunks(300) {
        world.append(part).await;
    }
    world.forget();
    world.start();
    world.until_cursor(1_500).await;
    assert_eq!(world.took().len(), 1_500);
    assert_lanes_in_order(&world.took(), &lanes);
    world.append(&[1]).await;
    world.until_cursor(1_501).await;
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn what_many_save_at_one_moment_is_one_transaction_and_one_that_is_refused_stands_alone() {
    let world = World::new(everything).await;
    let mut record = world.store.destinations().await.unwrap().remove(0);
    for number in 0..20 {
        record.id = DestinationId([number; 16]);
        world.store.put_destination(record.clone()).await.unwrap();
    }
    let settler = Settler::new(Arc::clone(&world.store));
    let save = |number: u8, cursor| {
        let progress = vec![paidup_store::records::Progress::at(PARTITION, cursor)];
        let nothing = settle::Book::open(DestinationId([number; 16]), PARTITION, LaneOrder::None, &progress[0], vec![]);
        let settlement = paidup_store::records::Settlement { progress, ..{ nothing }.settlement() };
        settler.save(settlement)
    };
    let transactions = world.store.health().await.unwrap().transactions;
    let saved = futures_util::future::join_all((0..20).map(|number| save(number, 7))).await;
    assert!(saved.iter().all(Result::is_ok));
    assert_eq!(world.store.health().await.unwrap().transactions, transactions + 1);
    world.store.delete_destination(DestinationId([3; 16])).await.unwrap();
    let saved = futures_util::future::join_all((0..20).map(|number| save(number, 9))).await;
    let refused: Vec<usize> = (0..20).filter(|number| saved[*number].is_err()).collect();
    assert_eq!(refused, [3]);
    assert_eq!(world.store.progress(DestinationId([4; 16])).await.unwrap()[0].cursor, 9);
}

#[test]
fn figures_stand_under_their_names() {
    let mut registry = prometheus_client::registry::Registry::with_prefix("paidup");
    let figures = Figures::register(&mut registry);
    let progress = paidup_store::records::Progress::at(0, 0);
    let book = settle::Book::open(ID, 0, LaneOrder::None, &progress, Vec::new());
    figures.of(ID).stand(&book, &Breaker::default(), 3, 17);
    let text = |registry: &prometheus_client::registry::Registry| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    };
    assert!(text(&registry).contains(&format!("paidup_deliveries_waiting{{destination=\"{ID}\"}} 17")));
    assert!(text(&registry).contains(&format!("paidup_deliveries_in_flight{{destination=\"{ID}\"}} 3")));
    figures.forget(ID);
    assert!(!text(&registry).contains(&ID.to_string()));
}
