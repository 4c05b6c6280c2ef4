//! The pure crates alone, without a running hub: the engine, and taking in what Apple signed.
//!
//! Rates are per second of the thread's own CPU time, so that what else runs on the machine does not count, and medians
//! of several rounds. The lives are the simulator's, as the App Store source reads them.

use crate::apple::Apple;
use crate::limits;
use crate::process::thread_cpu;
use crate::rows::{Row, row};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use paidup_lifecycle::catalogue::{Catalogue, Entitlement, Product};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::engine::{Context, Input, advance};
use paidup_lifecycle::entitlement::{Sealing, seal};
use paidup_lifecycle::ids::{CustomerId, ProductId, SourceId};
use paidup_lifecycle::observation::Store;
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use paidup_simulator::catalogue::{ENTITLEMENTS, GROUP, Kind, PLANS};
use paidup_sources::{Keys, Notification, RawRequest, Source, Verification};
use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

/// Whose lives the engine leads: about 40,000 observations, more than any cache holds.
const CUSTOMERS: u32 = 4_000;
/// Rounds, of which the median counts.
const ROUNDS: usize = 7;
/// How many observations are got ready before they are timed.
const BLOCK: usize = 64;
/// Notifications that are verified in one round.
const VERIFIED: usize = 2_000;

/// One observation and what the hub would look up for it.
struct Step {
    purchase: usize,
    owner: usize,
    input: Input,
    now: Timestamp,
}

/// The observations of a population, and its purchases and customers as they are before the first one.
struct Lives {
    steps: Vec<Step>,
    purchases: Vec<Purchase>,
    customers: Vec<Customer>,
    catalogue: Catalogue,
    can_ask: bool,
}

fn source(apple: &Apple) -> Result<Box<dyn Source>> {
    let definition = paidup_sources::definition("app_store").context("the App Store is a kind of source")?;
    let settings = serde_json::value::to_raw_value(&apple.settings())?;
    let upstreams = paidup_sources::Upstreams::default();
    Ok((definition.open)(SourceId::derive(&[b"bench"]), &settings, &upstreams)?)
}

fn take_in(source: &dyn Source, body: &Bytes, now: Timestamp) -> Result<Vec<Notification>> {
    let raw = RawRequest { headers: http::HeaderMap::new(), body: body.clone() };
    match source.verify(&raw, &Keys::default(), now)? {
        Verification::Verified(verified) => Ok(verified.notifications),
        Verification::KeyNeeded(_) => bail!("the App Store needs no keys"),
    }
}

/// The simulator's shop.
fn catalogue() -> Catalogue {
    let products = PLANS.iter().map(|plan| {
        let renews = plan.kind == Kind::Subscription;
        let product = Product {
            id: ProductId::derive(&[plan.id.as_bytes()]),
            product_id: plan.id.to_owned(),
            store: Some(Store::AppStore),
            name: Some(plan.name.to_owned()),
            entitlements: plan.entitlements.iter().map(|id| (*id).to_owned()).collect(),
            rank: i32::try_from(plan.rank).ok().filter(|_| renews),
            group: renews.then(|| GROUP.to_owned()),
            sku_id: None,
            kind: None,
        };
        ((product.product_id.clone(), product.store), product)
    });
    let entitlements = ENTITLEMENTS
        .iter()
        .map(|id| ((*id).to_owned(), Entitlement { id: (*id).to_owned(), name: None, sku_id: None }));
    Catalogue { revision: 1, products: products.collect(), entitlements: entitlements.collect() }
}

impl Lives {
    fn lead() -> Result<Lives> {
        let apple = Apple::new()?;
        let source = source(&apple)?;
        let mut lives = Lives {
            steps: Vec::new(),
            purchases: Vec::new(),
            customers: Vec::new(),
            catalogue: catalogue(),
            can_ask: source.can_ask(),
        };
        let (mut purchases, mut owners) = (HashMap::new(), HashMap::new());
        for told in apple.lives(CUSTOMERS) {
            let said = told.app_store().context("another store's notification")?;
            let now = Timestamp::from_millis(said.signed_date)?.plus(Duration::from_secs(1));
            // A purchase whose customer Apple does not name belongs to an anonymous one.
            let name = told.customer.as_deref().unwrap_or(&told.purchase).to_owned();
            let owner = *owners.entry(name.clone()).or_insert_with(|| {
                let mut customer = Customer::new(CustomerId::derive(&[name.as_bytes()]), now);
                customer.aliases.extend(told.customer.as_deref().map(str::to_owned));
                lives.customers.push(customer);
                lives.customers.len() - 1
            });
            for notification in take_in(&*source, &apple.body(&told)?.into(), now)? {
                for observation in notification.reading.observations {
                    let purchase = *purchases.entry(observation.key.clone()).or_insert_with(|| {
                        let customer = lives.customers[owner].id;
                        lives.purchases.push(Purchase::new(observation.key.clone(), observation.store, customer));
                        lives.purchases.len() - 1
                    });
                    lives.steps.push(Step { purchase, owner, input: Input::Observed(observation), now });
                }
            }
        }
        Ok(lives)
    }

    /// Leads all lives once; gives the CPU time and the number of events.
    fn run(&self, sealed: bool) -> (Duration, usize) {
        let mut purchases: Vec<Option<Purchase>> = self.purchases.iter().cloned().map(Some).collect();
        let mut customers = self.customers.clone();
        let (mut events, mut took) = (0, Duration::ZERO);
        for (number, steps) in self.steps.chunks(BLOCK).enumerate() {
            // A hub has just read the purchase and the observation when it decides, so both are fresh copies.
            let inputs: Vec<Input> = steps.iter().map(|step| step.input.clone()).collect();
            for step in steps {
                purchases[step.purchase] = purchases[step.purchase].clone();
            }
            let first_entry = (number * BLOCK) as u64 + 1;
            let begin = thread_cpu();
            events += self.run_block(steps, &inputs, first_entry, &mut purchases, &mut customers, sealed);
            took += thread_cpu() - begin;
        }
        (took, events)
    }

    fn run_block(
        &self,
        steps: &[Step],
        inputs: &[Input],
        first_entry: u64,
        purchases: &mut [Option<Purchase>],
        customers: &mut [Customer],
        sealed: bool,
    ) -> usize {
        let mut events = 0;
        for ((entry, step), input) in (first_entry..).zip(steps).zip(inputs) {
            let Some(purchase) = purchases[step.purchase].take() else { continue };
            let owner = &mut customers[step.owner];
            let context = Context {
                catalogue: &self.catalogue,
                can_ask: self.can_ask,
                owner: Some(owner.id),
                price_follows: false,
                had_before: false,
                owner_ids: &[],
                new_owner_ids: &[],
                merges: false,
            };
            let outcome = black_box(advance(purchase, input, &context, step.now));
            events += outcome.events.len();
            purchases[step.purchase] = Some(if sealed {
                let sealing = Sealing { catalogue: &self.catalogue, entry, now: step.now, first_index: 0 };
                let (purchase, events) = seal(outcome, owner, None, &sealing);
                black_box(events);
                purchase
            } else {
                outcome.purchase
            });
        }
        events
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The lifecycle engine: alone, and with the events sealed.
pub(crate) fn engine() -> Result<Vec<Row>> {
    let lives = Lives::lead()?;
    let count = lives.steps.len() as f64;
    let mut table = Vec::new();
    for (name, budget, sealed) in
        [("lifecycle engine alone", ">= 500,000/s a core", false), ("the same, events sealed", "", true)]
    {
        let mut events = 0;
        let rates = (0..ROUNDS).map(|_| {
            let (took, told) = lives.run(sealed);
            events = told;
            count / took.as_secs_f64()
        });
        let rate = median(rates.collect());
        table.push(row(
            format!("{name}, {:.1} events an observation, {} purchases", events as f64 / count, lives.purchases.len()),
            budget,
            format!("{rate:.0} observations/s a core, {:.0} events/s", rate * events as f64 / count),
            "",
        ));
    }
    Ok(table)
}

/// Proving and reading Apple's notifications, beside the signatures in them; and what is kept of a renewal.
pub(crate) fn verify() -> Result<Vec<Row>> {
    let apple = Apple::new()?;
    let source = source(&apple)?;
    let mut signed: Vec<Bytes> = Vec::with_capacity(VERIFIED);
    for told in apple.lives(CUSTOMERS) {
        // One-time purchases carry two signatures instead of three.
        let renews = told.app_store().is_some_and(|said| said.renewal.is_some());
        if renews && signed.len() < VERIFIED {
            signed.push(apple.body(&told)?.into());
        }
    }
    let now = Timestamp::from_millis_clamped(0);
    let (mut rates, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        limits.push(limits::p256_verifications(Duration::from_millis(300))? / 3.0);
        let begin = thread_cpu();
        for body in &signed {
            black_box(take_in(&*source, body, now)?);
        }
        rates.push(signed.len() as f64 / (thread_cpu() - begin).as_secs_f64());
    }
    let shares = rates.iter().zip(&limits).map(|(rate, limit)| 100.0 * rate / limit).collect();
    let bytes = signed.iter().map(Bytes::len).sum::<usize>() as f64 / signed.len() as f64;
    Ok(vec![
        row(
            format!("App Store notification of {:.1} KB proven and read", bytes / 1000.0),
            ">= 60 % of (P-256 verifications : 3)",
            format!("{:.0}/s a core = {:.0} %", median(rates), median(shares)),
            format!("{:.0}/s a core", median(limits)),
        ),
        pack(&apple, &*source)?,
    ])
}

fn pack(apple: &Apple, source: &dyn Source) -> Result<Row> {
    let renewals = apple.renewals(500)?.renewals;
    let (mut whole, mut rest, mut shared) = (0, 0, 0);
    let begin = thread_cpu();
    for body in &renewals {
        let packed = source.pack(body).context("a renewal holds certificate chains")?;
        whole += body.len();
        rest += packed.rest.len();
        shared = packed.shared.iter().map(Vec::len).sum::<usize>();
    }
    let took = thread_cpu() - begin;
    let each = |bytes: usize| bytes as f64 / renewals.len() as f64 / 1000.0;
    Ok(row(
        format!("App Store renewal of {:.1} KB without what recurs in it", each(whole)),
        "",
        format!("{:.2} KB, in {:.0} us", each(rest), took.as_secs_f64() * 1e6 / renewals.len() as f64),
        format!("{:.1} KB shared, kept once", shared as f64 / 1000.0),
    ))
}
