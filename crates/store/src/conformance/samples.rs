//! Small people, purchases, events and decisions to try a store with.

use crate::records::*;
use crate::*;
use bytes::Bytes;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::ids::*;
use paidup_lifecycle::observation::{Environment, PurchaseKey, Store as Seller};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::sample;
use paidup_lifecycle::time::Timestamp;

/// The source of all samples.
pub(crate) const SOURCE: SourceId = SourceId([7; 16]);

/// A moment, in seconds since the samples' beginning.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_millis_clamped((1_767_225_600 + second) * 1000)
}

pub(crate) fn customer(name: &str) -> Customer {
    let mut customer = Customer::new(CustomerId::derive(&[name.as_bytes()]), at(0));
    customer.aliases.push(name.to_owned());
    customer
}

/// A purchase of the sample source, by its store's id.
pub(crate) fn purchase(name: &str, owner: &Customer) -> Purchase {
    let key =
        PurchaseKey { source_id: SOURCE, environment: Environment::Production, store_purchase_id: name.to_owned() };
    Purchase::new(key, Seller::Stripe, owner.id)
}

/// An event of that purchase, detected at that second. Its id is made of all three.
pub(crate) fn event(event_type: EventType, purchase: &Purchase, second: i64) -> Event {
    let mut event = sample::event(event_type, Seller::Stripe);
    event.id = EventId::of(purchase.id, u64::try_from(second).unwrap(), event_type as u32, at(second));
    event.source_id = purchase.key.source_id;
    event.environment = purchase.key.environment;
    event.detected_at = at(second);
    event.customer.id = purchase.customer;
    event.purchase.id = purchase.id;
    event.purchase.store_purchase_id.clone_from(&purchase.key.store_purchase_id);
    event
}

/// A kept notification about a purchase, or about none.
pub(crate) fn notification(name: &str, purchase: Option<PurchaseId>) -> KeptNotification {
    KeptNotification {
        id: NotificationId::derive(&[&SOURCE.0, name.as_bytes()]),
        source_id: SOURCE,
        external_id: name.to_owned(),
        label: "renewed".to_owned(),
        received_at: at(1),
        body: Bytes::from(format!(r#"{{"id":"{name}","reason":"renewed","customer_id":"user-1"}}"#)).into(),
        packed: false,
        shared: Vec::new(),
        outcome: if purchase.is_some() { NotificationOutcome::Observed } else { NotificationOutcome::Unknown },
        purchase_id: purchase,
    }
}

/// A journal record that read these notifications.
pub(crate) fn journal(notifications: &[&KeptNotification], second: i64) -> JournalRecord {
    JournalRecord {
        decided_at: at(second),
        engine_version: 1,
        catalogue_revision: 2,
        policy_revision: 3,
        seed: [9; 16],
        input: Bytes::from(format!(r#"{{"command":"notifications","second":{second}}}"#)),
        notifications: notifications.iter().map(|notification| notification.id).collect(),
    }
}

/// A decision made of two closures.
pub(crate) struct Deciding<F> {
    wants: Wants,
    decide: F,
}

impl<F: FnMut(&Before) -> Result<Changes, Refused> + Send> Decision for Deciding<F> {
    fn wants(&self) -> Wants {
        self.wants.clone()
    }

    fn decide(&mut self, before: &Before) -> Result<Changes, Refused> {
        (self.decide)(before)
    }
}

/// A decision that wants `wants` and does `decide`.
pub(crate) fn deciding(
    wants: Wants,
    decide: impl FnMut(&Before) -> Result<Changes, Refused> + Send + 'static,
) -> Box<dyn Decision> {
    Box::new(Deciding { wants, decide })
}

/// Saves `changes` whatever there was.
pub(crate) async fn save(store: &dyn Store, changes: Changes) -> Committed {
    try_save(store, changes).await.unwrap()
}

/// As [`save`]; may fail.
pub(crate) async fn try_save(store: &dyn Store, changes: Changes) -> Result<Committed, StoreError> {
    store.commit(Urgency::Intake, deciding(Wants::default(), move |_| Ok(changes.clone()))).await
}

/// What there was, for these wants.
pub(crate) async fn look(store: &dyn Store, wants: Wants) -> Before {
    let (tell, told) = std::sync::mpsc::channel();
    let decision = deciding(wants, move |before| {
        tell.send(before.clone()).unwrap();
        Ok(Changes::default())
    });
    store.commit(Urgency::Intake, decision).await.unwrap();
    told.recv().unwrap()
}

/// Commits one whole life step: customer, purchase, its alias, a notification, a journal entry and one event.
pub(crate) async fn step(store: &dyn Store, owner: &Customer, name: &str, second: i64) -> Committed {
    let purchase = purchase(name, owner);
    let kept = notification(&format!("{name}-{second}"), Some(purchase.id));
    let changes = Changes {
        journal: Some(journal(&[&kept], second)),
        notifications: vec![kept],
        events: vec![event(EventType::SubscriptionRenewed, &purchase, second)],
        purchases: vec![purchase],
        customers: vec![owner.clone()],
        aliases: owner.aliases.iter().map(|alias| (alias.clone(), owner.id)).collect(),
        ..Changes::default()
    };
    save(store, changes).await
}

/// Every event of the log.
pub(crate) async fn log(store: &dyn Store) -> Vec<paidup_lifecycle::event::LoggedEvent> {
    store.events_after(0, 0, 10_000).await.unwrap()
}

pub(crate) fn destination(name: &str, start: Start) -> DestinationRecord {
    DestinationRecord {
        id: DestinationId::derive(&[name.as_bytes()]),
        kind: "webhook".to_owned(),
        name: name.to_owned(),
        settings: br#"{"url":"https://example.com"}"#.to_vec(),
        order: LaneOrder::Purchase,
        filters: vec![FilterVersion { from: Vec::new(), filter: paidup_lifecycle::filter::Filter::default() }],
        start,
        state: DestinationState::Active,
        state_reason: None,
        state_since: at(0),
        max_backlog: DEFAULT_MAX_BACKLOG,
        gaps: Vec::new(),
        skip_after: None,
        keep_trying: DEFAULT_KEEP_TRYING,
        created_at: at(0),
    }
}
