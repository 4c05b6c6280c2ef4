//! Stories: one readable file per row of the transition table, offer, refund and plan change.
//!
//! ```text
//! # What the story shows.
//! rows 2 10
//! product pro_monthly rank 1 group pro unlocks pro
//! source shop APP_STORE asked
//!
//! 2026-01-01  shop  purchased pro_monthly tx t1 until 2026-02-01 price 9.99 EUR
//!     ACTIVATE began +pro  SUBSCRIPTION_STARTED  TRANSACTION_PROCESSED 9.99EUR
//!     = active pro
//! ```
//! A line in the first column happens: our time, the shop, the reason in contract.md's words, then facets. Indented lines
//! are expected: events separated by two blanks, each a name and any words that its text form (`describe`) must contain;
//! `ask` for a question; `= state entitlements...` for what holds then. `nothing` stands for no event.
//!
//! Stories of one shop that the clock alone accompanies are also played in other orders and with repeats: the state, the
//! number of periods and the money told must come out the same.

use crate::world::{Shop, Told, World};
use paidup_lifecycle::catalogue::grant_product_id;
use paidup_lifecycle::engine::transitions::table;
use paidup_lifecycle::engine::{Input, grants, temporary};
use paidup_lifecycle::event::Event;
use paidup_lifecycle::ids::PurchaseId;
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{
    Consent, Dated, Facets, Hint, Kind, Observation, Offer, Origin, Pause, PendingProduct, Period, PeriodType,
    PriceIncrease, Reason, RefundFact, RefundStatus, Stamp, Standing, TransactionFacts,
};
use paidup_lifecycle::purchase::State;
use paidup_lifecycle::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn time(text: &str) -> Timestamp {
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => panic!("{text:?} is no time"),
    };
    full.parse().unwrap_or_else(|_| panic!("{text:?} is no time"))
}

fn money(amount: &str, currency: &str) -> Money {
    let currency = currency.parse().unwrap_or_else(|_| panic!("{currency:?} is no currency"));
    let (units, cents) = amount.split_once('.').unwrap_or((amount, "00"));
    let minor = units.parse::<i64>().unwrap() * 100 + cents.parse::<i64>().unwrap();
    Money { amount_minor: minor, currency }
}

/// The words of one line, taken one by one.
struct Words<'a> {
    rest: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
    line: &'a str,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Words<'a> {
        Words { rest: line.split_whitespace().peekable(), line }
    }
    fn next(&mut self) -> Option<&'a str> {
        self.rest.next()
    }
    fn need(&mut self) -> &'a str {
        self.rest.next().unwrap_or_else(|| panic!("the line ends too early: {}", self.line))
    }
    fn take(&mut self, word: &str) -> bool {
        self.rest.next_if(|next| *next == word).is_some()
    }
    fn time(&mut self) -> Timestamp {
        time(self.need())
    }
    fn money(&mut self) -> Money {
        let amount = self.need();
        money(amount, self.need())
    }
}

/// What the store says of access when it gives this reason, as sources say it explicitly.
fn implied(hint: Hint) -> Option<Standing> {
    match hint {
        Hint::Purchased
        | Hint::Renewed
        | Hint::Recovered
        | Hint::Resumed
        | Hint::OneTimePurchased
        | Hint::Answered
        | Hint::Upgraded
        | Hint::Downgraded
        | Hint::Crossgraded
        | Hint::ProductChanged => Some(Standing::Active),
        Hint::GraceStarted => Some(Standing::Grace),
        Hint::BillingRetryStarted => Some(Standing::BillingRetry),
        Hint::Paused => Some(Standing::Paused),
        Hint::Revoked => Some(Standing::Revoked),
        Hint::Expired | Hint::Replaced => Some(Standing::Expired),
        Hint::RenewalDisabled
        | Hint::RenewalEnabled
        | Hint::PaymentFailed
        | Hint::ProductChangeScheduled
        | Hint::ProductChangeCancelled
        | Hint::PauseScheduled
        | Hint::PauseCancelled
        | Hint::Extended
        | Hint::RefundRequested
        | Hint::Refunded
        | Hint::RefundDeclined
        | Hint::RefundReversed
        | Hint::Transferred
        | Hint::PriceIncrease
        | Hint::Test
        | Hint::OfferRedeemed
        | Hint::FamilyRevoked => None,
    }
}

/// One observation of a story, with the owner that it names.
#[derive(Clone)]
struct Said {
    observation: Observation,
    owner: Option<String>,
}

fn observation(world: &World, shop: &str, number: usize, now: Timestamp, words: &mut Words<'_>) -> Said {
    let hint: Hint = words.need().parse().unwrap_or_else(|error| panic!("{error} in: {}", words.line));
    let mut said = Reader::new(hint, now);
    while let Some(word) = words.next() {
        said.word(word, words);
    }
    said.finish(world, shop, number, now)
}

/// Facets as they are read off a line.
struct Reader {
    hint: Hint,
    observed_at: Timestamp,
    facets: RawFacets,
    backfill: bool,
    origin: Origin,
    owner: Option<String>,
}

#[derive(Default)]
struct RawFacets {
    kind: Option<Kind>,
    standing: Option<Standing>,
    product: Option<String>,
    transaction: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    forever: bool,
    period_type: Option<PeriodType>,
    offer: Option<Option<Offer>>,
    next_offer: Option<Option<Offer>>,
    paid_for: Option<String>,
    price: Option<Money>,
    will_renew: Option<bool>,
    reason: Option<Reason>,
    grace: Option<Timestamp>,
    pause: Option<Option<Pause>>,
    pause_changed: bool,
    start_is_bound: bool,
    pending: Option<Option<PendingProduct>>,
    extended: Option<Timestamp>,
    refund: Option<(String, String, RefundFact)>,
    attempt: Option<String>,
    increase: Option<PriceIncrease>,
    family: bool,
}

fn offer(words: &mut Words<'_>) -> Option<Offer> {
    let word = words.need();
    let offer_type = if word == "none" { return None } else { word.parse().unwrap() };
    Some(Offer { offer_type, id: None, code: None })
}

impl Reader {
    fn new(hint: Hint, now: Timestamp) -> Reader {
        let facets = RawFacets { standing: implied(hint), ..RawFacets::default() };
        Reader { hint, observed_at: now, facets, backfill: false, origin: Origin::Notification, owner: None }
    }

    fn word(&mut self, word: &str, words: &mut Words<'_>) {
        let facets = &mut self.facets;
        match word {
            "said" => self.observed_at = words.time(),
            "backfill" => self.backfill = true,
            "owner" => self.owner = Some(words.need().to_owned()),
            "kind" => facets.kind = Some(words.need().parse().unwrap()),
            "standing" => {
                facets.standing = if words.take("untold") { None } else { Some(words.need().parse().unwrap()) }
            }
            "tx" => facets.transaction = Some(words.need().to_owned()),
            "from" => facets.from = Some(words.time()),
            "until" => facets.until = Some(words.time()),
            "forever" => facets.forever = true,
            "trial" | "intro" | "promo" | "normal" | "prepaid" => facets.period_type = Some(word.parse().unwrap()),
            "offer" => facets.offer = Some(offer(words)),
            "next-offer" => facets.next_offer = Some(offer(words)),
            "price" => facets.price = Some(words.money()),
            "paid-for" => facets.paid_for = Some(words.need().to_owned()),
            "renews" => facets.will_renew = Some(true),
            "cancelled" => facets.will_renew = Some(false),
            "because" => facets.reason = Some(words.need().parse().unwrap()),
            "grace" => facets.grace = Some(words.time()),
            "pause" => {
                let starts_at = words.take("from").then(|| words.time());
                let resumes_at = words.take("until").then(|| words.time());
                facets.pause = Some(Some(Pause { starts_at, resumes_at }));
            }
            "no-pause" => facets.pause = Some(None),
            "pause-changed" => facets.pause_changed = true,
            "from-before" => facets.start_is_bound = true,
            "pending" => {
                let product_id = words.need().to_owned();
                let effective_at = words.take("at").then(|| words.time());
                facets.pending = Some(Some(PendingProduct { product_id, effective_at }));
            }
            "no-pending" => facets.pending = Some(None),
            "extended" => facets.extended = Some(words.time()),
            "refund" => facets.refund = Some(refund(words)),
            "attempt" => facets.attempt = Some(words.need().to_owned()),
            "increase" => {
                let new_price = Some(words.money());
                let consent: Consent = words.need().parse().unwrap();
                facets.increase = Some(PriceIncrease { consent, new_price, effective_at: None });
            }
            "family" => facets.family = true,
            product if facets.product.is_none() => facets.product = Some(product.to_owned()),
            other => panic!("{other:?} is not understood in: {}", words.line),
        }
    }

    fn finish(self, world: &World, shop: &str, number: usize, now: Timestamp) -> Said {
        let id: Arc<str> = format!("{shop}-{number:03}").into();
        let origin = if self.hint == Hint::Answered { Origin::Answer } else { self.origin };
        let stamp = Stamp { as_of: self.observed_at, origin, by: id.clone() };
        let raw = self.facets;
        let mut facets = Facets {
            kind: dated(raw.kind, &stamp),
            standing: dated(raw.standing, &stamp),
            product: dated(raw.product, &stamp),
            period_type: dated(raw.period_type, &stamp),
            offer: dated(raw.offer, &stamp),
            next_offer: dated(raw.next_offer, &stamp),
            will_renew: dated(raw.will_renew, &stamp),
            pause: dated(raw.pause, &stamp),
            pending: dated(raw.pending, &stamp),
            extended_until: dated(raw.extended.map(Some), &stamp),
            grace_ends_at: dated(raw.grace.map(Some), &stamp),
            price_increase: dated(raw.increase.map(Some), &stamp),
            owner: dated(self.owner.clone().map(Some), &stamp),
            family_shared: dated(raw.family.then_some(true), &stamp),
            ..Facets::default()
        };
        if raw.standing == Some(Standing::Expired) {
            facets.expiration_reason = dated(raw.reason.map(Some), &stamp);
        } else {
            facets.cancel_reason = dated(raw.reason.map(Some), &stamp);
        }
        if raw.until.is_some() || raw.forever {
            let starts_at = raw.from.unwrap_or(now);
            let period = Period { transaction_id: raw.transaction.clone(), starts_at, ends_at: raw.until };
            facets.period = dated(Some(period), &stamp);
            facets.start_is_bound = dated(raw.start_is_bound.then_some(true), &stamp);
        }
        if raw.pause_changed {
            facets.pause_changed_at.insert(self.observed_at);
        }
        let price = dated(raw.price.map(Some), &stamp);
        let product_id = dated(raw.paid_for, &stamp);
        let mut transaction = TransactionFacts { price, product_id, ..TransactionFacts::default() };
        if let Some(attempt) = raw.attempt {
            transaction.failures.insert(attempt, self.observed_at);
        }
        if transaction != TransactionFacts::default() {
            let key = raw.transaction.unwrap_or_else(|| "untold".to_owned());
            facets.transactions.insert(key, transaction);
        }
        if let Some((transaction, id, fact)) = raw.refund {
            let facts = facets.transactions.entry(transaction).or_default();
            facts.refunds.insert(id, Dated { value: fact, stamp });
        }
        let observation = Observation {
            key: World::key(shop),
            store: world.shops[shop].store,
            id,
            observed_at: self.observed_at,
            origin,
            hint: self.hint,
            about_transaction: None,
            facets,
            backfill: self.backfill,
            replaces: None,
            detected_by: None,
        };
        Said { observation, owner: self.owner }
    }
}

fn dated<T>(value: Option<T>, stamp: &Stamp) -> Option<Dated<T>> {
    value.map(|value| Dated { value, stamp: stamp.clone() })
}

fn refund(words: &mut Words<'_>) -> (String, String, RefundFact) {
    let transaction = words.need().to_owned();
    let mut fact = RefundFact { status: RefundStatus::Refunded, amount: None, revokes: None, family: false };
    let mut id = "0".to_owned();
    loop {
        if words.take("id") {
            words.need().clone_into(&mut id);
        } else if words.take("amount") {
            fact.amount = Some(words.money());
        } else if words.take("keeps") {
            fact.revokes = Some(false);
        } else if words.take("revokes") {
            fact.revokes = Some(true);
        } else if words.take("requested") {
            fact.status = RefundStatus::Requested;
        } else if words.take("declined") {
            fact.status = RefundStatus::Declined;
        } else if words.take("reversed") {
            fact.status = RefundStatus::Reversed;
        } else if words.take("of-family") {
            fact.family = true;
        } else {
            return (transaction, id, fact);
        }
    }
}

/// An event in words, for comparing with a story.
fn describe(event: &Event) -> Vec<String> {
    let mut words = vec![event.event_type.to_string()];
    words.extend(event.edge.map(|edge| edge.to_string()));
    words.extend(event.reason.map(|reason| reason.to_string()));
    words.extend(event.purchase.product_id.clone());
    words.extend(event.entitlements.activated.iter().map(|id| format!("+{id}")));
    words.extend(event.entitlements.deactivated.iter().map(|id| format!("-{id}")));
    words.push(format!("to:{}", event.customer.app_user_id));
    words.push(format!("n={}", event.purchase.renewal_number));
    words.push(format!("is:{}", event.purchase.state));
    if event.inferred {
        words.push("inferred".to_owned());
    }
    if event.backfill {
        words.push("backfill".to_owned());
    }
    if let Some(transaction) = &event.transaction {
        words.extend(transaction.id.clone());
        words.extend(transaction.attempt_id.clone());
        words.extend(transaction.kind.map(|kind| kind.to_string()));
        words.extend(transaction.money.map(|money| money.to_string().replace(' ', "")));
        words.extend(transaction.source_event.map(|event| format!("for:{event}")));
    }
    let details = &event.details;
    for (word, holds) in [
        ("conversion", details.is_trial_conversion == Some(true)),
        ("no-conversion", details.is_trial_conversion == Some(false)),
        ("same-chain", details.same_chain == Some(true)),
        ("new-chain", details.same_chain == Some(false)),
        ("cancellation-told", details.cancellation_told == Some(true)),
        ("cancellation-untold", details.cancellation_told == Some(false)),
        ("partial", details.partial == Some(true)),
    ] {
        if holds {
            words.push(word.to_owned());
        }
    }
    words.extend(details.previous_product_id.as_ref().map(|id| format!("old:{id}")));
    words.extend(details.new_product_id.as_ref().map(|id| format!("new:{id}")));
    words.extend(details.previous_offer_type.map(|offer| format!("was:{offer}")));
    words.extend(details.transferred_from.iter().map(|id| format!("from:{id}")));
    words.extend(details.transferred_to.iter().map(|id| format!("into:{id}")));
    words.push(format!("at:{}", event.occurred_at));
    words.extend(details.effective_at.map(|at| format!("effective:{at}")));
    words.extend(details.new_price.map(|money| money.to_string().replace(' ', "")));
    words
}

/// One thing that happens in a story, with what is expected of it.
struct Scene<'a> {
    line: &'a str,
    expected: Vec<&'a str>,
    holds: Option<&'a str>,
}

struct Story<'a> {
    header: Vec<&'a str>,
    scenes: Vec<Scene<'a>>,
}

fn read(text: &str) -> Story<'_> {
    let mut story = Story { header: Vec::new(), scenes: Vec::new() };
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if !line.starts_with(' ') {
            if line.starts_with(|first: char| first.is_ascii_digit()) {
                story.scenes.push(Scene { line, expected: Vec::new(), holds: None });
            } else {
                story.header.push(line);
            }
            continue;
        }
        let scene = story.scenes.last_mut().expect("an expectation follows what happens");
        let line = line.trim();
        match line.strip_prefix("= ") {
            Some(holds) => scene.holds = Some(holds),
            None => scene.expected.extend(line.split("  ").map(str::trim).filter(|item| !item.is_empty())),
        }
    }
    story
}

fn set_up(header: &[&str]) -> (World, BTreeSet<String>) {
    let mut world = World::new();
    let mut rows = BTreeSet::new();
    for line in header {
        let mut words = Words::of(line);
        match words.need() {
            "rows" => rows.extend(words.rest.map(str::to_owned)),
            "product" => {
                let id = words.need();
                let rank = words.take("rank").then(|| words.need().parse().unwrap());
                let group = words.take("group").then(|| words.need());
                let unlocks: Vec<&str> = if words.take("unlocks") { words.rest.collect() } else { Vec::new() };
                world.product(id, rank, group, &unlocks);
            }
            "source" => {
                let name = words.need().to_owned();
                let store = words.need().parse().unwrap();
                let mut shop = Shop { store, can_ask: false, price_follows: false, had_before: false };
                for word in words.rest {
                    match word {
                        "asked" => shop.can_ask = true,
                        "price-follows" => shop.price_follows = true,
                        "had-before" => shop.had_before = true,
                        other => panic!("{other:?} is not understood in: {line}"),
                    }
                }
                world.shops.insert(name, shop);
            }
            other => panic!("{other:?} is not understood in: {line}"),
        }
    }
    (world, rows)
}

/// Plays one line. `free` stays true while only observations and the clock have been at work: those may come in any order.
fn play(world: &mut World, line: &str, number: usize, said: &mut Vec<Said>, free: &mut bool) -> (String, Told) {
    let mut words = Words::of(line);
    let now = words.time();
    let shop = words.need().to_owned();
    let command = words.rest.peek().copied().unwrap_or_default();
    let id: Arc<str> = format!("{shop}-{number:03}").into();
    let told = match command {
        "clock" => world.clock(&shop, now),
        "unreachable" => {
            *free = false;
            world.give(&shop, &Input::Unanswered, None, now)
        }
        "moved" => {
            *free = false;
            words.need();
            let to = world.customer(words.need());
            world.give(&shop, &Input::Moved { to }, None, now)
        }
        "catalogue" => {
            *free = false;
            words.need();
            let product = words.need();
            let before = world.catalogue.products.get(&(product.to_owned(), None)).cloned().unwrap();
            let unlocks: Vec<&str> = words.rest.collect();
            world.product(product, before.rank, before.group.as_deref(), &unlocks);
            world.give(&shop, &Input::CatalogueChanged { unlocked_before: before.entitlements }, None, now)
        }
        "given" | "extended-grant" => {
            *free = false;
            let is_new = words.need() == "given";
            let entitlement = words.need();
            world.product("no_product", None, None, &[entitlement]);
            let ends_at = words.take("until").then(|| words.time());
            let period_type = if words.take("trial") { PeriodType::Trial } else { PeriodType::Promotional };
            let product_id = grant_product_id(entitlement, "custom");
            let grant = grants::Grant { product_id, starts_at: now, ends_at, period_type };
            let observation = grants::given(World::key(&shop), id, now, &grant, is_new);
            world.give(&shop, &Input::Observed(observation), None, now)
        }
        "claimed" => {
            *free = false;
            words.need();
            let product_id = words.need().to_owned();
            words.need();
            let what = temporary::Temporary { product_id, starts_at: now, ends_at: words.time() };
            let store = world.shops[&shop].store;
            let observation = temporary::given(World::key(&shop), store, id, now, &what);
            world.give(&shop, &Input::Observed(observation), None, now)
        }
        "unconfirmed" => {
            *free = false;
            let store = world.shops[&shop].store;
            let observation = temporary::ended(World::key(&shop), store, id, now);
            world.give(&shop, &Input::Observed(observation), None, now)
        }
        "removed" => {
            *free = false;
            let observation = grants::removed(World::key(&shop), id, now);
            world.give(&shop, &Input::Observed(observation), None, now)
        }
        "converted" => {
            *free = false;
            world.give(&shop, &Input::Converted, None, now)
        }
        _ => {
            let spoken = observation(world, &shop, number, now, &mut words);
            said.push(spoken.clone());
            world.give(&shop, &Input::Observed(spoken.observation), spoken.owner.as_deref(), now)
        }
    };
    (shop, told)
}

fn compare(scene: &Scene<'_>, told: &Told) -> Result<(), String> {
    let mut actual: Vec<Vec<String>> = told.events.iter().map(describe).collect();
    actual.extend(told.questions.iter().map(|_| vec!["ask".to_owned()]));
    let expected: Vec<&str> = scene.expected.iter().copied().filter(|item| *item != "nothing").collect();
    if scene.expected.is_empty() {
        return Err(format!("nothing is expected of: {}\n  it told {actual:?}", scene.line));
    }
    let fits = expected.len() == actual.len()
        && expected.iter().zip(&actual).all(|(expected, actual)| {
            let mut words = expected.split_whitespace();
            words.next() == actual.first().map(String::as_str) && words.all(|word| actual.iter().any(|has| has == word))
        });
    if fits { Ok(()) } else { Err(format!("{}\n  expected {expected:?}\n  told     {actual:#?}", scene.line)) }
}

/// What must not depend on the order of arrival.
#[derive(Debug, PartialEq)]
struct Ending {
    state: State,
    periods: u32,
    money: BTreeMap<String, Money>,
    product: Option<String>,
}

fn ending(world: &World, shop: &str) -> Ending {
    let purchase = &world.purchases[shop];
    Ending {
        state: purchase.state,
        periods: purchase.periods,
        money: purchase.told.clone(),
        product: paidup_lifecycle::engine::state::product_of(purchase).map(str::to_owned),
    }
}

/// Plays the story's observations in other orders, with repeats, and lets the clock run out.
fn play_shuffled(path: &Path, header: &[&str], said: &[Said], end: Timestamp) {
    let shop = said[0].observation.key.store_purchase_id.trim_end_matches("-purchase").to_owned();
    let mut orders: Vec<Vec<usize>> = vec![(0..said.len()).collect(), (0..said.len()).rev().collect()];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..12 {
        let mut order: Vec<usize> = (0..said.len()).chain(0..said.len() / 2).collect();
        for index in (1..order.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let other = usize::try_from(seed >> 33).unwrap() % (index + 1);
            order.swap(index, other);
        }
        orders.push(order);
    }
    let mut results = Vec::new();
    for order in &orders {
        let (mut world, _) = set_up(header);
        for index in order {
            let spoken = &said[*index];
            let now = spoken.observation.observed_at.max(end);
            world.give(&shop, &Input::Observed(spoken.observation.clone()), spoken.owner.as_deref(), now);
        }
        // A store that can be asked keeps its word, whatever the clock says.
        if !world.shops[&shop].can_ask {
            world.clock(&shop, end.plus(std::time::Duration::from_secs(3600)));
        }
        results.push((order, ending(&world, &shop)));
    }
    for (order, result) in &results {
        assert_eq!(result, &results[0].1, "{}: order {order:?} ends differently", path.display());
    }
}

fn stories() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lives");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "life"));
    paths.sort();
    paths
}

#[test]
fn every_life_is_told_as_written() {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut wrong = Vec::new();
    let paths = stories();
    assert!(paths.len() > 50, "the stories are there");
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        let story = read(&text);
        let (mut world, rows) = set_up(&story.header);
        let (mut said, mut free, mut told_rows) = (Vec::new(), true, BTreeSet::new());
        let mut shops: BTreeSet<PurchaseId> = BTreeSet::new();
        let mut end = Timestamp::MIN;
        for (number, scene) in story.scenes.iter().enumerate() {
            let (shop, told) = play(&mut world, scene.line, number, &mut said, &mut free);
            shops.insert(World::id(&shop));
            end = end.max(time(scene.line.split_whitespace().next().unwrap()));
            told_rows.extend(told.rows.iter().map(|row| (*row).to_owned()));
            if let Err(error) = compare(scene, &told) {
                wrong.push(format!("{}: {error}", path.file_name().unwrap().to_string_lossy()));
            }
            if let Some(holds) = scene.holds {
                let mut now = vec![world.purchases[&shop].state.to_string()];
                now.extend(world.active(&shop));
                if holds.split_whitespace().collect::<Vec<_>>() != now {
                    wrong.push(format!("{}: {}\n  expected {holds}, is {now:?}", path.display(), scene.line));
                }
            }
        }
        let silent = |row: &str| table().iter().any(|known| known.number == row && known.emits.is_empty());
        for row in &rows {
            if !told_rows.contains(row) && !silent(row) {
                wrong.push(format!("{}: row {row} is promised and not told; told {told_rows:?}", path.display()));
            }
        }
        seen.extend(rows);
        if free && shops.len() == 1 && !said.is_empty() {
            play_shuffled(path, &story.header, &said, end);
        }
    }
    for row in table() {
        if !seen.contains(row.number) {
            wrong.push(format!("no life shows row {} ({})", row.number, row.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
