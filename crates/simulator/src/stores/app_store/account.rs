//! What Apple knows at a moment: every transaction as it stands, how each subscription stands, and what became of every
//! notification. It follows the lives by their dates, not by what was sent: whoever asks the App Store Server API is told
//! how things stand at the moment of asking, however late the notifications about it arrive.

use super::wire::{Notification, Renewal, Transaction};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Notifications with their dates in milliseconds since 1970, in order.
pub type Feed = Box<dyn Iterator<Item = (i64, Notification)> + Send>;

/// Attempts that Apple shows of one notification.
const MAX_ATTEMPTS: usize = 6;

/// How one attempt to send a notification went, in Apple's words ("sendAttemptResult").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SendResult {
    /// Answered 200 to 206.
    Success,
    /// No answer in time.
    TimedOut,
    /// No answer at all.
    NoResponse,
    /// No connection, or one that broke.
    SocketIssue,
    /// Answered with another status.
    UnsuccessfulHttpResponseCode,
}

/// One attempt to send a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendAttempt {
    /// When, in milliseconds since 1970.
    pub attempt_date: i64,
    /// What came of it.
    pub send_attempt_result: SendResult,
}

/// Everything of one `originalTransactionId`.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Its transactions, each as it stands, in the order in which they were made.
    pub transactions: Vec<Transaction>,
    /// What comes next; absent for one-time purchases.
    pub renewal: Option<Renewal>,
    /// 1 to 5; absent for one-time purchases.
    pub status: Option<u8>,
}

impl Chain {
    /// The transaction in force: the last one made.
    #[must_use]
    pub fn current(&self) -> Option<&Transaction> {
        self.transactions.last()
    }
}

/// The account of one app.
#[derive(Default)]
pub struct Account {
    feed: Option<Feed>,
    next: Option<(i64, Notification)>,
    chains: BTreeMap<Arc<str>, Chain>,
    /// The chain of every transaction.
    chain_of: HashMap<Arc<str>, Arc<str>>,
    /// The chains of one installation, which stands for a customer.
    belonging: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// Transactions that an upgrade replaced.
    upgraded: HashSet<Arc<str>>,
    /// In the order of their dates.
    told: BTreeMap<(i64, String), Notification>,
    attempts: HashMap<String, Vec<SendAttempt>>,
}

impl Account {
    /// What will happen.
    pub fn follow(&mut self, mut feed: Feed) {
        self.next = feed.next();
        self.feed = Some(feed);
    }

    /// Whether anything will be asked for: only then is anything remembered.
    #[must_use]
    pub const fn is_followed(&self) -> bool {
        self.feed.is_some()
    }

    /// Everything up to this moment has happened.
    pub fn catch_up(&mut self, now_ms: i64) {
        while let Some((_, told)) = self.next.take_if(|(at, _)| *at <= now_ms) {
            self.publish(&told);
            self.next = self.feed.as_mut().and_then(Iterator::next);
        }
    }

    /// Nothing more happens.
    pub fn freeze(&mut self) {
        self.next = None;
    }

    /// Something happened.
    pub fn publish(&mut self, told: &Notification) {
        let transaction = &told.transaction;
        let original = &transaction.original_transaction_id;
        if !self.chains.contains_key(original) {
            let owned = self.belonging.entry(Arc::clone(&transaction.app_transaction_id)).or_default();
            owned.push(Arc::clone(original));
        }
        let empty = || Chain { transactions: Vec::new(), renewal: None, status: None };
        let chain = self.chains.entry(Arc::clone(original)).or_insert_with(empty);
        let known = chain.transactions.iter_mut().find(|known| known.transaction_id == transaction.transaction_id);
        match known {
            Some(known) => *known = transaction.clone(),
            None => {
                if let Some(last) = chain.transactions.last()
                    && told.subtype == Some("UPGRADE")
                {
                    self.upgraded.insert(Arc::clone(&last.transaction_id));
                }
                chain.transactions.push(transaction.clone());
                self.chain_of.insert(Arc::clone(&transaction.transaction_id), Arc::clone(original));
            }
        }
        chain.renewal.clone_from(&told.renewal);
        chain.status = told.status;
        self.told.insert((told.signed_date, told.uuid.clone()), told.clone());
    }

    /// An attempt was made to send the notification of this `notificationUUID`.
    pub fn attempted(&mut self, uuid: &str, attempt_date: i64, send_attempt_result: SendResult) {
        if !self.is_followed() {
            return;
        }
        let attempts = self.attempts.entry(uuid.to_owned()).or_default();
        if attempts.len() == MAX_ATTEMPTS {
            attempts.pop();
        }
        attempts.push(SendAttempt { attempt_date, send_attempt_result });
    }

    /// How sending a notification went so far.
    #[must_use]
    pub fn attempts(&self, uuid: &str) -> &[SendAttempt] {
        self.attempts.get(uuid).map_or(&[], Vec::as_slice)
    }

    /// All notifications signed from `from` on, oldest first.
    pub fn told(&self, from: i64) -> impl Iterator<Item = &Notification> {
        self.told.range((from, String::new())..).map(|(_, told)| told)
    }

    /// The customer's chains, by any of their transactions.
    #[must_use]
    pub fn of_customer(&self, transaction_id: &str) -> Option<Vec<&Chain>> {
        let chain = self.chains.get(self.chain_of.get(transaction_id)?)?;
        let owned = self.belonging.get(&chain.transactions.first()?.app_transaction_id)?;
        Some(owned.iter().filter_map(|original| self.chains.get(original)).collect())
    }

    /// One transaction as it stands.
    #[must_use]
    pub fn transaction(&self, transaction_id: &str) -> Option<&Transaction> {
        let chain = self.chains.get(self.chain_of.get(transaction_id)?)?;
        chain.transactions.iter().find(|one| &*one.transaction_id == transaction_id)
    }

    /// Whether an upgrade replaced it.
    #[must_use]
    pub fn is_upgraded(&self, transaction_id: &str) -> bool {
        self.upgraded.contains(transaction_id)
    }

    /// How many purchases there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chains.len()
    }

    /// Nothing was sold yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }
}
