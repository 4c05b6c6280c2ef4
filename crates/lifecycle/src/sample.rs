//! A plausible event of every type from every store: for previews, the `test` call of a destination, documentation and
//! golden tests. Nothing here is ever told as something that happened.
//!
//! Each type stands in the bundle in which the engine would tell it (lifecycle.md section 5), so that dialects find
//! their neighbours in `bundle.types`. All fields of [`Event`] are public: change what a case needs.

use crate::alert::{self, AlertKind, AlertSubject, Ending, OperatorAlert, SubjectId};
use crate::event::{
    AttributeView, Bundle, CustomerView, Details, Edge, EntitlementChange, Event, EventType, MoneyKind, PurchaseView,
    TransactionView,
};
use crate::ids::{BundleId, CustomerId, DestinationId, EventId, PurchaseId, SourceId};
use crate::money::{Currency, Money};
use crate::observation::{
    Environment, Hint, Kind, Offer, OfferType, Pause, PendingProduct, Period, PeriodType, Reason, Store,
};
use crate::purchase::{Purchase, State};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// 2026-01-01: the first period begins.
const FIRST: Timestamp = Timestamp::from_millis_clamped(1_767_225_600_000);
/// 2026-01-20: something happens inside the first period.
const INSIDE: Timestamp = Timestamp::from_millis_clamped(1_768_867_200_000);
/// 2026-02-01: the first period ends, the second begins.
const SECOND: Timestamp = Timestamp::from_millis_clamped(1_769_904_000_000);
/// 2026-03-01: the second period ends.
const THIRD: Timestamp = Timestamp::from_millis_clamped(1_772_323_200_000);
/// What the plan costs.
const PRICE: Money = Money { amount_minor: 999, currency: Currency::USD };

/// The store in which a type is at home, so that every dialect has a message for its sample: only Play pauses.
#[must_use]
pub const fn home(event_type: EventType) -> Store {
    use EventType as E;
    let is_pause = matches!(
        event_type,
        E::SubscriptionWillPause
            | E::SubscriptionWillNotPause
            | E::SubscriptionPaused
            | E::SubscriptionUnpaused
            | E::SubscriptionCancelledDuringPause
    );
    if is_pause { Store::PlayStore } else { Store::AppStore }
}

/// The event of that type in its bundle. Grants are always of the store `PROMOTIONAL`, operator alerts of `EXTERNAL`, whatever
/// `store` says.
#[must_use]
pub fn event(event_type: EventType, store: Store) -> Event {
    let scene = scene(event_type);
    let index = scene.types.iter().position(|told| *told == event_type).unwrap_or(0);
    build(&scene, store, index)
}

/// All events of the bundle in which `event_type` happens, in order.
#[must_use]
pub fn bundle(event_type: EventType, store: Store) -> Vec<Event> {
    let scene = scene(event_type);
    (0..scene.types.len()).map(|index| build(&scene, store, index)).collect()
}

/// How a purchase stands before or after a bundle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// First period, regular price.
    Paid,
    /// First period in an offer.
    InOffer(OfferType),
    /// Second period, regular price.
    Renewed,
    /// Second period in an offer.
    RenewedInOffer(OfferType),
    /// First period, renewal off.
    RenewalOff,
    /// First period, another plan from the second on.
    ChangePlanned,
    /// Another plan is in force.
    OtherPlan,
    /// First period, made longer.
    Extended,
    Grace,
    BillingRetry,
    PausePlanned,
    Paused,
    Ended(Reason),
    /// A first period in an offer that ended.
    OfferEnded(OfferType),
    Refunded,
    /// Withdrawn from a family member.
    Withdrawn,
    /// Bought once, for ever.
    Bought,
    BoughtForATime,
    TimeOver,
    BoughtRefunded,
    Granted,
    GrantRevoked,
    /// Claimed while the store could not be asked.
    Temporary,
    /// Nothing: it is about the hub.
    Alert,
}

/// One bundle of the transition table.
struct Scene {
    types: &'static [EventType],
    before: Option<Stage>,
    after: Stage,
    at: Timestamp,
    hint: Option<Hint>,
    reason: Option<Reason>,
    moved: Option<MoneyKind>,
}

impl Scene {
    const fn first(types: &'static [EventType], after: Stage, hint: Hint) -> Scene {
        Scene { types, before: None, after, at: FIRST, hint: Some(hint), reason: None, moved: None }
    }

    const fn later(types: &'static [EventType], before: Stage, after: Stage, at: Timestamp, hint: Hint) -> Scene {
        Scene { types, before: Some(before), after, at, hint: Some(hint), reason: None, moved: None }
    }

    const fn unchanged(types: &'static [EventType], hint: Option<Hint>) -> Scene {
        let (before, after) = (Some(Stage::Paid), Stage::Paid);
        Scene { types, before, after, at: INSIDE, hint, reason: None, moved: None }
    }

    const fn converted(types: &'static [EventType], offer: OfferType) -> Scene {
        Scene::later(types, Stage::InOffer(offer), Stage::Renewed, SECOND, Hint::Renewed).charged()
    }

    const fn not_converted(types: &'static [EventType], offer: OfferType) -> Scene {
        Scene::later(types, Stage::InOffer(offer), Stage::OfferEnded(offer), SECOND, Hint::Expired)
            .because(Reason::Unsubscribe)
    }

    const fn because(self, reason: Reason) -> Scene {
        Scene { reason: Some(reason), ..self }
    }

    const fn charged(self) -> Scene {
        self.moving(MoneyKind::Charge)
    }

    const fn moving(self, kind: MoneyKind) -> Scene {
        Scene { moved: Some(kind), ..self }
    }
}

/// In which bundle a type is told: one row per type, one row of lifecycle.md section 5 each.
#[allow(clippy::too_many_lines)] // a table: splitting it would hide a missing row from the compiler
fn scene(event_type: EventType) -> Scene {
    use EventType as E;
    use Hint as H;
    use OfferType as O;
    use Stage as S;
    let grace_end = SECOND.plus(DAY * 16);
    match event_type {
        E::Activate | E::SubscriptionStarted | E::TransactionProcessed => {
            Scene::first(&[E::Activate, E::SubscriptionStarted, E::TransactionProcessed], S::Paid, H::Purchased)
                .charged()
        }
        E::SubscriptionRenewed => {
            let types = &[E::Activate, E::SubscriptionRenewed, E::TransactionProcessed];
            Scene::later(types, S::Paid, S::Renewed, SECOND, H::Renewed).charged()
        }
        E::SubscriptionReactivated => {
            let types = &[E::Activate, E::SubscriptionReactivated, E::TransactionProcessed];
            Scene::later(types, S::Ended(Reason::Unsubscribe), S::Renewed, SECOND, H::Purchased).charged()
        }
        E::SubscriptionUpgraded => {
            let types = &[E::Deactivate, E::Activate, E::SubscriptionUpgraded, E::TransactionProcessed];
            Scene::later(types, S::Paid, S::OtherPlan, INSIDE, H::ProductChanged).charged()
        }
        E::SubscriptionCrossgraded => {
            let types = &[E::Deactivate, E::Activate, E::SubscriptionCrossgraded, E::TransactionProcessed];
            Scene::later(types, S::Paid, S::OtherPlan, INSIDE, H::ProductChanged).charged()
        }
        E::SubscriptionDowngraded => {
            let types = &[
                E::Deactivate,
                E::Activate,
                E::SubscriptionDowngraded,
                E::SubscriptionRenewed,
                E::TransactionProcessed,
            ];
            Scene::later(types, S::ChangePlanned, S::OtherPlan, SECOND, H::ProductChanged).charged()
        }
        E::PlanChangeScheduled => {
            Scene::later(&[E::PlanChangeScheduled], S::Paid, S::ChangePlanned, INSIDE, H::ProductChangeScheduled)
        }
        E::PlanChangeUnscheduled => {
            Scene::later(&[E::PlanChangeUnscheduled], S::ChangePlanned, S::Paid, INSIDE, H::ProductChangeCancelled)
        }
        E::SubscriptionDeferred => Scene::later(&[E::SubscriptionDeferred], S::Paid, S::Extended, INSIDE, H::Extended),
        E::RenewalDisabled => Scene::later(&[E::RenewalDisabled], S::Paid, S::RenewalOff, INSIDE, H::RenewalDisabled)
            .because(Reason::Unsubscribe),
        E::RenewalEnabled => Scene::later(&[E::RenewalEnabled], S::RenewalOff, S::Paid, INSIDE, H::RenewalEnabled),
        E::Deactivate | E::SubscriptionTerminated => {
            let types = &[E::Deactivate, E::SubscriptionTerminated];
            Scene::later(types, S::RenewalOff, S::Ended(Reason::Unsubscribe), SECOND, H::Expired)
                .because(Reason::Unsubscribe)
        }
        E::FamilySharedRevoked => {
            Scene::later(&[E::Deactivate, E::FamilySharedRevoked], S::Paid, S::Withdrawn, INSIDE, H::FamilyRevoked)
        }
        E::GracePeriodStarted => {
            let types = &[E::Activate, E::GracePeriodStarted, E::PaymentFailed];
            Scene::later(types, S::Paid, S::Grace, SECOND, H::GraceStarted).because(Reason::BillingError)
        }
        E::GracePeriodTerminated => {
            let types = &[E::Deactivate, E::GracePeriodTerminated, E::EnteredBillingRetry];
            Scene::later(types, S::Grace, S::BillingRetry, grace_end, H::BillingRetryStarted)
                .because(Reason::BillingError)
        }
        E::EnteredBillingRetry => {
            let types = &[E::Deactivate, E::EnteredBillingRetry, E::PaymentFailed];
            Scene::later(types, S::Paid, S::BillingRetry, SECOND, H::BillingRetryStarted).because(Reason::BillingError)
        }
        E::SubscriptionCancelledDuringGracePeriod => {
            let types = &[E::Deactivate, E::SubscriptionCancelledDuringGracePeriod, E::SubscriptionTerminated];
            Scene::later(types, S::Grace, S::Ended(Reason::Unsubscribe), SECOND.plus(DAY * 2), H::Expired)
                .because(Reason::Unsubscribe)
        }
        E::SubscriptionRecoveredFromGracePeriod => {
            let types = &[E::Activate, E::SubscriptionRecoveredFromGracePeriod, E::TransactionProcessed];
            Scene::later(types, S::Grace, S::Renewed, SECOND.plus(DAY * 3), H::Recovered).charged()
        }
        E::SubscriptionRecoveredFromBillingRetry => {
            let types = &[E::Activate, E::SubscriptionRecoveredFromBillingRetry, E::TransactionProcessed];
            Scene::later(types, S::BillingRetry, S::Renewed, SECOND.plus(DAY * 5), H::Recovered).charged()
        }
        E::PaymentFailed => Scene::later(&[E::PaymentFailed], S::Grace, S::Grace, SECOND.plus(DAY), H::PaymentFailed)
            .because(Reason::BillingError),
        E::SubscriptionWillPause => {
            Scene::later(&[E::SubscriptionWillPause], S::Paid, S::PausePlanned, INSIDE, H::PauseScheduled)
        }
        E::SubscriptionWillNotPause => {
            Scene::later(&[E::SubscriptionWillNotPause], S::PausePlanned, S::Paid, INSIDE, H::PauseCancelled)
        }
        E::SubscriptionPaused => {
            Scene::later(&[E::Deactivate, E::SubscriptionPaused], S::PausePlanned, S::Paused, SECOND, H::Paused)
                .because(Reason::SubscriptionPaused)
        }
        E::SubscriptionUnpaused => {
            let types = &[E::Activate, E::SubscriptionUnpaused, E::TransactionProcessed];
            Scene::later(types, S::Paused, S::Renewed, SECOND.plus(DAY * 10), H::Resumed).charged()
        }
        E::SubscriptionCancelledDuringPause => {
            let types = &[E::SubscriptionCancelledDuringPause, E::SubscriptionTerminated];
            Scene::later(types, S::Paused, S::Ended(Reason::Unsubscribe), SECOND.plus(DAY * 4), H::Expired)
                .because(Reason::Unsubscribe)
        }
        E::SubscriptionTransferred => {
            Scene::later(&[E::Deactivate, E::SubscriptionTransferred], S::Paid, S::Paid, INSIDE, H::Transferred)
        }
        E::SubscriptionReceived => {
            Scene::later(&[E::Activate, E::SubscriptionReceived], S::Paid, S::Paid, INSIDE, H::Transferred)
        }
        E::OneTimePurchaseTransferred => {
            Scene::later(&[E::Deactivate, E::OneTimePurchaseTransferred], S::Bought, S::Bought, INSIDE, H::Transferred)
        }
        E::OneTimePurchaseReceived => {
            Scene::later(&[E::Activate, E::OneTimePurchaseReceived], S::Bought, S::Bought, INSIDE, H::Transferred)
        }
        E::SubscriptionRefundedRevoked => {
            let types = &[E::Deactivate, E::SubscriptionRefundedRevoked, E::TransactionProcessed];
            Scene::later(types, S::Paid, S::Refunded, INSIDE, H::Refunded)
                .because(Reason::CustomerSupport)
                .moving(MoneyKind::Refund)
        }
        E::TrialStarted => {
            let types = &[E::Activate, E::SubscriptionStarted, E::TrialStarted];
            Scene::first(types, S::InOffer(O::FreeTrial), H::Purchased).charged()
        }
        E::TrialConverted => Scene::converted(
            &[E::Activate, E::SubscriptionRenewed, E::TrialConverted, E::TransactionProcessed],
            O::FreeTrial,
        ),
        E::TrialNotConverted => {
            Scene::not_converted(&[E::Deactivate, E::SubscriptionTerminated, E::TrialNotConverted], O::FreeTrial)
        }
        E::IntroOfferStarted => {
            let types = &[E::Activate, E::SubscriptionStarted, E::IntroOfferStarted, E::TransactionProcessed];
            Scene::first(types, S::InOffer(O::IntroOffer), H::Purchased).charged()
        }
        E::IntroOfferConverted => Scene::converted(
            &[E::Activate, E::SubscriptionRenewed, E::IntroOfferConverted, E::TransactionProcessed],
            O::IntroOffer,
        ),
        E::IntroOfferNotConverted => {
            Scene::not_converted(&[E::Deactivate, E::SubscriptionTerminated, E::IntroOfferNotConverted], O::IntroOffer)
        }
        E::PromoCodeStarted => {
            let types = &[E::Activate, E::SubscriptionStarted, E::PromoCodeStarted, E::TransactionProcessed];
            Scene::first(types, S::InOffer(O::PromoCode), H::Purchased).charged()
        }
        E::PromoCodeConverted => Scene::converted(
            &[E::Activate, E::SubscriptionRenewed, E::PromoCodeConverted, E::TransactionProcessed],
            O::PromoCode,
        ),
        E::PromoCodeNotConverted => {
            Scene::not_converted(&[E::Deactivate, E::SubscriptionTerminated, E::PromoCodeNotConverted], O::PromoCode)
        }
        E::PromotionalOfferStarted => {
            let types = &[E::Activate, E::SubscriptionRenewed, E::PromotionalOfferStarted, E::TransactionProcessed];
            Scene::later(types, S::Paid, S::RenewedInOffer(O::PromotionalOffer), SECOND, H::Renewed).charged()
        }
        E::PromotionalOfferConverted => Scene::converted(
            &[E::Activate, E::SubscriptionRenewed, E::PromotionalOfferConverted, E::TransactionProcessed],
            O::PromotionalOffer,
        ),
        E::PromotionalOfferNotConverted => Scene::not_converted(
            &[E::Deactivate, E::SubscriptionTerminated, E::PromotionalOfferNotConverted],
            O::PromotionalOffer,
        ),
        E::RetentionMessageRequested => Scene::unchanged(&[E::RetentionMessageRequested], None),
        E::OneTimePurchased => {
            let types = &[E::Activate, E::OneTimePurchased, E::TransactionProcessed];
            Scene::first(types, S::Bought, H::OneTimePurchased).charged()
        }
        E::OneTimeRefunded => {
            let types = &[E::Deactivate, E::OneTimeRefunded, E::TransactionProcessed];
            Scene::later(types, S::Bought, S::BoughtRefunded, INSIDE, H::Refunded)
                .because(Reason::CustomerSupport)
                .moving(MoneyKind::Refund)
        }
        E::OneTimeExpired => {
            Scene::later(&[E::Deactivate, E::OneTimeExpired], S::BoughtForATime, S::TimeOver, SECOND, H::Expired)
        }
        E::PromoGranted => Scene::first(&[E::Activate, E::PromoGranted], S::Granted, H::Purchased),
        E::PromoRevoked => {
            Scene::later(&[E::Deactivate, E::PromoRevoked], S::Granted, S::GrantRevoked, INSIDE, H::Revoked)
                .because(Reason::DeveloperInitiated)
        }
        E::TemporaryEntitlementGranted => {
            Scene::first(&[E::Activate, E::TemporaryEntitlementGranted], S::Temporary, H::Purchased)
        }
        E::RefundRequested => Scene::unchanged(&[E::RefundRequested], Some(H::RefundRequested)),
        E::RefundDeclined => Scene::unchanged(&[E::Activate, E::RefundDeclined], Some(H::RefundDeclined)),
        E::RefundReversed => {
            let types = &[E::Activate, E::RefundReversed, E::TransactionProcessed];
            Scene::later(types, S::Refunded, S::Paid, INSIDE, H::RefundReversed).moving(MoneyKind::Reversal)
        }
        E::RefundRecorded => {
            let types = &[E::RefundRecorded, E::TransactionProcessed];
            Scene::later(types, S::Renewed, S::Renewed, SECOND.plus(DAY), H::Refunded).moving(MoneyKind::Refund)
        }
        E::PriceIncreasePending => Scene::unchanged(&[E::PriceIncreasePending], Some(H::PriceIncrease)),
        E::PriceIncreaseAccepted => Scene::unchanged(&[E::PriceIncreaseAccepted], Some(H::PriceIncrease)),
        E::OfferRedeemed => Scene::unchanged(&[E::OfferRedeemed], Some(H::OfferRedeemed)),
        E::EntitlementsChanged => Scene::unchanged(&[E::EntitlementsChanged], None),
        E::OperatorAlert => Scene { hint: None, ..Scene::first(&[E::OperatorAlert], S::Alert, H::Test) },
        E::OperatorAlertOver => {
            Scene { hint: None, at: INSIDE, ..Scene::first(&[E::OperatorAlertOver], S::Alert, H::Test) }
        }
        E::Test => Scene::unchanged(&[E::Test], Some(H::Test)),
    }
}

fn build(scene: &Scene, store: Store, index: usize) -> Event {
    let granted = matches!(scene.after, Stage::Granted | Stage::GrantRevoked);
    let is_alert = scene.after == Stage::Alert;
    let store = match (granted, is_alert) {
        (true, _) => Store::Promotional,
        (false, true) => Store::External,
        (false, false) => store,
    };
    let event_type = scene.types[index];
    let previous = scene.before.map(|stage| view(stage, store));
    let purchase = match &previous {
        Some(old) if scene.after == Stage::OtherPlan && event_type == EventType::Deactivate => old.clone(),
        Some(_) | None => view(scene.after, store),
    };
    let names: [&[u8]; 3] = [b"sample", scene.types[0].as_str().as_bytes(), store.as_str().as_bytes()];
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    Event {
        id: EventId::of(purchase.id, scene.at.as_millis().unsigned_abs(), number, scene.at),
        event_type,
        seq: u64::from(purchase.renewal_number) * 10 + u64::from(number) + 1,
        bundle: Bundle { id: BundleId::derive(&names), index: number, types: scene.types.to_vec() },
        edge: edge(scene, event_type),
        occurred_at: scene.at,
        detected_at: scene.at.plus(Duration::from_secs(2)),
        environment: Environment::Production,
        store,
        source_id: match is_alert {
            true => alert::source_id(),
            false => SourceId::derive(&[b"sample", store.as_str().as_bytes()]),
        },
        customer: customer(scene),
        entitlements: entitlements(scene, event_type, &purchase),
        transaction: transaction(scene, event_type, &purchase),
        purchase,
        previous,
        reason: scene.reason,
        hint: scene.hint,
        inferred: false,
        backfill: false,
        details: details(scene, event_type, store),
    }
}

fn customer(scene: &Scene) -> CustomerView {
    if scene.after == Stage::Alert {
        return nobody();
    }
    let received = scene
        .types
        .iter()
        .any(|told| matches!(told, EventType::SubscriptionReceived | EventType::OneTimePurchaseReceived));
    let alias = if received { "sample-user-2" } else { "sample-user" };
    CustomerView {
        id: CustomerId::derive(&[b"sample", alias.as_bytes()]),
        aliases: vec![alias.to_owned()],
        revision: 7,
        app_user_id: alias.to_owned(),
        original_app_user_id: alias.to_owned(),
        anonymous: false,
        other_purchases: None,
        attributes: BTreeMap::from([(
            "favourite_colour".to_owned(),
            AttributeView { value: "green".to_owned(), updated_at: FIRST },
        )]),
    }
}

/// Under whom operator alerts stand.
fn nobody() -> CustomerView {
    let id = alert::customer_id();
    CustomerView {
        id,
        aliases: Vec::new(),
        revision: 1,
        app_user_id: id.to_string(),
        original_app_user_id: id.to_string(),
        anonymous: true,
        other_purchases: None,
        attributes: BTreeMap::new(),
    }
}

fn edge(scene: &Scene, event_type: EventType) -> Option<Edge> {
    let on = event_type == EventType::Activate;
    if !on && event_type != EventType::Deactivate {
        return None;
    }
    let had_access = scene.before.is_some_and(|stage| view(stage, Store::External).state.has_access());
    Some(if scene.after == Stage::OtherPlan {
        Edge::Replaced
    } else if scene.hint == Some(Hint::Transferred) {
        Edge::Transferred
    } else if !on {
        Edge::Ended
    } else if had_access {
        Edge::Refresh
    } else {
        Edge::Began
    })
}

fn entitlements(scene: &Scene, event_type: EventType, purchase: &PurchaseView) -> EntitlementChange {
    let moved = |edge: Option<Edge>| !matches!(edge, None | Some(Edge::Refresh));
    let held = purchase.entitlements.clone();
    let gave_away =
        |told: &EventType| matches!(told, EventType::SubscriptionTransferred | EventType::OneTimePurchaseTransferred);
    let edge = edge(scene, event_type);
    if event_type == EventType::Deactivate {
        return EntitlementChange { active: vec![], activated: vec![], deactivated: held };
    }
    let has_access = purchase.state.has_access() && !scene.types.iter().any(gave_away);
    EntitlementChange {
        active: if has_access { held.clone() } else { vec![] },
        activated: if moved(edge) { held } else { vec![] },
        deactivated: vec![],
    }
}

fn transaction(scene: &Scene, event_type: EventType, purchase: &PurchaseView) -> Option<TransactionView> {
    let is_about_money = !matches!(event_type, EventType::Activate | EventType::Deactivate | EventType::Test);
    if !is_about_money || alert::is_alert(event_type) {
        return None;
    }
    // REFUND_RECORDED is about a period that is over.
    let earlier = scene.types[0] == EventType::RefundRecorded;
    let period = if earlier { Some(first_period()) } else { purchase.period.clone() };
    let money = match scene.moved {
        None => None,
        Some(MoneyKind::Refund) => purchase.price.map(Money::negated),
        Some(MoneyKind::Charge | MoneyKind::Reversal) => purchase.price,
    };
    let is_money = event_type == EventType::TransactionProcessed;
    let access_or_money = |told: &EventType| {
        matches!(told, EventType::Activate | EventType::Deactivate | EventType::TransactionProcessed)
    };
    Some(TransactionView {
        id: period.and_then(|period| period.transaction_id),
        kind: scene.moved,
        money,
        refund_id: (scene.moved == Some(MoneyKind::Refund)).then(|| "0".to_owned()),
        product_id: purchase.product_id.clone(),
        attempt_id: (event_type == EventType::PaymentFailed).then(|| "attempt-1".to_owned()),
        source_event: scene.types.iter().copied().find(|told| is_money && !access_or_money(told)),
    })
}

fn details(scene: &Scene, event_type: EventType, store: Store) -> Details {
    let mut details = Details::default();
    let before = scene.before.map(|stage| view(stage, store));
    let after = view(scene.after, store);
    if scene.after == Stage::OtherPlan {
        details.previous_product_id = before.as_ref().and_then(|view| view.product_id.clone());
        details.new_product_id = after.product_id.clone();
        details.effective_at = Some(scene.at);
    }
    if event_type == EventType::PlanChangeScheduled {
        details.previous_product_id = after.product_id.clone();
        details.new_product_id = after.pending.as_ref().map(|pending| pending.product_id.clone());
        details.effective_at = Some(SECOND);
    }
    if scene.hint == Some(Hint::Transferred) {
        details.transferred_from = vec!["sample-user".to_owned()];
        details.transferred_to = vec!["sample-user-2".to_owned()];
    }
    if let Some(offer) = before.as_ref().and_then(|view| view.offer.as_ref()) {
        details.previous_offer_type = Some(offer.offer_type);
        let charged = scene.moved == Some(MoneyKind::Charge);
        details.is_trial_conversion = charged.then_some(offer.offer_type == OfferType::FreeTrial);
    }
    if event_type == EventType::SubscriptionReactivated {
        details.same_chain = Some(matches!(store, Store::AppStore | Store::MacAppStore));
    }
    if event_type == EventType::SubscriptionTerminated {
        let told = before.is_some_and(|view| view.will_renew == Some(false) || view.state == State::Grace);
        details.cancellation_told = Some(told);
    }
    if matches!(event_type, EventType::PriceIncreasePending | EventType::PriceIncreaseAccepted) {
        details.new_price = Some(Money { amount_minor: 1299, currency: Currency::USD });
        details.effective_at = Some(SECOND);
    }
    details.alert = match event_type {
        EventType::OperatorAlert => failing(None),
        EventType::OperatorAlertOver => failing(Some(Ending::Passed)),
        _ => None, // the others are about purchases
    };
    details
}

/// Two destinations that take nothing since the first period began.
fn failing(ending: Option<Ending>) -> Option<OperatorAlert> {
    let subject = |name: &str| AlertSubject {
        id: SubjectId::Destination(DestinationId::derive(&[b"sample", name.as_bytes()])),
        name: name.to_owned(),
        since: FIRST,
        until: ending.map(|_| INSIDE),
        detail: "the last attempt: the receiver answered 503".to_owned(),
        came_back: 0,
    };
    OperatorAlert::of(AlertKind::Failing, vec![subject("#sales"), subject("crm")], ending)
}

fn first_period() -> Period {
    Period { transaction_id: Some("sample-transaction-1".to_owned()), starts_at: FIRST, ends_at: Some(SECOND) }
}

fn second_period() -> Period {
    Period { transaction_id: Some("sample-transaction-2".to_owned()), starts_at: SECOND, ends_at: Some(THIRD) }
}

/// The store's product id: Play's are `<subscription>:<base plan>`.
fn product(store: Store, plan: &str) -> String {
    if store == Store::PlayStore { format!("pro:{plan}") } else { format!("pro_{plan}") }
}

fn base(store: Store) -> PurchaseView {
    PurchaseView {
        id: PurchaseId::derive(&[b"sample", store.as_str().as_bytes()]),
        store_purchase_id: "sample-purchase".to_owned(),
        kind: Kind::Subscription,
        product_id: Some(product(store, "monthly")),
        catalogue_id: None,
        product_name: Some("Pro, monthly".to_owned()),
        entitlements: vec!["pro".to_owned()],
        period: Some(first_period()),
        transaction_id: None,
        period_type: Some(PeriodType::Normal),
        state: State::Active,
        will_renew: Some(true),
        offer: None,
        grace_ends_at: None,
        pause: None,
        pending: None,
        extended_until: None,
        cancel_reason: None,
        cancelled_at: None,
        expiration_reason: None,
        family_shared: false,
        country: Some("US".to_owned()),
        original_transaction_id: Some("sample-transaction-1".to_owned()),
        first_purchased_at: Some(FIRST),
        renewal_number: 1,
        price: Some(PRICE),
    }
}

fn view(stage: Stage, store: Store) -> PurchaseView {
    let base = base(store);
    match stage {
        Stage::Paid => base,
        Stage::InOffer(offer) => in_offer(base, offer),
        Stage::Renewed => PurchaseView { period: Some(second_period()), renewal_number: 2, ..base },
        Stage::RenewedInOffer(offer) => {
            in_offer(PurchaseView { period: Some(second_period()), renewal_number: 2, ..base }, offer)
        }
        Stage::RenewalOff => PurchaseView { will_renew: Some(false), cancel_reason: Some(Reason::Unsubscribe), ..base },
        Stage::ChangePlanned => PurchaseView {
            pending: Some(PendingProduct { product_id: product(store, "yearly"), effective_at: Some(SECOND) }),
            ..base
        },
        Stage::OtherPlan => PurchaseView {
            product_id: Some(product(store, "yearly")),
            product_name: Some("Pro, yearly".to_owned()),
            period: Some(second_period()),
            renewal_number: 2,
            price: Some(Money { amount_minor: 9900, currency: Currency::USD }),
            ..base
        },
        Stage::Extended => PurchaseView { extended_until: Some(SECOND.plus(DAY * 7)), ..base },
        Stage::Grace => PurchaseView { state: State::Grace, grace_ends_at: Some(SECOND.plus(DAY * 16)), ..base },
        Stage::BillingRetry => PurchaseView { state: State::BillingRetry, ..base },
        Stage::PausePlanned => PurchaseView { pause: Some(pause()), ..base },
        Stage::Paused => PurchaseView { state: State::Paused, pause: Some(pause()), ..base },
        Stage::Ended(reason) => ended(base, reason),
        Stage::OfferEnded(offer) => ended(in_offer(base, offer), Reason::Unsubscribe),
        Stage::Refunded => PurchaseView {
            state: State::Revoked,
            will_renew: Some(false),
            expiration_reason: Some(Reason::CustomerSupport),
            ..base
        },
        Stage::Withdrawn => {
            PurchaseView { state: State::Revoked, family_shared: true, will_renew: Some(false), ..base }
        }
        Stage::Bought => bought(base, store),
        Stage::BoughtForATime => {
            PurchaseView { kind: Kind::NonRenewing, period: Some(first_period()), ..bought(base, store) }
        }
        Stage::TimeOver => PurchaseView {
            kind: Kind::NonRenewing,
            period: Some(first_period()),
            state: State::Expired,
            ..bought(base, store)
        },
        Stage::BoughtRefunded => PurchaseView { state: State::Revoked, ..bought(base, store) },
        Stage::Temporary => temporary(base, store),
        Stage::Granted => granted(base),
        Stage::Alert => unknown(base),
        Stage::GrantRevoked => {
            PurchaseView { state: State::Revoked, expiration_reason: Some(Reason::DeveloperInitiated), ..granted(base) }
        }
    }
}

fn ended(view: PurchaseView, reason: Reason) -> PurchaseView {
    PurchaseView {
        state: State::Expired,
        will_renew: Some(false),
        cancel_reason: Some(reason),
        expiration_reason: Some(reason),
        ..view
    }
}

fn in_offer(view: PurchaseView, offer_type: OfferType) -> PurchaseView {
    let (period_type, price) = match offer_type {
        OfferType::FreeTrial => (PeriodType::Trial, 0),
        OfferType::IntroOffer => (PeriodType::Intro, 299),
        OfferType::PromoCode | OfferType::PromotionalOffer => (PeriodType::Promo, 499),
    };
    PurchaseView {
        offer: Some(Offer { offer_type, id: Some("sample-offer".to_owned()), code: None }),
        period_type: Some(period_type),
        price: Some(Money { amount_minor: price, currency: Currency::USD }),
        ..view
    }
}

fn pause() -> Pause {
    Pause { starts_at: Some(SECOND), resumes_at: Some(SECOND.plus(DAY * 10)) }
}

fn bought(view: PurchaseView, store: Store) -> PurchaseView {
    PurchaseView {
        id: PurchaseId::derive(&[b"sample", b"once", store.as_str().as_bytes()]),
        kind: Kind::NonConsumable,
        product_id: Some("pro_for_ever".to_owned()),
        product_name: Some("Pro, for ever".to_owned()),
        period: Some(Period { ends_at: None, ..first_period() }),
        will_renew: None,
        price: Some(Money { amount_minor: 4999, currency: Currency::USD }),
        ..view
    }
}

/// A purchase of which nothing is known: what operator alerts hang on.
fn unknown(view: PurchaseView) -> PurchaseView {
    let key = alert::key_of(AlertKind::Failing);
    PurchaseView {
        id: Purchase::id_of(&key),
        store_purchase_id: key.store_purchase_id,
        product_id: None,
        product_name: None,
        entitlements: Vec::new(),
        period: None,
        period_type: None,
        state: State::None,
        will_renew: None,
        country: None,
        original_transaction_id: None,
        first_purchased_at: None,
        renewal_number: 0,
        price: None,
        ..view
    }
}

fn temporary(view: PurchaseView, store: Store) -> PurchaseView {
    let id = "temporary/clm_00000000000000000000000000".to_owned();
    PurchaseView {
        id: PurchaseId::derive(&[b"sample", b"temporary", store.as_str().as_bytes()]),
        store_purchase_id: id.clone(),
        kind: Kind::Temporary,
        period: Some(Period { transaction_id: Some(id.clone()), starts_at: FIRST, ends_at: Some(FIRST.plus(DAY)) }),
        period_type: Some(PeriodType::Normal),
        will_renew: None,
        country: None,
        original_transaction_id: Some(id),
        price: None,
        ..view
    }
}

fn granted(view: PurchaseView) -> PurchaseView {
    PurchaseView {
        id: PurchaseId::derive(&[b"sample", b"grant"]),
        kind: Kind::Grant,
        product_id: None,
        product_name: None,
        period: Some(Period { transaction_id: None, starts_at: FIRST, ends_at: Some(SECOND) }),
        period_type: Some(PeriodType::Promotional),
        will_renew: None,
        country: None,
        original_transaction_id: None,
        price: None,
        ..view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_sample_that_stands_in_its_own_bundle() {
        for &event_type in EventType::ALL {
            for &store in Store::ALL {
                let event = event(event_type, store);
                assert_eq!(event.event_type, event_type);
                assert_eq!(event.bundle.types[event.bundle.index as usize], event_type, "{event_type} {store}");
                let json = serde_json::to_vec(&event).unwrap();
                assert_eq!(serde_json::from_slice::<Event>(&json).unwrap(), event, "{event_type} {store}");
            }
        }
    }

    #[test]
    fn a_bundle_is_one_bundle_with_ids_of_its_own() {
        for &event_type in EventType::ALL {
            let events = bundle(event_type, Store::AppStore);
            let mut ids: Vec<_> = events.iter().map(|event| event.id).collect();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), events.len(), "{event_type}");
            assert!(events.iter().all(|event| event.bundle.id == events[0].bundle.id), "{event_type}");
        }
    }
}
