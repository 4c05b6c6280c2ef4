//! What receipt verification knows at a moment. It follows the lives by their dates, not by what was sent: whoever asks
//! is told how things stand at the moment of asking.

use super::wire::{Id, Notification, Receipt};
use std::collections::BTreeMap;

/// Notifications with their dates in milliseconds since 1970, in order.
pub type Notifications = Box<dyn Iterator<Item = (i64, Notification)> + Send>;

/// Receipts as they stand.
#[derive(Default)]
pub struct Shelf {
    feed: Option<Notifications>,
    next: Option<(i64, Notification)>,
    receipts: BTreeMap<Id, Receipt>,
}

impl Shelf {
    /// What will happen.
    pub fn follow(&mut self, mut feed: Notifications) {
        self.next = feed.next();
        self.feed = Some(feed);
    }

    /// Everything up to this moment has happened.
    pub fn catch_up(&mut self, now_ms: i64) {
        while let Some((_, notification)) = self.next.take_if(|(at, _)| *at <= now_ms) {
            self.publish(&notification);
            self.next = self.feed.as_mut().and_then(Iterator::next);
        }
    }

    /// Nothing more happens.
    pub fn freeze(&mut self) {
        self.feed = None;
        self.next = None;
    }

    /// Something happened.
    pub fn publish(&mut self, notification: &Notification) {
        for receipt in &notification.shown {
            self.receipts.insert(receipt.receipt_id.clone(), receipt.clone());
        }
    }

    /// The receipt with this id.
    #[must_use]
    pub fn receipt(&self, id: &str) -> Option<&Receipt> {
        self.receipts.get(id)
    }
}
