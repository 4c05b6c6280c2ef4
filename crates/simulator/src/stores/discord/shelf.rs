//! What Discord's API shows at a moment: every entitlement and subscription as it stands. It follows the lives by their dates,
//! not by what was sent: whoever asks is told how things stand at the moment of asking.

use super::wire::{Change, Entitlement, Id, Shown, Subscription};
use std::collections::BTreeMap;

/// Changes with their dates in milliseconds since 1970, in order.
pub type Changes = Box<dyn Iterator<Item = (i64, Change)> + Send>;

/// What Discord knows.
#[derive(Default)]
pub struct Shelf {
    feed: Option<Changes>,
    next: Option<(i64, Change)>,
    entitlements: BTreeMap<Id, Entitlement>,
    subscriptions: BTreeMap<Id, Subscription>,
}

impl Shelf {
    /// What will happen.
    pub fn follow(&mut self, mut feed: Changes) {
        self.next = feed.next();
        self.feed = Some(feed);
    }

    /// Everything up to this moment has happened.
    pub fn catch_up(&mut self, now_ms: i64) {
        while let Some((_, change)) = self.next.take_if(|(at, _)| *at <= now_ms) {
            self.publish(&change);
            self.next = self.feed.as_mut().and_then(Iterator::next);
        }
    }

    /// Nothing more happens.
    pub fn freeze(&mut self) {
        self.feed = None;
        self.next = None;
    }

    /// Something happened.
    pub fn publish(&mut self, change: &Change) {
        for shown in &change.shown {
            match shown {
                Shown::Entitlement(one) => drop(self.entitlements.insert(one.id, *one)),
                Shown::Subscription(one) => drop(self.subscriptions.insert(one.id, one.clone())),
            }
        }
    }

    /// All entitlements, oldest first.
    pub fn entitlements(&self) -> impl DoubleEndedIterator<Item = &Entitlement> {
        self.entitlements.values()
    }

    /// The entitlement with this id.
    #[must_use]
    pub fn entitlement(&self, id: Id) -> Option<&Entitlement> {
        self.entitlements.get(&id)
    }

    /// All subscriptions, oldest first.
    pub fn subscriptions(&self) -> impl DoubleEndedIterator<Item = &Subscription> {
        self.subscriptions.values()
    }

    /// The subscription with this id.
    #[must_use]
    pub fn subscription(&self, id: Id) -> Option<&Subscription> {
        self.subscriptions.get(&id)
    }

    /// A call says that it was used up; false: there is no such entitlement.
    pub fn consume(&mut self, id: Id) -> bool {
        self.entitlements.get_mut(&id).map(|one| one.consumed = true).is_some()
    }
}
