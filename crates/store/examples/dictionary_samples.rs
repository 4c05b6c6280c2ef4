//! Writes sample bodies to a folder, to train a dictionary from:
//!
//! ```text
//! cargo run -p paidup-store --example dictionary_samples -- /tmp/samples
//! zstd --train -r /tmp/samples --maxdict=16384 -o dictionary_2.zstd
//! ```
//!
//! All of it is made up here, from our own types: what a dictionary has seen stands in every installation's program.
//! A released dictionary never changes (`pack.rs` says how another one is added).

use paidup_lifecycle::customer::{Customer, Holding};
use paidup_lifecycle::dialects::revenuecat::Status;
use paidup_lifecycle::event::{Event, EventType};
use paidup_lifecycle::ids::{BundleId, CustomerId, EventId, NotificationId, ProductId, PurchaseId, SourceId};
use paidup_lifecycle::money::{Currency, Money};
use paidup_lifecycle::observation::{Environment, Facets, Hint, Kind, PeriodType, PurchaseKey, Store};
use paidup_lifecycle::purchase::{Purchase, State};
use paidup_lifecycle::sample;
use paidup_lifecycle::time::Timestamp;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const DAY: u64 = 86_400;

/// Numbers that look like chance and are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let place = usize::try_from(self.below(from.len() as u64)).unwrap_or(0);
        from[place]
    }

    fn id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.next().to_be_bytes());
        id[8..].copy_from_slice(&self.next().to_be_bytes());
        id
    }

    /// Some second of the years 2026 to 2028, at times with milliseconds.
    fn moment(&mut self) -> Timestamp {
        let seconds = 1_767_225_600 + self.below(3 * 365 * DAY);
        let millis = if self.below(2) == 0 { 0 } else { self.below(1000) };
        Timestamp::from_millis_clamped((seconds * 1000 + millis).cast_signed())
    }

    fn store(&mut self) -> Store {
        self.pick(&[Store::AppStore, Store::AppStore, Store::PlayStore, Store::PlayStore, Store::Stripe, Store::Amazon])
    }

    fn product(&mut self) -> &'static str {
        self.pick(&["pro_monthly", "pro_yearly", "premium.monthly", "com.example.app.annual", "basic_weekly"])
    }

    /// A transaction's id as that kind of store spells it.
    fn transaction(&mut self) -> String {
        match self.below(4) {
            0 => format!("2000000{:09}", self.below(1_000_000_000)),
            1 => format!(
                "GPA.{:04}-{:04}-{:04}-{:05}",
                self.below(9999),
                self.below(9999),
                self.below(9999),
                self.below(99_999)
            ),
            2 => format!("in_1{:016x}", self.next()),
            _ => format!("tx-{}", self.below(10_000_000)),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("which folder?")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let mut dice = Dice(1);
    for number in 0..1500 {
        // About as often as each kind is kept.
        let samples = [
            ("event", serde_json::to_vec(&event(&mut dice))?),
            ("event_more", serde_json::to_vec(&event(&mut dice))?),
            ("purchase", serde_json::to_vec(&purchase(&mut dice)?)?),
            ("customer", serde_json::to_vec(&customer(&mut dice))?),
            ("notification", serde_json::to_vec(&notification(&mut dice))?),
            ("apple", apple(&mut dice)),
            ("journal", serde_json::to_vec(&journal(&mut dice))?),
        ];
        for (name, bytes) in samples {
            std::fs::write(folder.join(format!("{name}_{number:05}")), bytes)?;
        }
    }
    Ok(())
}

/// The common types often, each of the others at times.
fn event(dice: &mut Dice) -> Event {
    let common = [
        EventType::Activate,
        EventType::Deactivate,
        EventType::SubscriptionStarted,
        EventType::SubscriptionRenewed,
        EventType::SubscriptionRenewed,
        EventType::TransactionProcessed,
        EventType::TransactionProcessed,
        EventType::RenewalDisabled,
        EventType::SubscriptionTerminated,
        EventType::TrialStarted,
        EventType::TrialConverted,
    ];
    let event_type = if dice.below(5) == 0 { dice.pick(EventType::ALL) } else { dice.pick(&common) };
    let mut event = sample::event(event_type, dice.store());
    event.id = EventId(dice.id());
    event.bundle.id = BundleId(dice.id());
    event.seq = 1 + dice.below(40);
    event.source_id = SourceId(dice.id());
    event.occurred_at = dice.moment();
    event.detected_at = event.occurred_at.plus(Duration::from_millis(dice.below(9000)));
    event.environment = if dice.below(5) == 0 { Environment::Sandbox } else { Environment::Production };
    let name = format!("user-{}", dice.below(1_000_000));
    event.customer.id = CustomerId(dice.id());
    event.customer.aliases = vec![name.clone()];
    event.customer.app_user_id.clone_from(&name);
    event.customer.original_app_user_id = name;
    event.customer.revision = dice.below(40);
    if dice.below(3) > 0 {
        event.customer.attributes.clear();
    }
    let (id, store_id, transaction) = (PurchaseId(dice.id()), dice.transaction(), dice.transaction());
    let (product, catalogue_id) = (dice.product(), ProductId(dice.id()));
    for view in event.previous.iter_mut().chain([&mut event.purchase]) {
        view.id = id;
        view.store_purchase_id.clone_from(&store_id);
        view.product_id = Some(product.to_owned());
        view.catalogue_id = Some(catalogue_id);
        view.first_purchased_at = Some(dice.moment());
        view.renewal_number = 1 + u32::try_from(dice.below(40)).unwrap_or(0);
        if let Some(period) = &mut view.period {
            period.starts_at = dice.moment();
            period.ends_at = Some(period.starts_at.plus(Duration::from_secs(30 * DAY)));
            period.transaction_id = Some(transaction.clone());
        }
        if let Some(price) = &mut view.price {
            *price = money(dice);
        }
    }
    if let Some(told) = &mut event.transaction {
        told.id = Some(transaction);
        told.product_id = Some(product.to_owned());
        told.money = told.money.map(|_| money(dice));
    }
    event
}

fn money(dice: &mut Dice) -> Money {
    let amount_minor = dice.pick(&[99, 299, 499, 999, 1299, 1999, 4999, 9999]);
    let currency = dice.pick(&["USD", "USD", "EUR", "GBP", "JPY", "BRL"]).parse().unwrap_or(Currency::USD);
    Money { amount_minor, currency }
}

fn purchase(dice: &mut Dice) -> Result<Purchase, serde_json::Error> {
    let environment = if dice.below(5) == 0 { Environment::Sandbox } else { Environment::Production };
    let key = PurchaseKey { source_id: SourceId(dice.id()), environment, store_purchase_id: dice.transaction() };
    let mut purchase = Purchase::new(key, dice.store(), CustomerId(dice.id()));
    purchase.facets = facets(dice)?;
    purchase.state = dice.pick(&[State::Active, State::Active, State::Active, State::Expired, State::Grace]);
    purchase.seq = 1 + dice.below(60);
    purchase.next_deadline = Some(dice.moment());
    purchase.settled_until = (dice.below(2) == 0).then(|| dice.moment());
    purchase.recent = (0..1 + dice.below(4)).map(|_| dice.next()).collect();
    for _ in 0..1 + dice.below(3) {
        purchase.told.insert(format!("{}/charge", dice.transaction()), money(dice));
    }
    Ok(purchase)
}

/// Facets as one or two notifications leave them.
fn facets(dice: &mut Dice) -> Result<Facets, serde_json::Error> {
    let (at, by, first_by) = (dice.moment(), dice.transaction(), dice.transaction());
    let now = json!({"as_of": at, "origin": dice.pick(&["notification", "notification", "answer"]), "by": by});
    let first = json!({"as_of": dice.moment(), "origin": "notification", "by": first_by});
    let (transaction, product) = (dice.transaction(), dice.product());
    let period =
        json!({"transaction_id": transaction, "starts_at": at, "ends_at": at.plus(Duration::from_secs(30 * DAY))});
    let price = money(dice);
    let mut facets = json!({
        "kind": {"value": dice.pick(&[Kind::Subscription, Kind::Subscription, Kind::NonConsumable]), "stamp": first},
        "standing": {"value": dice.pick(&["active", "active", "expired", "grace"]), "stamp": now},
        "period": {"value": period, "stamp": now},
        "period_type": {"value": dice.pick(&[PeriodType::Normal, PeriodType::Normal, PeriodType::Trial]), "stamp": now},
        "product": {"value": product, "stamp": now},
        "will_renew": {"value": dice.below(4) > 0, "stamp": now},
        "owner": {"value": format!("user-{}", dice.below(1_000_000)), "stamp": first},
        "family_shared": {"value": false, "stamp": first},
        "country": {"value": dice.pick(&["US", "DE", "GB"]), "stamp": first},
        "transactions": {
            transaction.as_str(): {
                "product_id": {"value": product, "stamp": now},
                "period": {"value": period, "stamp": now},
                "price": {"value": price, "stamp": now},
            }
        },
    });
    if dice.below(3) == 0 {
        facets["cancel_reason"] = json!({"value": "UNSUBSCRIBE", "stamp": now});
        facets["billing_retry"] = json!({"value": false, "stamp": now});
        facets["grace_ends_at"] = json!({"value": null, "stamp": now});
        facets["expiration_reason"] = json!({"value": null, "stamp": now});
        facets["offer"] = json!({"value": {"type": "FREE_TRIAL"}, "stamp": first});
    }
    serde_json::from_value(facets)
}

fn customer(dice: &mut Dice) -> Customer {
    let mut customer = Customer::new(CustomerId(dice.id()), dice.moment());
    let name = format!("user-{}", dice.below(1_000_000));
    customer.aliases.push(name.clone());
    customer.last_seen_as = Some(name);
    customer.revision = 1 + dice.below(60);
    for _ in 0..1 + dice.below(2) {
        let holding = Holding {
            store: dice.store(),
            environment: Environment::Production,
            kind: Kind::Subscription,
            product_id: Some(dice.product().to_owned()),
            period_type: Some(PeriodType::Normal),
            state: dice.pick(&[State::Active, State::Active, State::Expired]),
            entitlements: vec![dice.pick(&["pro", "premium"]).to_owned()],
            until: Some(dice.moment()),
            status: Some(dice.pick(&[Status::Active, Status::Active, Status::Expired])),
        };
        customer.holdings.insert(PurchaseId(dice.id()), holding);
    }
    customer.totals.insert("PRODUCTION/USD".to_owned(), dice.below(100_000).cast_signed());
    customer
}

/// The generic source's own form, and Stripe's objects as far as the words go.
fn notification(dice: &mut Dice) -> Value {
    let at = dice.moment();
    let ends_at = at.plus(Duration::from_secs(30 * DAY));
    let (transaction, product) = (dice.transaction(), dice.product());
    if dice.below(4) == 0 {
        let seconds = at.as_seconds();
        return json!({
            "id": format!("evt_1{:016x}", dice.next()), "object": "event", "api_version": "2025-03-31.basil", "created": seconds,
            "data": {"object": {
                "id": format!("sub_1{:016x}", dice.next()), "object": "subscription", "cancel_at_period_end": false,
                "collection_method": "charge_automatically", "created": seconds, "currency": "usd",
                "customer": format!("cus_{:014x}", dice.next()),
                "items": {"object": "list", "data": [{"id": format!("si_{:014x}", dice.next()), "object": "subscription_item",
                    "current_period_start": seconds, "current_period_end": seconds + 2_592_000,
                    "price": {"id": format!("price_1{:016x}", dice.next()), "object": "price", "active": true,
                        "currency": "usd", "product": product, "unit_amount": 999,
                        "recurring": {"interval": "month", "interval_count": 1}}, "quantity": 1}], "has_more": false},
                "latest_invoice": transaction, "livemode": true, "metadata": {}, "status": "active"}},
            "livemode": true, "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null},
            "type": dice.pick(&["customer.subscription.updated", "customer.subscription.created", "invoice.paid"]),
        });
    }
    json!({
        "id": format!("{:016x}", dice.next()), "observed_at": at, "reason": dice.pick(Hint::ALL), "environment": "PRODUCTION",
        "store": dice.store(), "customer_id": format!("user-{}", dice.below(1_000_000)),
        "purchase_id": format!("sub-{}", dice.below(1_000_000)), "kind": "subscription", "transaction_id": transaction,
        "product_id": product, "period_type": "normal", "period": {"starts_at": at, "ends_at": ends_at},
        "will_renew": true, "price": money(dice), "country": dice.pick(&["US", "DE", "GB"]), "family_shared": false,
        "attributes": {"$email": format!("user{}@example.com", dice.below(1000)), "$displayName": "Some Body",
            "campaign": "spring", "locale": "en_US"},
    })
}

/// What is left of an App Store notification when the source has packed it: its decoded parts one after another.
fn apple(dice: &mut Dice) -> Vec<u8> {
    let at = dice.moment().as_millis();
    let (original, transaction) =
        (format!("2000000{:09}", dice.below(1_000_000_000)), format!("2000000{:09}", dice.below(1_000_000_000)));
    let (environment, product) = (dice.pick(&["Production", "Sandbox"]), dice.product());
    let subtype =
        dice.pick(&["", "INITIAL_BUY", "AUTO_RENEW_DISABLED", "VOLUNTARY", "RESUBSCRIBE", "BILLING_RECOVERY"]);
    let notification_type =
        dice.pick(&["DID_RENEW", "SUBSCRIBED", "DID_CHANGE_RENEWAL_STATUS", "EXPIRED", "DID_FAIL_TO_RENEW"]);
    let uuid = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        dice.below(1 << 32),
        dice.below(1 << 16),
        dice.below(1 << 12),
        dice.below(1 << 12),
        dice.below(1 << 48)
    );
    let mut body = br#"{"signedPayload":""#.to_vec();
    let head = format!(
        r#"{{"notificationType":"{notification_type}","subtype":"{subtype}","notificationUUID":"{uuid}","data":{{"appAppleId":1234567890,"bundleId":"com.example.app","bundleVersion":"1.2.3","environment":"{environment}","signedTransactionInfo":""#
    );
    let sold = format!(
        r#"{{"transactionId":"{transaction}","originalTransactionId":"{original}","webOrderLineItemId":"2000000{:09}","bundleId":"com.example.app","productId":"{product}","subscriptionGroupIdentifier":"21{:06}","purchaseDate":{at},"originalPurchaseDate":{},"expiresDate":{},"quantity":1,"type":"Auto-Renewable Subscription","inAppOwnershipType":"PURCHASED","signedDate":{},"environment":"{environment}","transactionReason":"RENEWAL","storefront":"USA","storefrontId":"143441","price":9990,"currency":"USD","appTransactionId":"7{:017}"}}"#,
        dice.below(1_000_000_000),
        dice.below(1_000_000),
        at - 2_592_000_000,
        at + 2_592_000_000,
        at + 1500,
        dice.below(100_000_000_000_000_000)
    );
    let renews = format!(
        r#"{{"originalTransactionId":"{original}","autoRenewProductId":"{product}","productId":"{product}","autoRenewStatus":1,"renewalPrice":9990,"currency":"USD","signedDate":{},"environment":"{environment}","recentSubscriptionStartDate":{},"renewalDate":{},"appTransactionId":"7{:017}"}}"#,
        at + 1500,
        at - 2_592_000_000,
        at + 2_592_000_000,
        dice.below(100_000_000_000_000_000)
    );
    let tail = format!(r#""}},"version":"2.0","signedDate":{}}}"#, at + 1800);
    for part in
        [head.as_bytes(), sold.as_bytes(), br#"","signedRenewalInfo":""#, renews.as_bytes(), tail.as_bytes(), br#""}"#]
    {
        body.extend_from_slice(part);
    }
    body
}

fn journal(dice: &mut Dice) -> Value {
    json!({
        "command": {"command": "observe", "source_id": SourceId(dice.id()), "notification": NotificationId(dice.id())},
        "abilities": {"asks": [SourceId(dice.id())]},
    })
}
