//! What support people read. Pure.

use super::{Cause, Explained, Explanation, Named, Turn, command_of, lasts};
use crate::claims::ClaimBody;
use crate::commit::command::Command;
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::event::{Edge, Event, EventType, LoggedEvent};
use paidup_lifecycle::ids::{CustomerId, SourceId};
use paidup_lifecycle::observation::{Environment, Kind};
use paidup_lifecycle::purchase::State;
use paidup_lifecycle::time::Timestamp;
use paidup_store::claims::{ClaimRecord, ClaimState};
use paidup_store::records::{Cause as KeptCause, LookupRecord};
use std::collections::{BTreeMap, BTreeSet};

/// Entitlements that are named when one is unknown.
const MOST_NAMES: usize = 20;

/// Whether a purchase gave access at the end of its events, and since when that is so.
pub(super) struct Access {
    pub(super) gives: bool,
    pub(super) since: Option<Timestamp>,
}

/// Reads it from the events that concern these customers.
pub(super) fn access_of(events: &[LoggedEvent], family: &BTreeSet<CustomerId>) -> Access {
    let mut access = Access { gives: false, since: None };
    for told in events {
        let event = &told.event;
        if !family.contains(&event.customer.id) {
            continue;
        }
        let gives = match event.event_type {
            EventType::Activate | EventType::EntitlementsChanged => !event.purchase.entitlements.is_empty(),
            EventType::Deactivate => false,
            _ => continue, // the others do not steer access
        };
        if gives != access.gives || access.since.is_none() {
            access = Access { gives, since: Some(event.occurred_at) };
        }
    }
    access
}

/// What turned access on or off, newest first: bundles of events.
pub(super) fn turns(
    events: &[LoggedEvent],
    causes: &BTreeMap<u64, KeptCause>,
    name_of: impl Fn(SourceId) -> String,
) -> Vec<Turn> {
    let mut bundles: Vec<Vec<&LoggedEvent>> = Vec::new();
    for told in events {
        match bundles.last_mut() {
            Some(bundle) if bundle[0].event.bundle.id == told.event.bundle.id => bundle.push(told),
            Some(_) | None => bundles.push(vec![told]),
        }
    }
    let count = bundles.len();
    let told = bundles.into_iter().enumerate().filter_map(|(place, bundle)| {
        let mut edges = bundle.iter().filter(|told| told.event.edge.is_some_and(|edge| edge != Edge::Refresh));
        let edge = edges.next_back().and_then(|told| told.event.edge);
        // The last word counts whatever it was.
        let matters = edge.is_some() || place + 1 == count || bundle.iter().any(|told| matters(told.event.event_type));
        matters.then(|| turn(&bundle, edge, causes, &name_of))
    });
    let mut turns: Vec<Turn> = told.collect();
    turns.reverse();
    turns
}

fn matters(event_type: EventType) -> bool {
    matches!(
        event_type,
        EventType::RenewalDisabled
            | EventType::PaymentFailed
            | EventType::RefundRecorded
            | EventType::RefundRequested
            | EventType::EntitlementsChanged
            | EventType::SubscriptionDeferred
            | EventType::GracePeriodStarted
    )
}

fn turn(
    bundle: &[&LoggedEvent],
    access: Option<Edge>,
    causes: &BTreeMap<u64, KeptCause>,
    name_of: &impl Fn(SourceId) -> String,
) -> Turn {
    let says = |told: &&&LoggedEvent| {
        !matches!(told.event.event_type, EventType::Activate | EventType::Deactivate | EventType::TransactionProcessed)
    };
    let best = bundle.iter().rev().find(says).or(bundle.last()).copied().unwrap_or(bundle[0]);
    let kept = bundle.iter().find_map(|told| causes.get(&told.position));
    let event = &*best.event;
    let mut turn = Turn {
        event_id: event.id,
        types: bundle.iter().map(|told| told.event.event_type).collect(),
        access,
        occurred_at: event.occurred_at,
        detected_at: event.detected_at,
        reason: event.reason,
        inferred: event.inferred,
        cause: kept.map(cause),
        summary: String::new(),
    };
    turn.summary = of_turn(&turn, event, kept, name_of);
    turn
}

fn cause(kept: &KeptCause) -> Cause {
    let read = command_of(&kept.input);
    let command = serde_json::from_slice::<serde_json::Value>(&kept.input).ok();
    Cause {
        entry: kept.entry,
        decided_at: kept.decided_at,
        command: command.and_then(|it| it["command"].as_str().map(str::to_owned)).unwrap_or_default(),
        by: read.and_then(|(_, by)| by),
        notifications: kept
            .notifications
            .iter()
            .map(|head| Named {
                id: head.id,
                source_id: head.source_id,
                external_id: head.external_id.clone(),
                label: head.label.clone(),
                received_at: head.received_at,
                body: None,
            })
            .collect(),
    }
}

/// `access began: SUBSCRIPTION_STARTED, because stripe said "invoice.paid" at ... (notification ntf_..., received ...)`
fn of_turn(turn: &Turn, event: &Event, kept: Option<&KeptCause>, name_of: &impl Fn(SourceId) -> String) -> String {
    let access = match turn.access {
        Some(Edge::Began) => "access began: ",
        Some(Edge::Ended) => "access ended: ",
        Some(Edge::Replaced) => "the plan was replaced: ",
        Some(Edge::Transferred) => "it changed hands: ",
        Some(Edge::Refresh) | None => "",
    };
    let reason = turn.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let because = kept.map_or_else(String::new, |kept| format!(", because {}", because(turn, kept, name_of)));
    format!("{access}{}{reason} at {}{because}", event.event_type, turn.occurred_at)
}

fn because(turn: &Turn, kept: &KeptCause, name_of: &impl Fn(SourceId) -> String) -> String {
    let said = kept.notifications.first().map(|head| {
        let source = name_of(head.source_id);
        let told = match head.external_id.split('/').next() {
            Some("answer") => format!("{source} answered when it was asked how the purchase stands"),
            Some("lookup") => format!("{source} answered when it was asked ({})", head.label),
            Some(_) | None => format!("{source} said {:?} at {}", head.label, turn.occurred_at),
        };
        format!("{told} (notification {}, received {})", head.id, head.received_at)
    });
    let Some((command, by)) = command_of(&kept.input) else {
        return said.unwrap_or_else(|| "of a command that this version cannot read".to_owned());
    };
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    match (command, said) {
        (Command::Observe { .. }, Some(said)) => said,
        (Command::Observe { source_id, .. }, None) => {
            format!("{} said so (what it sent was forgotten since)", name_of(source_id))
        }
        (Command::Claim { customer, .. }, said) => {
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            format!("an app's backend{by} said at {} that customer {customer:?} bought it{said}", kept.decided_at)
        }
        (Command::Tick { .. }, _) => {
            format!("its date had come, and nothing newer had been said of it by {}", kept.decided_at)
        }
        (Command::Unanswered { .. }, _) => "its date had come, and its store could not be asked".to_owned(),
        (Command::Grant { .. }, _) => format!("it was given by hand{by} at {}", kept.decided_at),
        (Command::ChangeGrant { .. } | Command::ExtendGrant { .. }, _) => {
            format!("its end was moved by hand{by} at {}", kept.decided_at)
        }
        (Command::RevokeGrant { .. }, _) => format!("it was taken away by hand{by} at {}", kept.decided_at),
        (Command::Link { customer, alias, .. }, _) => {
            format!("{alias:?} and {customer:?} were made one customer{by} at {}", kept.decided_at)
        }
        (Command::Bind { customer, .. }, _) => format!("it was given to {customer:?} at {}", kept.decided_at),
        (Command::Transfer { customer, to, .. }, _) => {
            format!("it was moved by hand{by} from {customer:?} to {to:?} at {}", kept.decided_at)
        }
        (
            Command::Recompute { .. }
            | Command::PutProduct { .. }
            | Command::DeleteProduct { .. }
            | Command::PutEntitlement { .. }
            | Command::DeleteEntitlement { .. },
            _,
        ) => "the catalogue was changed".to_owned(),
        (Command::GrantTemporarily { product_id, .. }, _) => {
            format!("{product_id} was claimed and its store could not be asked by {}", kept.decided_at)
        }
        (Command::EndClaim { reason, .. }, _) => format!("a claim came to nothing: {reason}"),
        (Command::TellAlerts { .. }, _) => format!("the hub found it by itself by {}", kept.decided_at),
    }
}

/// A purchase in a sentence.
pub(super) fn of_purchase(one: &Explained) -> String {
    let view = &one.purchase;
    let product = view.product_id.as_deref().unwrap_or("an unknown product");
    let what = match view.kind {
        Kind::Grant => format!("a grant ({})", view.store_purchase_id),
        Kind::Temporary => {
            format!("a temporary entitlement for {product}, while {} cannot say whether it was bought", one.source)
        }
        Kind::Subscription => format!("a subscription of {product} ({} {})", one.source, view.store_purchase_id),
        Kind::Consumable | Kind::NonConsumable | Kind::NonRenewing => {
            format!("a purchase of {product} ({} {})", one.source, view.store_purchase_id)
        }
    };
    let test = if one.environment == Environment::Sandbox { " in the sandbox" } else { "" };
    let unlocks = match (one.unlocks.as_slice(), view.product_id.is_some(), lasts(view.kind)) {
        (_, _, false) => "a consumable, which never unlocks anything".to_owned(),
        ([], true, true) => format!("which unlocks nothing: map {product} with POST /v1/products"),
        ([], false, true) => "whose product its store has not told yet".to_owned(),
        (some, _, true) => format!("which unlocks {}", some.join(", ")),
    };
    let stands = standing(one);
    format!("{what}{test}, {unlocks}; {stands}")
}

fn standing(one: &Explained) -> String {
    if !one.is_theirs {
        return "it belongs to another customer".to_owned();
    }
    let view = &one.purchase;
    let end = view.grace_ends_at.or(view.extended_until).or(view.period.as_ref().and_then(|period| period.ends_at));
    let until = end.map(|end| format!(" until {end}")).unwrap_or_default();
    let since = one.since.map(|since| format!(" since {since}")).unwrap_or_default();
    match view.state {
        State::None => "nothing is known of it yet".to_owned(),
        State::Pending => "its first payment is open".to_owned(),
        State::Active if view.will_renew == Some(false) => {
            format!("it is active{since} and ends{until}: renewal is off")
        }
        State::Active => format!("it is active{since}{until}"),
        State::Grace => format!("a payment failed, and access is kept{until}"),
        State::BillingRetry => format!("without access{since}: a payment failed, and the store tries again"),
        State::Paused => format!("without access{since}: it is paused"),
        State::Expired => format!("without access{since}: it has ended{}", reason_of(one)),
        State::Revoked => format!("without access{since}: it was refunded or withdrawn{}", reason_of(one)),
    }
}

fn reason_of(one: &Explained) -> String {
    one.purchase.expiration_reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

/// A claim in a sentence.
pub(super) fn of_claim(claim: &ClaimRecord, body: &ClaimBody, lookups: &[LookupRecord], source: &str) -> String {
    let made = format!("a purchase of {source} was claimed for {:?} at {}", claim.customer, claim.claimed_at);
    match claim.state {
        ClaimState::Settled => format!("{made}, and dealt with at {}", claim.state_since),
        ClaimState::Refused => {
            let why = body.detail.as_deref().unwrap_or("no reason is known");
            format!("{made} and came to nothing at {}: {why}", claim.state_since)
        }
        ClaimState::Waiting if lookups.is_empty() => format!("{made}; its store has not told of it yet"),
        ClaimState::Waiting => {
            let last = lookups.iter().find_map(|lookup| lookup.last_error.as_deref());
            let last = last.map(|error| format!("; the last try: {error}")).unwrap_or_default();
            format!("{made}, and its store is being asked{last}")
        }
    }
}

/// Fills in the answer and the notes.
pub(super) fn say(explanation: &mut Explanation, catalogue: &Catalogue) {
    let environment = explanation.environment;
    let (summary, mut notes) = match &explanation.entitlement {
        Some(wanted) => about(explanation, wanted, catalogue),
        None => (overall(explanation), Vec::new()),
    };
    let others = explanation.purchases.iter().filter(|one| one.environment != environment).count();
    if others > 0 && !explanation.has_access {
        let other = if environment == Environment::Production { "SANDBOX" } else { "PRODUCTION" };
        notes.push(format!("{others} of the purchases are in {other}, and count there only (?environment={other})"));
    }
    notes.extend(explanation.waiting.iter().map(|waiting| waiting.summary.clone()));
    let asked = explanation
        .purchases
        .iter()
        .filter_map(|one| one.question.as_ref().map(|question| format!("{} is being asked: {question}", one.source)));
    notes.extend(asked);
    explanation.summary = summary;
    explanation.notes = notes;
}

fn overall(explanation: &Explanation) -> String {
    let at = explanation.at;
    if explanation.purchases.is_empty() {
        return format!("no purchase of this customer was known at {at}, and nothing was given by hand");
    }
    let giving: Vec<&str> = giving(explanation).map(|one| one.summary.as_str()).collect();
    match explanation.active.as_slice() {
        [] => {
            let first = explanation.purchases.first().map(|one| one.summary.as_str()).unwrap_or_default();
            format!("no access to anything at {at}: {first}")
        }
        some => format!("access to {} at {at}: {}", some.join(", "), giving.join("; ")),
    }
}

fn giving(explanation: &Explanation) -> impl Iterator<Item = &Explained> {
    explanation.purchases.iter().filter(|one| one.gives_access && one.environment == explanation.environment)
}

/// The answer about one entitlement, with what else is worth saying.
fn about(explanation: &Explanation, wanted: &str, catalogue: &Catalogue) -> (String, Vec<String>) {
    let at = explanation.at;
    if explanation.has_access {
        let by: Vec<String> = giving(explanation).filter(|one| one.could_unlock).map(on).collect();
        return (format!("access to {wanted} at {at}: {}", by.join("; ")), Vec::new());
    }
    if !catalogue.entitlements.contains_key(wanted) {
        let near = catalogue
            .entitlements
            .keys()
            .max_by(|one, other| strsim::jaro_winkler(one, wanted).total_cmp(&strsim::jaro_winkler(other, wanted)));
        let near = near.filter(|near| strsim::jaro_winkler(near, wanted) > 0.8);
        let meant = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        let known: Vec<&str> = catalogue.entitlements.keys().take(MOST_NAMES).map(String::as_str).collect();
        return (format!("there is no entitlement {wanted:?}{meant}"), vec![format!("known: {}", known.join(", "))]);
    }
    let mut here = explanation.purchases.iter().filter(|one| one.environment == explanation.environment);
    if let Some(one) = here.clone().find(|one| one.could_unlock) {
        return (format!("no access to {wanted} at {at}: {}", off(one)), Vec::new());
    }
    let unmapped: Vec<String> = here
        .clone()
        .filter(|one| one.is_theirs && one.unlocks.is_empty() && lasts(one.purchase.kind))
        .filter_map(|one| one.purchase.product_id.clone())
        .map(|product| format!("bought {product}, which unlocks nothing: map it with POST /v1/products"))
        .collect();
    if let Some(first) = unmapped.first() {
        return (format!("no access to {wanted} at {at}: {first}"), unmapped[1..].to_vec());
    }
    if let Some(one) = here.next() {
        let summary = format!("no access to {wanted} at {at}: nothing of what was bought unlocks it");
        return (summary, vec![one.summary.clone()]);
    }
    if let Some(one) = explanation.purchases.iter().find(|one| one.could_unlock) {
        let words = format!("no access to {wanted} at {at}: what would unlock it is of {} only", one.environment);
        return (words, vec![one.summary.clone()]);
    }
    (
        format!("no access to {wanted} at {at}: no purchase that unlocks it was known, and nothing was given by hand"),
        Vec::new(),
    )
}

fn on(one: &Explained) -> String {
    let began = one.turns.iter().find(|turn| matches!(turn.access, Some(Edge::Began | Edge::Transferred)));
    match began {
        Some(turn) => format!("{} [{}]", one.summary, turn.summary),
        None => one.summary.clone(),
    }
}

fn off(one: &Explained) -> String {
    let ended =
        one.turns.iter().find(|turn| matches!(turn.access, Some(Edge::Ended | Edge::Transferred | Edge::Replaced)));
    match ended {
        Some(turn) => format!("{} [{}]", one.summary, turn.summary),
        None => one.summary.clone(),
    }
}
