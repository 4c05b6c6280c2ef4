//! RevenueCat's words against lifecycle.md section 4, RevenueCat's matrices and its published samples. The expected
//! cells are written down here by hand, not taken from the table that they check.

mod bodies;
mod bundles;
mod cells;
mod flows;
mod integrations;
mod statuses;

use super::{Message, RcPeriod, RcType};
use crate::event::{Edge, Event, EventType, MoneyKind, TransactionView};
use crate::money::{Currency, Money};
use crate::observation::{Kind, OfferType, PendingProduct, PeriodType, Reason, Store};
use crate::purchase::State;
use crate::sample;

/// The columns of the expected tables, each with the stores that it stands for.
const COLUMNS: [&[Store]; 6] = [
    &[Store::AppStore, Store::MacAppStore],
    &[Store::PlayStore],
    &[Store::Amazon],
    &[Store::Stripe, Store::Paddle],
    &[Store::Promotional],
    &[Store::Discord, Store::External],
];

/// A line of an expected table: `EVENT [@variant] | cell | ...`, six cells or one for all.
struct Line {
    event_type: EventType,
    variant: &'static str,
    cells: Vec<&'static str>,
}

fn lines(table: &'static str) -> Vec<Line> {
    let mut lines = Vec::new();
    for text in table.lines().map(str::trim).filter(|text| !text.is_empty()) {
        let mut parts = text.split('|').map(str::trim);
        let mut name = parts.next().unwrap().split_whitespace();
        let event_type = name.next().unwrap().parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let variant = name.next().map_or("", |variant| variant.strip_prefix('@').unwrap());
        let cells: Vec<_> = parts.collect();
        let cells = if cells.len() == 1 { vec![cells[0]; COLUMNS.len()] } else { cells };
        assert_eq!(cells.len(), COLUMNS.len(), "{text}");
        lines.push(Line { event_type, variant, cells });
    }
    lines
}

/// The sample of a type, changed to the variant of that name.
#[allow(clippy::too_many_lines)] // a list of variants, one arm each
fn variant(event_type: EventType, store: Store, name: &str) -> Event {
    use EventType as E;
    let mut event = sample::event(event_type, store);
    match name {
        "" => {}
        "alone" => stand_in(&mut event, &[event_type]),
        "replaced" => {
            stand_in(&mut event, &[E::Deactivate]);
            event.edge = Some(Edge::Replaced);
        }
        "transferred" => {
            stand_in(&mut event, &[E::Deactivate]);
            event.edge = Some(Edge::Transferred);
        }
        "one_time_refunded" => event = sample::bundle(E::OneTimeRefunded, store).remove(0),
        "catalogue" => stand_in(&mut event, &[E::Deactivate, E::EntitlementsChanged]),
        "trial" => in_trial(&mut event),
        "intro" => event.purchase.period_type = Some(PeriodType::Intro),
        "prepaid" => event.purchase.period_type = Some(PeriodType::Prepaid),
        "from_trial" => from_trial(&mut event),
        "same_chain" => event.details.same_chain = Some(true),
        "other_chain" => event.details.same_chain = Some(false),
        "at_renewal" => stand_in(&mut event, &[E::Deactivate, E::Activate, event_type, E::SubscriptionRenewed]),
        "at_once" => {
            stand_in(&mut event, &[E::Deactivate, E::Activate, event_type]);
            event.previous.as_mut().unwrap().pending = None;
        }
        "announced" => {
            stand_in(&mut event, &[E::Deactivate, E::Activate, event_type]);
            let product_id = event.purchase.product_id.clone().unwrap();
            event.previous.as_mut().unwrap().pending = Some(PendingProduct { product_id, effective_at: None });
        }
        "unpaid" => {
            stand_in(&mut event, &[E::Deactivate, E::Activate, event_type]);
            event.purchase.state = State::Grace;
        }
        "over" => event.purchase.state = State::Revoked,
        "earlier" => {
            stand_in(&mut event, &[event_type, E::TransactionProcessed]);
            event.transaction.as_mut().unwrap().id = Some("sample-transaction-0".to_owned());
        }
        "no_refund" => event.transaction.as_mut().unwrap().kind = Some(MoneyKind::Charge),
        "beside_recovery" => stand_in(&mut event, &[E::Activate, E::SubscriptionRecoveredFromGracePeriod, event_type]),
        "no_reason" => {
            event.reason = None;
            event.purchase.cancel_reason = None;
        }
        "untold" => untold(&mut event),
        "untold_trial" => {
            untold(&mut event);
            in_trial(&mut event);
        }
        "access_was_off" => stand_in(&mut event, &[event_type]),
        "after_grace" => stand_in(&mut event, &[E::Deactivate, E::GracePeriodTerminated, event_type]),
        "after_pause" => {
            stand_in(&mut event, &[event_type]);
            event.previous.as_mut().unwrap().state = State::Paused;
        }
        "grant_ran_out" => {
            event.purchase.kind = Kind::Grant;
            event.purchase.expiration_reason = None;
            event.purchase.cancel_reason = None;
            event.reason = None;
            event.details.cancellation_told = Some(false);
        }
        "trial_grant" => {
            event.purchase.kind = Kind::Grant;
            event.purchase.period_type = Some(PeriodType::Trial);
        }
        "latest" => refund_latest(&mut event),
        "latest_partial" => {
            refund_latest(&mut event);
            event.details.partial = Some(true);
        }
        other => panic!("no variant {other}"),
    }
    event
}

/// Puts the event into another bundle.
fn stand_in(event: &mut Event, types: &[EventType]) {
    let index = types.iter().position(|told| *told == event.event_type).unwrap();
    event.bundle.types = types.to_vec();
    event.bundle.index = u32::try_from(index).unwrap();
}

fn in_trial(event: &mut Event) {
    let free = Money { amount_minor: 0, currency: Currency::USD };
    event.purchase.period_type = Some(PeriodType::Trial);
    event.purchase.price = Some(free);
    if let Some(transaction) = &mut event.transaction {
        transaction.money = Some(free);
    }
}

fn from_trial(event: &mut Event) {
    event.details.previous_offer_type = Some(OfferType::FreeTrial);
    event.previous.as_mut().unwrap().period_type = Some(PeriodType::Trial);
}

fn untold(event: &mut Event) {
    event.details.cancellation_told = Some(false);
    event.previous.as_mut().unwrap().will_renew = Some(true);
}

fn refund_latest(event: &mut Event) {
    event.transaction = Some(TransactionView {
        id: event.purchase.period.as_ref().unwrap().transaction_id.clone(),
        kind: Some(MoneyKind::Refund),
        money: Some(Money { amount_minor: -999, currency: Currency::USD }),
        refund_id: None,
        product_id: None,
        attempt_id: None,
        source_event: None,
    });
}

/// `CA/U.T-`: type, reason, period unless NORMAL, `!` for a trial conversion, sign of the money.
fn code(message: &Message) -> String {
    let rc_type = match message.rc_type {
        RcType::InitialPurchase => "IP",
        RcType::Renewal => "RN",
        RcType::Cancellation => "CA",
        RcType::Uncancellation => "UC",
        RcType::NonRenewingPurchase => "NP",
        RcType::SubscriptionPaused => "SP",
        RcType::Expiration => "EX",
        RcType::BillingIssue => "BI",
        RcType::ProductChange => "PC",
        RcType::Transfer => "TR",
        RcType::SubscriptionExtended => "XT",
        RcType::TemporaryEntitlementGrant => "TG",
        RcType::RefundReversed => "RR",
        RcType::PriceIncreaseConsentRequired => "PR",
        RcType::PriceIncreaseConsentApproved => "PA",
        RcType::Test => "TE",
    };
    let reason = match message.cancel_reason.or(message.expiration_reason) {
        None => "",
        Some(Reason::Unsubscribe) => "/U",
        Some(Reason::BillingError) => "/B",
        Some(Reason::DeveloperInitiated) => "/D",
        Some(Reason::PriceIncrease) => "/I",
        Some(Reason::CustomerSupport) => "/C",
        Some(Reason::SubscriptionPaused) => "/P",
        Some(Reason::Unknown) => "/?",
    };
    let period = match message.period_type {
        RcPeriod::Normal => "",
        RcPeriod::Trial => ".T",
        RcPeriod::Intro => ".I",
        RcPeriod::Promotional => ".G",
        RcPeriod::Prepaid => ".P",
    };
    let converted = if message.is_trial_conversion == Some(true) { "!" } else { "" };
    let sign = match message.amount.money().map(|money| money.amount_minor > 0) {
        None => "",
        Some(true) => "+",
        Some(false) => "-",
    };
    format!("{rc_type}{reason}{period}{converted}{sign}")
}

fn codes(messages: &[Message]) -> String {
    if messages.is_empty() { "-".to_owned() } else { messages.iter().map(code).collect::<Vec<_>>().join(" ") }
}
