//! What Stripe knows at a moment: every object as it stands, and the events so far. It follows the lives by their dates,
//! not by what was sent: whoever asks Stripe is told how things stand at the moment of asking, however late the events
//! about it arrive.

use super::objects::{Charge, Event, Id, Object};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Events that are kept: Stripe's own API shows those of the last 30 days.
const MAX_EVENTS: usize = 20_000;

/// Events with their dates in milliseconds since 1970, in order.
pub type Events = Box<dyn Iterator<Item = (i64, Event)> + Send>;

/// An account's objects and events.
#[derive(Default)]
pub struct Account {
    feed: Option<Events>,
    next: Option<(i64, Event)>,
    objects: HashMap<Id, Object>,
    /// Charges by their payment intent.
    charges: HashMap<Id, Id>,
    /// Objects that belong to another one, by its id: an invoice's payments, a customer's subscriptions.
    belonging: HashMap<Id, Vec<Id>>,
    /// In the order in which they were made.
    subscriptions: Vec<Id>,
    events: VecDeque<Event>,
}

impl Account {
    /// What will happen.
    pub fn follow(&mut self, mut feed: Events) {
        self.next = feed.next();
        self.feed = Some(feed);
    }

    /// Everything up to this moment has happened.
    pub fn catch_up(&mut self, now_ms: i64) {
        while let Some((_, event)) = self.next.take_if(|(at, _)| *at <= now_ms) {
            self.publish(&event);
            self.next = self.feed.as_mut().and_then(Iterator::next);
        }
    }

    /// Nothing more happens.
    pub fn freeze(&mut self) {
        self.feed = None;
        self.next = None;
    }

    /// Something happened.
    pub fn publish(&mut self, event: &Event) {
        for object in event.also.iter().chain([&event.object]) {
            self.put(object);
        }
        self.events.push_back(event.clone());
        if self.events.len() > MAX_EVENTS {
            self.events.pop_front();
        }
    }

    fn put(&mut self, object: &Object) {
        let id = object.id();
        if self.objects.insert(id.clone(), object.clone()).is_some() {
            return;
        }
        if let Object::Charge(charge) = object {
            self.charges.insert(charge.intent.clone(), id.clone());
        }
        if let Object::Subscription(_) = object {
            self.subscriptions.push(id.clone());
        }
        for owner in owners(object) {
            self.belonging.entry(owner.clone()).or_default().push(id.clone());
        }
    }

    /// The object with this id.
    #[must_use]
    pub fn object(&self, id: &str) -> Option<&Object> {
        self.objects.get(id)
    }

    /// The charge of a payment intent.
    #[must_use]
    pub fn charge_of(&self, intent: &str) -> Option<&Charge> {
        match self.objects.get(self.charges.get(intent)?)? {
            Object::Charge(charge) => Some(charge),
            Object::Customer(_)
            | Object::Subscription(_)
            | Object::Invoice(_)
            | Object::InvoicePayment(_)
            | Object::Refund(_)
            | Object::Dispute(_)
            | Object::Session(_)
            | Object::Schedule(_) => None,
        }
    }

    /// What belongs to the object with this id, newest first.
    pub fn belonging(&self, id: &str) -> impl Iterator<Item = &Object> {
        let ids = self.belonging.get(id).into_iter().flatten().rev();
        ids.filter_map(|id| self.objects.get(id))
    }

    /// All subscriptions, newest first.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Object> {
        self.subscriptions.iter().rev().filter_map(|id| self.objects.get(id))
    }

    /// The events, newest first.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().rev()
    }

    /// How many objects of each kind there are, for the curious.
    #[must_use]
    pub fn census(&self) -> BTreeMap<&'static str, usize> {
        let mut census = BTreeMap::new();
        for object in self.objects.values() {
            let kind = match object {
                Object::Customer(_) => "customer",
                Object::Subscription(_) => "subscription",
                Object::Invoice(_) => "invoice",
                Object::Charge(_) => "charge",
                Object::InvoicePayment(_) => "invoice_payment",
                Object::Refund(_) => "refund",
                Object::Dispute(_) => "dispute",
                Object::Session(_) => "checkout.session",
                Object::Schedule(_) => "subscription_schedule",
            };
            *census.entry(kind).or_default() += 1;
        }
        census
    }
}

/// The ids of the objects whose lists show this one.
fn owners(object: &Object) -> Vec<&Id> {
    match object {
        Object::Customer(_) | Object::Schedule(_) => vec![],
        Object::Subscription(one) => vec![&one.customer],
        Object::Invoice(one) => vec![&one.subscription],
        Object::Charge(one) => one.customer.iter().collect(),
        Object::InvoicePayment(one) => vec![&one.invoice, &one.intent],
        Object::Refund(one) => vec![&one.charge, &one.intent],
        Object::Dispute(one) => vec![&one.charge, &one.intent],
        Object::Session(one) => one.intent.iter().chain(&one.subscription).collect(),
    }
}
