//! Customers with a seed: the same seed and size give the same lives, and with the same start the same notifications.
//!
//! Where there are several stores, their customers take turns. Lives are led one after another but told together, in the order of lived time. A customer's life is worked out when
//! they arrive, so memory holds about ten kilobytes for each customer who is still being told about.

use crate::calendar::{Calendar, Lived, MONTH};
use crate::catalogue::STOREFRONTS;
use crate::chance::Chance;
use crate::lives::{Person, Told};
use crate::stores::app_store::wire::App;
use crate::stores::stripe::shape::Shape;
use crate::stores::{amazon, app_store, discord, play, stripe};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The largest population, for the sake of memory.
pub const MAX_CUSTOMERS: u32 = 200_000;

/// How many, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PopulationOptions {
    /// How many customers; at most [`MAX_CUSTOMERS`].
    pub customers: u32,
    /// Decides everything.
    pub seed: u64,
    /// Nothing is told after this moment of lived time.
    pub horizon: Lived,
    /// Customers of whom the app did not tell the store its own id, in 100.
    pub anonymous_percent: u64,
}

impl Default for PopulationOptions {
    fn default() -> Self {
        PopulationOptions { customers: 1_000, seed: 1, horizon: 12 * MONTH, anonymous_percent: 5 }
    }
}

/// Where customers buy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shop {
    /// In this app.
    AppStore(App),
    /// Through Stripe, whose endpoint has this API version.
    Stripe(Shape),
    /// In this app of Google Play's.
    Play(play::wire::App),
    /// In this app of Amazon's.
    Amazon(amazon::wire::App),
    /// In this app at Discord.
    Discord(discord::wire::App),
}

/// An iterator over everything that the stores tell, in lived order.
pub struct Population {
    options: PopulationOptions,
    calendar: Calendar,
    shops: Vec<Shop>,
    run: u64,
    arrived: u32,
    /// Lives being told, by the moment of their next notification.
    lives: BTreeMap<(Lived, u32), VecDeque<Told>>,
}

impl Population {
    /// A population whose notifications carry the calendar's dates. Ids depend on the calendar's start too, so that two
    /// runs against one hub do not meet.
    #[must_use]
    pub fn new(options: PopulationOptions, calendar: Calendar, shops: Vec<Shop>) -> Population {
        let options = PopulationOptions { customers: options.customers.min(MAX_CUSTOMERS), ..options };
        let run = Chance::new(options.seed, calendar.start_ms().unsigned_abs()).draw();
        Population { options, calendar, shops, run, arrived: 0, lives: BTreeMap::new() }
    }

    /// Customers arrive evenly over the first two thirds.
    fn arrival(&self, number: u32) -> Lived {
        let window = self.options.horizon * 2 / 3;
        window / i64::from(self.options.customers.max(1)) * i64::from(number)
    }

    fn arrive(&mut self) {
        let number = self.arrived;
        self.arrived += 1;
        let mut chance = Chance::new(self.options.seed, u64::from(number));
        // Names differ from run to run, what happens does not.
        let mut names = Chance::new(self.options.seed ^ self.run, u64::from(number));
        let storefront = &STOREFRONTS[usize::try_from(chance.below(STOREFRONTS.len() as u64)).unwrap_or(0)];
        let known = !chance.percent(self.options.anonymous_percent);
        let token = known.then(|| Arc::from(names.uuid()));
        let arrives = self.arrival(number);
        let person = Person { number, arrives, run: self.run, chance, names, storefront, token };
        let told = self.live(person);
        self.wait(number, told.into());
    }

    fn live(&self, person: Person) -> Vec<Told> {
        let place = usize::try_from(person.number).unwrap_or(0).checked_rem(self.shops.len());
        match place.and_then(|place| self.shops.get(place)) {
            Some(Shop::AppStore(app)) => {
                let customer = app_store::lives::Customer::new(person, self.calendar, app.clone());
                app_store::lives::live(customer, self.options.horizon)
            }
            Some(Shop::Stripe(shape)) => {
                let customer = stripe::lives::Customer::new(person, self.calendar, *shape);
                stripe::lives::live(customer, self.calendar.stamp(self.options.horizon) / 1000)
            }
            Some(Shop::Play(app)) => {
                let customer = play::lives::Customer::new(person, self.calendar, app.clone());
                play::lives::live(customer, self.options.horizon)
            }
            Some(Shop::Amazon(app)) => {
                let customer = amazon::lives::Customer::new(person, self.calendar, app.clone());
                amazon::lives::live(customer, self.options.horizon)
            }
            Some(Shop::Discord(app)) => {
                let customer = discord::lives::Customer::new(person, self.calendar, *app);
                discord::lives::live(customer, self.options.horizon)
            }
            None => Vec::new(),
        }
    }

    fn wait(&mut self, number: u32, life: VecDeque<Told>) {
        if let Some(next) = life.front()
            && next.at <= self.options.horizon
        {
            self.lives.insert((next.at, number), life);
        }
    }
}

impl Iterator for Population {
    type Item = Told;

    fn next(&mut self) -> Option<Told> {
        loop {
            let next = self.lives.first_key_value().map(|((at, _), _)| *at);
            let someone_comes =
                self.arrived < self.options.customers && next.is_none_or(|next| self.arrival(self.arrived) <= next);
            if someone_comes {
                self.arrive();
                continue;
            }
            let ((_, number), mut life) = self.lives.pop_first()?;
            let told = life.pop_front();
            self.wait(number, life);
            return told;
        }
    }
}

#[cfg(test)]
mod tests;
