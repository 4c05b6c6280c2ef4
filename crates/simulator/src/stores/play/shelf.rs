//! What Google knows at a moment: every purchase, order and voided purchase as it stands. It follows the lives by their
//! dates, not by what was sent: whoever asks is told how things stand at the moment of asking.
//!
//! Where nobody but the hub is there to acknowledge, it keeps Google's rule: a purchase that is not acknowledged within
//! three days (a license tester's: five minutes) is refunded and revoked.

use super::wire::{
    About, Canceled, Id, Notification, Order, ProductPurchase, Shown, State, SubscriptionPurchase, VoidedPurchase,
};
use std::collections::{BTreeMap, BTreeSet};

/// Notifications with their dates in milliseconds since 1970, in order.
pub type Notifications = Box<dyn Iterator<Item = (i64, Notification)> + Send>;

const MINUTE_MS: i64 = 60 * 1000;
/// How long a purchase waits to be acknowledged.
pub const ACKNOWLEDGE_WITHIN_MS: i64 = 3 * 24 * 60 * MINUTE_MS;
/// The same for license testers.
pub const TESTERS_ACKNOWLEDGE_WITHIN_MS: i64 = 5 * MINUTE_MS;

/// What Google knows.
#[derive(Default)]
pub struct Shelf {
    feed: Option<Notifications>,
    next: Option<(i64, Notification)>,
    subscriptions: BTreeMap<Id, SubscriptionPurchase>,
    products: BTreeMap<Id, ProductPurchase>,
    orders: BTreeMap<Id, Order>,
    voided: Vec<VoidedPurchase>,
    /// Tokens that were acknowledged by a call.
    acknowledged: BTreeSet<Id>,
    /// Tokens that Google took back because nobody acknowledged them.
    forfeited: BTreeSet<Id>,
    /// Nobody but the hub acknowledges.
    hub_acknowledges: bool,
    /// Told because of that, and not by the lives.
    due: Vec<Notification>,
}

impl Shelf {
    /// What will happen.
    pub fn follow(&mut self, mut feed: Notifications) {
        self.next = feed.next();
        self.feed = Some(feed);
    }

    /// Apps acknowledge nothing from now on: the hub has to.
    pub fn leave_acknowledging_to_the_hub(&mut self) {
        self.hub_acknowledges = true;
    }

    /// Everything up to this moment has happened.
    pub fn catch_up(&mut self, now_ms: i64) {
        while let Some((_, notification)) = self.next.take_if(|(at, _)| *at <= now_ms) {
            self.publish(&notification);
            self.next = self.feed.as_mut().and_then(Iterator::next);
        }
        if self.hub_acknowledges {
            self.take_back(now_ms);
        }
    }

    /// Nothing more happens.
    pub fn freeze(&mut self) {
        self.feed = None;
        self.next = None;
    }

    /// Something happened.
    pub fn publish(&mut self, notification: &Notification) {
        for shown in &notification.shown {
            match shown.clone() {
                Shown::Subscription(one) => drop(self.subscriptions.insert(one.token.clone(), *one)),
                Shown::Product(one) => drop(self.products.insert(one.token.clone(), *one)),
                Shown::Order(one) => drop(self.orders.insert(one.order_id.clone(), *one)),
                Shown::Voided(one) => self.voided.push(one),
            }
        }
    }

    /// The subscription with this token, as it stands.
    #[must_use]
    pub fn subscription(&self, token: &str) -> Option<SubscriptionPurchase> {
        let mut one = self.subscriptions.get(token)?.clone();
        if self.hub_acknowledges {
            one.is_acknowledged = self.acknowledged.contains(token);
        }
        Some(one)
    }

    /// The one-time purchase with this token, as it stands.
    #[must_use]
    pub fn product(&self, token: &str) -> Option<ProductPurchase> {
        let mut one = self.products.get(token)?.clone();
        if self.hub_acknowledges {
            one.is_acknowledged = self.acknowledged.contains(token);
        }
        Some(one)
    }

    /// The order with this id.
    #[must_use]
    pub fn order(&self, id: &str) -> Option<&Order> {
        self.orders.get(id)
    }

    /// What was taken back, oldest first.
    #[must_use]
    pub fn voided(&self) -> &[VoidedPurchase] {
        &self.voided
    }

    /// Whether this token was acknowledged by a call.
    #[must_use]
    pub fn is_acknowledged_by_call(&self, token: &str) -> bool {
        self.acknowledged.contains(token)
    }

    /// A call acknowledges; false: there is no such purchase. A second time changes nothing.
    pub fn acknowledge(&mut self, token: &str) -> bool {
        let found = self.subscriptions.get_key_value(token).map(|(token, _)| token.clone());
        let found = found.or_else(|| self.products.get_key_value(token).map(|(token, _)| token.clone()));
        found.map(|token| self.acknowledged.insert(token)).is_some()
    }

    /// What Google tells of its own accord since this was last asked: purchases taken back because nobody acknowledged
    /// them.
    pub fn due(&mut self) -> Vec<Notification> {
        std::mem::take(&mut self.due)
    }

    /// Refunds and revokes what was not acknowledged in time.
    fn take_back(&mut self, now_ms: i64) {
        let patience = |is_test: bool| if is_test { TESTERS_ACKNOWLEDGE_WITHIN_MS } else { ACKNOWLEDGE_WITHIN_MS };
        let late = |bought: i64, is_test: bool| now_ms >= bought + patience(is_test);
        let subscriptions: Vec<SubscriptionPurchase> = self
            .subscriptions
            .values()
            .filter(|one| matches!(one.state, State::Active | State::Canceled) && late(one.start_time, one.is_test))
            .filter(|one| !self.acknowledged.contains(&one.token) && !self.forfeited.contains(&one.token))
            .cloned()
            .collect();
        for one in subscriptions {
            self.forfeited.insert(one.token.clone());
            self.revoke(one, now_ms);
        }
        let products: Vec<ProductPurchase> = self
            .products
            .values()
            .filter(|one| one.completed_at.is_some_and(|at| late(at, one.is_test)))
            .filter(|one| !self.acknowledged.contains(&one.token) && !self.forfeited.contains(&one.token))
            .cloned()
            .collect();
        for one in products {
            self.forfeited.insert(one.token.clone());
            self.void(one, now_ms);
        }
    }

    /// 12, then 13: both show the same, a system-initiated cancellation.
    fn revoke(&mut self, mut one: SubscriptionPurchase, now_ms: i64) {
        one.state = State::Expired;
        one.canceled = Some(Canceled::System);
        for item in &mut one.items {
            item.expiry_time = Some(now_ms);
            if let super::wire::Plan::AutoRenewing { is_on, .. } = &mut item.plan {
                *is_on = false;
            }
        }
        let product = one.items.first().map_or("", |item| item.product_id);
        for (place, kind) in [12, 13].into_iter().enumerate() {
            let about = About::Subscription { kind, token: one.token.clone(), subscription_id: product };
            let shown = vec![Shown::Subscription(Box::new(one.clone()))];
            self.tell(now_ms + i64::try_from(place).unwrap_or(0), about, shown);
        }
    }

    fn void(&mut self, mut one: ProductPurchase, now_ms: i64) {
        one.state = "CANCELLED";
        one.refundable = 0;
        let voided = VoidedPurchase {
            token: one.token.clone(),
            order_id: one.order_id.clone(),
            purchased: one.completed_at.unwrap_or(now_ms),
            voided: now_ms,
            source: 2,
            reason: 0,
            is_subscription: false,
        };
        let (token, order_id) = (one.token.clone(), one.order_id.clone());
        let about = About::VoidedPurchase { token, order_id, product_type: 2, refund_type: 1 };
        self.tell(now_ms, about, vec![Shown::Product(Box::new(one)), Shown::Voided(voided)]);
    }

    fn tell(&mut self, at: i64, about: About, shown: Vec<Shown>) {
        let message_id = format!("9{:015}", self.due.len() + self.forfeited.len() * 10);
        let notification = Notification { message_id, at, about, shown };
        self.publish(&notification);
        self.due.push(notification);
    }
}
