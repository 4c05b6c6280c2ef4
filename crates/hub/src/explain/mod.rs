//! Why a customer has access, or has not: the chain of causes back to what stores and people said.
//!
//! Reads only. What is known of each purchase comes from its events, and what told an event from its journal entry; so the
//! past is explained like the present. `words.rs` says it for people.

mod words;

use crate::claims::ClaimBody;
use crate::commit::command::{Command, Input};
use crate::{Hub, HubError};
use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::event::{Edge, EventType, LoggedEvent, PurchaseView};
use paidup_lifecycle::ids::{ClaimId, CustomerId, EventId, LookupId, NotificationId, PurchaseId, SourceId};
use paidup_lifecycle::observation::{Environment, Kind, Reason, Store};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use paidup_store::claims::ClaimState;
use paidup_store::records::{Cause as KeptCause, EventQuery};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Purchases that are explained, those that concern the question first.
const MOST_PURCHASES: usize = 50;
/// Events that are read of a purchase, newest first.
const MOST_EVENTS: usize = 200;
/// Events that are read of a customer, to find purchases that went away.
const MOST_OF_CUSTOMER: usize = 500;
/// Turns of a purchase that are shown, newest first.
const MOST_TURNS: usize = 12;
/// Ids of a customer whose claims are looked for.
const MOST_IDS: usize = 50;
/// Claims and lookups that are shown.
const MOST_WAITING: usize = 20;
/// Aliases that are looked at on each side of one that nobody has.
const NEIGHBOURS: usize = 50;
/// How alike an id must be to be named.
const ALIKE: f64 = 0.8;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// Which entitlement; `None`: whatever the customer may use.
    pub entitlement: Option<String>,
    /// Which environment.
    pub environment: Option<Environment>,
    /// As of when; `None`: now.
    pub at: Option<Timestamp>,
    /// With what was received, byte for byte.
    pub bodies: bool,
}

/// Why there is access or not.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Our id of the customer.
    pub customer_id: CustomerId,
    /// All other ids.
    pub aliases: Vec<String>,
    /// What was asked about.
    pub entitlement: Option<String>,
    /// In which environment.
    pub environment: Environment,
    /// As of when.
    pub at: Timestamp,
    /// What the customer may use then.
    pub active: Vec<String>,
    /// Whether that is, or includes, what was asked about.
    pub has_access: bool,
    /// The answer in a sentence or two.
    pub summary: String,
    /// Further sentences: other purchases, what waits, what to do.
    pub notes: Vec<String>,
    /// The customer's purchases, those that could unlock it first.
    pub purchases: Vec<Explained>,
    /// What is still awaited from stores.
    pub waiting: Vec<Waiting>,
}

/// One purchase's part.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// Our id.
    pub id: PurchaseId,
    /// Which store.
    pub store: Store,
    /// Which source told of it; `null`: given by hand.
    pub source_id: SourceId,
    /// The source's name.
    pub source: String,
    /// PRODUCTION or SANDBOX.
    pub environment: Environment,
    /// The purchase as it was then.
    pub purchase: PurchaseView,
    /// The catalogue has the product.
    pub is_in_catalogue: bool,
    /// What the catalogue says that the product unlocks.
    pub unlocks: Vec<String>,
    /// It unlocks what was asked about.
    pub could_unlock: bool,
    /// It gives the customer access then.
    pub gives_access: bool,
    /// It is this customer's then.
    pub is_theirs: bool,
    /// Since when access is as it is, where that is known.
    pub since: Option<Timestamp>,
    /// When the clock looks at it next (now only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_deadline: Option<Timestamp>,
    /// What its store is being asked (now only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// In words.
    pub summary: String,
    /// What turned access on or off, newest first.
    pub turns: Vec<Turn>,
}

/// What happened at once.
#[derive(Debug, Clone, Serialize)]
pub struct Turn {
    /// The event that says it best.
    pub event_id: EventId,
    /// All events of it.
    pub types: Vec<EventType>,
    /// What became of access.
    pub access: Option<Edge>,
    /// The store's time.
    pub occurred_at: Timestamp,
    /// Ours.
    pub detected_at: Timestamp,
    /// Why, in RevenueCat's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Concluded, not told.
    pub inferred: bool,
    /// What told it.
    pub cause: Option<Cause>,
    /// In words.
    pub summary: String,
}

/// What told it.
#[derive(Debug, Clone, Serialize)]
pub struct Cause {
    /// The journal entry.
    pub entry: u64,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// The command's name: `observe`, `tick`, `grant` ...
    pub command: String,
    /// Whose doing it was, where a person or app called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What was received.
    pub notifications: Vec<Named>,
}

/// A notification.
#[derive(Debug, Clone, Serialize)]
pub struct Named {
    /// Its id.
    pub id: NotificationId,
    /// Who received it.
    pub source_id: SourceId,
    /// The store's own id.
    pub external_id: String,
    /// The store's name of its type.
    pub label: String,
    /// Our time.
    pub received_at: Timestamp,
    /// What was received, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// What is still awaited.
#[derive(Debug, Clone, Serialize)]
pub struct Waiting {
    /// A claim.
    pub claim_id: ClaimId,
    /// `waiting`, `settled` or `refused`.
    pub state: ClaimState,
    /// When it was made.
    pub claimed_at: Timestamp,
    /// Lookups that it waits for.
    pub lookups: Vec<LookupId>,
    /// In words.
    pub summary: String,
}

/// What is gathered of one purchase before it is said.
struct Life {
    id: PurchaseId,
    /// As it is now, if it is known.
    now: Option<Purchase>,
    /// Its events until then, oldest first.
    events: Vec<LoggedEvent>,
    causes: BTreeMap<u64, KeptCause>,
}

impl Hub {
    /// Why a customer has access, or has not.
    pub async fn explain(&self, customer: &str, question: &Question) -> Result<Explanation, HubError> {
        let Some(found) = self.store().customer(customer).await? else {
            return Err(HubError::refused(404, "", &self.nobody(customer).await?));
        };
        let now = self.clock().now();
        let at = question.at.unwrap_or(now);
        let environment = question.environment.unwrap_or(Environment::Production);
        let is_past = question.at.is_some_and(|at| at < now);
        let told = self.told(&found, at).await?;
        let active = if is_past { active_then(&told, environment) } else { found.active_entitlements(environment) };
        let lives = self.lives(&found, &told, at, is_past).await?;
        let catalogue = self.store().catalogue();
        let family: BTreeSet<CustomerId> = told.iter().map(|told| told.event.customer.id).chain([found.id]).collect();
        let mut purchases = Vec::with_capacity(lives.len());
        for life in lives {
            if let Some(explained) = self.explained(life, question, &found, &family, &catalogue, is_past).await? {
                purchases.push(explained);
            }
        }
        purchases.sort_by_key(|one| {
            let wrong_environment = one.environment != environment;
            (wrong_environment, !one.could_unlock, !one.gives_access, std::cmp::Reverse(one.since))
        });
        let has_access = match &question.entitlement {
            Some(wanted) => active.contains(wanted),
            None => !active.is_empty(),
        };
        let waiting = self.waiting(&found, customer).await?;
        let mut explanation = Explanation {
            customer_id: found.id,
            aliases: found.aliases,
            entitlement: question.entitlement.clone(),
            environment,
            at,
            active,
            has_access,
            summary: String::new(),
            notes: Vec::new(),
            purchases,
            waiting,
        };
        words::say(&mut explanation, &catalogue);
        Ok(explanation)
    }

    /// What was told of the customer until then, newest first.
    async fn told(&self, customer: &Customer, at: Timestamp) -> Result<Vec<LoggedEvent>, HubError> {
        let query = EventQuery { customer: Some(customer.id), to: Some(just_after(at)), ..EventQuery::default() };
        Ok(self.store().events(EventQuery { limit: MOST_OF_CUSTOMER, ..query }).await?)
    }

    /// The purchases that are or were the customer's, each with its events until then.
    async fn lives(
        &self,
        customer: &Customer,
        told: &[LoggedEvent],
        at: Timestamp,
        is_past: bool,
    ) -> Result<Vec<Life>, HubError> {
        let mut known: BTreeMap<PurchaseId, Option<Purchase>> =
            told.iter().map(|told| (told.event.purchase.id, None)).collect();
        for purchase in self.store().purchases_of(customer.id, MOST_OF_CUSTOMER).await? {
            known.insert(purchase.id, Some(purchase));
        }
        // Of very many, those that give or gave access last.
        let mut ids: Vec<PurchaseId> = known.keys().copied().collect();
        let newest = |id: &PurchaseId| told.iter().position(|told| told.event.purchase.id == *id).unwrap_or(usize::MAX);
        let gives = |id: &PurchaseId| customer.holdings.get(id).is_none_or(|held| held.entitlements.is_empty());
        ids.sort_by_cached_key(|id| (gives(id), newest(id)));
        ids.truncate(MOST_PURCHASES);
        let mut lives = Vec::with_capacity(ids.len());
        for id in ids {
            let query = EventQuery { purchase: Some(id), to: Some(just_after(at)), ..EventQuery::default() };
            let mut events = self.store().events(EventQuery { limit: MOST_EVENTS, ..query }).await?;
            events.reverse();
            if events.is_empty() && is_past {
                continue;
            }
            let places = events.iter().rev().map(|told| (told.position, id)).collect();
            let causes = self.store().causes(places).await?.into_iter().map(|cause| (cause.position, cause)).collect();
            let now = known.remove(&id).flatten().filter(|_| !is_past);
            lives.push(Life { id, now, events, causes });
        }
        Ok(lives)
    }

    async fn explained(
        &self,
        life: Life,
        question: &Question,
        customer: &Customer,
        family: &BTreeSet<CustomerId>,
        catalogue: &Catalogue,
        is_past: bool,
    ) -> Result<Option<Explained>, HubError> {
        let last = life.events.last().map(|last| last.event.clone());
        let view = match (&life.now, &last) {
            (Some(purchase), _) => paidup_lifecycle::engine::view(purchase, catalogue),
            (None, Some(last)) => last.purchase.clone(),
            (None, None) => return Ok(None),
        };
        let (store, source_id, environment) = match (&life.now, &last) {
            (Some(purchase), _) => (purchase.store, purchase.key.source_id, purchase.key.environment),
            (None, Some(last)) => (last.store, last.source_id, last.environment),
            (None, None) => return Ok(None),
        };
        let unlocks = match &view.product_id {
            Some(product) if !is_past => catalogue.entitlements_of(store, product).to_vec(),
            Some(_) | None => view.entitlements.clone(),
        };
        let on = words::access_of(&life.events, family);
        let holding = customer.holdings.get(&life.id);
        let is_theirs = match is_past {
            true => last.as_ref().is_some_and(|last| family.contains(&last.customer.id)),
            false => holding.is_some() || life.now.is_some(),
        };
        let gives_access = match is_past {
            true => on.gives,
            false => holding.is_some_and(|held| !held.entitlements.is_empty()),
        };
        let source = self.source_name(source_id);
        let mut turns = words::turns(&life.events, &life.causes, |id| self.source_name(id));
        turns.truncate(MOST_TURNS);
        if question.bodies {
            self.add_bodies(&mut turns).await?;
        }
        let mut explained = Explained {
            id: life.id,
            store,
            source_id,
            source,
            environment,
            is_in_catalogue: view.product_id.as_deref().is_some_and(|id| catalogue.product(store, id).is_some()),
            could_unlock: match &question.entitlement {
                Some(wanted) => unlocks.contains(wanted),
                None => !unlocks.is_empty(),
            },
            unlocks,
            gives_access,
            is_theirs,
            since: on.since,
            next_deadline: life.now.as_ref().and_then(|purchase| purchase.next_deadline),
            question: self.question_about(&life).await?,
            summary: String::new(),
            turns,
            purchase: view,
        };
        explained.summary = words::of_purchase(&explained);
        Ok(Some(explained))
    }

    async fn question_about(&self, life: &Life) -> Result<Option<String>, HubError> {
        if life.now.as_ref().is_none_or(|purchase| purchase.asked.is_none()) {
            return Ok(None);
        }
        let asked = self.store().questions(MOST_OF_CUSTOMER).await?;
        let mine = asked.into_iter().find(|question| question.purchase_id == life.id);
        Ok(mine.map(|question| match question.last_error {
            Some(error) => format!("{} (tried {} times; {error})", question.why, question.attempts),
            None => question.why,
        }))
    }

    async fn add_bodies(&self, turns: &mut [Turn]) -> Result<(), HubError> {
        for named in turns.iter_mut().filter_map(|turn| turn.cause.as_mut()).flat_map(|cause| &mut cause.notifications)
        {
            if let Some(kept) = self.store().notification(named.id).await? {
                let bytes = self.received_bytes(&kept).await?;
                named.body = Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(())
    }

    /// Claims for any id of the customer that are not settled.
    async fn waiting(&self, customer: &Customer, asked_as: &str) -> Result<Vec<Waiting>, HubError> {
        let mut waiting = Vec::new();
        let named = customer.aliases.iter().rev().take(MOST_IDS).map(String::as_str);
        let ours = customer.id.to_string();
        let ids: BTreeSet<&str> = named.chain([asked_as, &ours]).collect();
        for id in ids {
            for claim in self.store().claims_of(id, MOST_WAITING).await? {
                if claim.state == ClaimState::Settled {
                    continue;
                }
                let lookups = self.store().lookups_by_id(claim.lookups.clone()).await?;
                let body = ClaimBody::read(&claim.body);
                waiting.push(Waiting {
                    summary: words::of_claim(&claim, &body, &lookups, &self.source_name(claim.source_id)),
                    claim_id: claim.id,
                    state: claim.state,
                    claimed_at: claim.claimed_at,
                    lookups: claim.lookups.into_iter().collect(),
                });
            }
        }
        waiting.sort_by_key(|one| std::cmp::Reverse(one.claimed_at));
        waiting.truncate(MOST_WAITING);
        Ok(waiting)
    }

    fn source_name(&self, id: SourceId) -> String {
        if id == crate::grants::source_id() {
            return "grants".to_owned();
        }
        self.sources().get(id).map_or_else(|| id.to_string(), |opened| opened.record.name.clone())
    }

    /// Nobody has that id: who may have been meant?
    async fn nobody(&self, asked: &str) -> Result<String, HubError> {
        let mut near: Vec<(f64, String)> = Vec::new();
        for text in [asked.to_owned(), asked.trim().to_lowercase(), asked.to_uppercase()] {
            for alias in self.store().aliases_around(&text, NEIGHBOURS).await? {
                let likeness = strsim::jaro_winkler(&alias.to_lowercase(), &asked.trim().to_lowercase());
                if likeness >= ALIKE && near.iter().all(|(_, known)| *known != alias) {
                    near.push((likeness, alias));
                }
            }
        }
        near.sort_by(|one, other| other.0.total_cmp(&one.0));
        let names: Vec<String> = near.into_iter().take(3).map(|(_, alias)| format!("{alias:?}")).collect();
        let mut detail = "no customer has this id: no store, backend or person has named it yet".to_owned();
        if !names.is_empty() {
            detail = format!("{detail}; ids that look like it: {}", names.join(", "));
        }
        let waits = self.store().claims_of(asked, 1).await?;
        if let Some(claim) = waits.first().filter(|claim| claim.state == ClaimState::Waiting) {
            detail = format!(
                "{detail}; a purchase was claimed for it at {}, and its store has not answered yet",
                claim.claimed_at
            );
        }
        Ok(detail)
    }
}

/// The first moment after; lists end before theirs.
fn just_after(at: Timestamp) -> Timestamp {
    at.plus(std::time::Duration::from_millis(1))
}

/// What the customer could use then: as the last event in that environment says.
fn active_then(told: &[LoggedEvent], environment: Environment) -> Vec<String> {
    let last = told.iter().find(|told| told.event.environment == environment);
    last.map(|told| told.event.entitlements.active.clone()).unwrap_or_default()
}

/// Whether what a purchase is can lapse.
pub(super) fn lasts(kind: Kind) -> bool {
    match kind {
        Kind::Subscription | Kind::NonRenewing | Kind::Grant | Kind::Temporary | Kind::NonConsumable => true,
        Kind::Consumable => false,
    }
}

/// The command of a journal entry, and whose doing it was.
pub(super) fn command_of(input: &[u8]) -> Option<(Command, Option<String>)> {
    let Input { command, by, .. } = serde_json::from_slice(input).ok()?;
    Some((command, by))
}
