//! From Discord's objects to our words. Entitlements are the access switch, subscriptions say what they renew.
//!
//! **Keys.** A purchase is a subscription, or an entitlement that belongs to none. The first period of a subscription has its
//! id, so that the entitlement, which names no period, and the subscription speak of the same one whichever is heard first;
//! later ones are known by their start.
//!
//! **With a token**, an event that may be part of a change of plan (an entitlement that ends, or one that begins later than its
//! subscription) only leads to the subscription, because an old plan's entitlement ends too. A subscription that is over or
//! unpaid leads to its user's entitlements. **Without one**, entitlements are all there is.

use super::ask::{Context, Decides, Known, ONE_TIME, PAGE, Wanted};
use super::wire::{Entitlement, Envelope, Event, Sku, Subscription, Told};
use crate::lenient::{self, Object};
use crate::{Lookup, Note, Reading, Rejection, RejectionKind, parse_looked_up_id};
use paidup_lifecycle::dialects::discord::Status;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::observation::{
    Dated, Environment, Facets, Hint, Kind, Observation, Origin, PendingProduct, Period, PurchaseKey, Stamp, Standing,
    Store,
};
use paidup_lifecycle::snowflake::Snowflake;
use paidup_lifecycle::time::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A period or entitlement that starts within this of its subscription's own id is of its first period: they are made within
/// moments, and Discord bills by the month.
const FIRST_PERIOD: Duration = Duration::from_secs(86_400);
/// The same as a part of the period, where that is shorter than a month.
const FIRST_PART: u32 = 30;
/// How long after the end of its period a subscription whose plan was to change is taken to be in that change.
const RENEWAL_TAKES: Duration = Duration::from_secs(3600);
/// Entitlements of this long before are compared too: ids tell when something was bought, not when it was told.
const OVERLAP: Duration = Duration::from_secs(86_400);

/// Reads for one source.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub(super) source: SourceId,
    pub(super) asks: bool,
}

/// Who says something, and when.
struct Word {
    source: SourceId,
    id: Arc<str>,
    at: Timestamp,
    origin: Origin,
}

/// What an entitlement tells of its purchase.
struct Entitled<'a> {
    known: &'a Known,
    subscription: Option<&'a str>,
}

impl Known {
    fn of(entitlement: &Entitlement<'_>) -> Known {
        Known {
            id: entitlement.id.to_owned(),
            sku: entitlement.sku.to_owned(),
            user: entitlement.user().map(str::to_owned),
            starts_at: entitlement.starts_at(),
            ends_at: entitlement.ends_at(),
            deleted: entitlement.is_deleted(),
            environment: entitlement.environment(),
        }
    }
}

fn born_at(id: &str) -> Option<Timestamp> {
    Snowflake::native(id).map(Snowflake::time)
}

fn is_of_first_period(subscription: &str, starts_at: Timestamp) -> bool {
    born_at(subscription).is_some_and(|born| starts_at.since(born).max(born.since(starts_at)) < FIRST_PERIOD)
}

/// Whether an entitlement that began then, as was told at `at`, came with its subscription: it began when that did rather than
/// when it was told. Another plan's, or that of a charge that succeeded late, begins when it is told.
fn is_start(subscription: &str, began_at: Timestamp, at: Timestamp) -> bool {
    is_of_first_period(subscription, began_at)
        && born_at(subscription).is_some_and(|born| began_at.since(born) <= at.since(began_at))
}

impl Word {
    fn dated<T>(&self, rank: char, value: T) -> Dated<T> {
        let by = format!("{rank}/{}", self.id).into();
        Dated { value, stamp: Stamp { as_of: self.at, origin: self.origin, by } }
    }

    fn observation(&self, purchase: &str, environment: Environment, hint: Hint, facets: Facets) -> Observation {
        let store_purchase_id = purchase.to_owned();
        Observation {
            key: PurchaseKey { source_id: self.source, environment, store_purchase_id },
            store: Store::Discord,
            id: self.id.clone(),
            observed_at: self.at,
            origin: self.origin,
            hint,
            about_transaction: None,
            facets,
            backfill: false,
            replaces: None,
            detected_by: None,
        }
    }

    /// What both sorts of purchases have.
    fn facets_of(&self, rank: char, known: &Known, ask_with: &str) -> Facets {
        Facets {
            owner: known.user.clone().map(|user| self.dated(rank, Some(user))),
            product: Some(self.dated(rank, known.sku.clone())),
            entitlement_id: Some(self.dated(rank, known.id.clone())),
            ask_with: Some(self.dated(rank, ask_with.to_owned())),
            ..Facets::default()
        }
    }

    /// Bought once. The kind is what the SKU says; `None`: it is known already.
    fn bought_once(&self, known: &Known, kind: Option<Kind>) -> Observation {
        let standing = match (known.deleted, known.is_live(self.at)) {
            (true, _) => Standing::Revoked,
            (false, true) => Standing::Active,
            (false, false) => Standing::Expired,
        };
        let starts_at = known.starts_at.or_else(|| born_at(&known.id)).unwrap_or(self.at);
        let ends_at = known.ends_at.filter(|end| *end > starts_at);
        let kind = kind.map(|kind| match (kind, ends_at) {
            (Kind::Consumable, _) => Kind::Consumable,
            (_, Some(_)) => Kind::NonRenewing,
            // A test entitlement of a subscription has neither a subscription nor an end.
            (_, None) => Kind::NonConsumable,
        });
        let rank = if known.deleted { 'd' } else { 'b' };
        let mut facets = self.facets_of(rank, known, ONE_TIME);
        let period = Period { transaction_id: Some(known.id.clone()), starts_at, ends_at };
        facets.kind = kind.map(|kind| self.dated(rank, kind));
        facets.period = Some(self.dated(rank, period));
        facets.standing = Some(self.dated(rank, standing));
        let hint = if known.deleted { Hint::Revoked } else { Hint::OneTimePurchased };
        self.observation(&known.id, known.environment, hint, facets)
    }

    /// An entitlement of a subscription, without a word of the subscription itself.
    fn entitled(&self, entitled: &Entitled<'_>, subscription: &str) -> Observation {
        let known = entitled.known;
        let began_at = known.starts_at.or_else(|| born_at(&known.id)).unwrap_or(self.at);
        let is_first = is_start(subscription, began_at, self.at);
        let (standing, hint, rank) = match (known.deleted, known.is_live(self.at)) {
            (true, _) => (Standing::Revoked, Hint::Revoked, 'd'),
            (false, true) if is_first => (Standing::Active, Hint::Purchased, 'c'),
            (false, true) => (Standing::Active, Hint::Answered, 'c'),
            // Of the same moment, the new plan's entitlement counts more than the end of the old one's.
            (false, false) => (Standing::Expired, Hint::Expired, 'b'),
        };
        let mut facets = self.facets_of(rank, known, &known.sku);
        if standing != Standing::Active {
            (facets.product, facets.ask_with) = (None, None);
        }
        facets.kind = Some(self.dated(rank, Kind::Subscription));
        facets.standing = Some(self.dated(rank, standing));
        if is_first && standing == Standing::Active {
            let transaction_id = Some(subscription.to_owned());
            let starts_at = born_at(subscription).unwrap_or(began_at);
            let mut period = self.dated(rank, Period { transaction_id, starts_at, ends_at: known.ends_at });
            if known.ends_at.is_none() {
                // It does not say that there is no end: whoever told one knows better, however our clocks compare.
                period.stamp.as_of = period.stamp.as_of.min(starts_at);
            }
            facets.period = Some(period);
            // An end that is to come is told only of what will not renew.
            facets.will_renew = known.ends_at.map(|_| self.dated(rank, false));
        }
        self.observation(subscription, known.environment, hint, facets)
    }
}

impl Reader {
    fn word(&self, id: &str, at: Timestamp, origin: Origin) -> Word {
        Word { source: self.source, id: id.into(), at, origin }
    }

    pub(super) fn event(&self, event: &Event<'_>) -> Reading {
        match event.told() {
            Told::OfNoConsequence => return Reading::noted(Note::Informative),
            Told::Unknown => return Reading::noted(Note::Unknown),
            Told::EntitlementCreated | Told::EntitlementUpdated | Told::EntitlementDeleted => {}
        }
        let (Some(at), Some(entitlement)) = (event.at(), event.entitlement()) else {
            return Reading::noted(Note::Unknown);
        };
        let word = self.word(&event.external_id(), at, Origin::Notification);
        let mut known = Known::of(&entitlement);
        known.deleted |= event.told() == Told::EntitlementDeleted;
        let entitled = Entitled { known: &known, subscription: entitlement.subscription() };
        let mut reading = self.entitlement(&word, &entitled);
        reading.same.extend(ids_of(known.user.as_deref()));
        reading
    }

    fn entitlement(&self, word: &Word, entitled: &Entitled<'_>) -> Reading {
        let known = entitled.known;
        let context = Context { entitlement: Some(known.clone()), ..Context::default() };
        let Some(subscription) = entitled.subscription else {
            if self.asks && !known.deleted {
                // What is used up and what lasts look the same here.
                let lookup = Wanted::Skus.lookup(&context, "what sort of thing was bought");
                return Reading { lookups: vec![lookup], note: Some(Note::Informative), ..Reading::default() };
            }
            return Reading::observed(word.bought_once(known, Some(Kind::NonConsumable)));
        };
        let wanted = Wanted::Subscription(&known.sku, subscription);
        let lookup = || wanted.lookup(&context, "an entitlement names no period and no renewal");
        let began_at = known.starts_at.or_else(|| born_at(&known.id)).unwrap_or(word.at);
        let is_start = known.is_live(word.at) && known.ends_at.is_none() && is_start(subscription, began_at, word.at);
        match (self.asks, known.deleted || is_start) {
            (true, false) => Reading { lookups: vec![lookup()], note: Some(Note::Informative), ..Reading::default() },
            (asks, _) => {
                let mut reading = Reading::observed(word.entitled(entitled, subscription));
                if asks && !known.deleted {
                    reading.lookups.push(lookup());
                }
                reading
            }
        }
    }

    /// What was kept: an event, or something looked up.
    pub(super) fn kept(&self, external_id: &str, body: &[u8]) -> Result<Reading, Rejection> {
        let value = lenient::parse(body)?;
        let Some((asked_at, name, context)) = parse_looked_up_id(external_id) else {
            let envelope = Envelope::new(&value)?;
            return Ok(envelope.event()?.map_or_else(Reading::default, |event| self.event(&event)));
        };
        let context: Context = serde_json::from_str(context).unwrap_or_default();
        let word = self.word(external_id, asked_at, Origin::Answer);
        let wanted = Wanted::of_name(name).ok_or_else(|| no_answer("an answer to anything that is asked"))?;
        match wanted {
            Wanted::FirstPage | Wanted::PageBelow(_) | Wanted::PageAbove(_) => self.page(wanted, &context, &value),
            Wanted::EntitlementsOf(_) => decided(&word, &context, &value),
            Wanted::Subscription(_, id) if value.is_null() => Ok(not_there(&word, &context, id)),
            Wanted::Entitlement(_) => {
                let entitlement = Entitlement::new(Object(&value)).ok_or_else(|| no_answer("an entitlement"))?;
                Ok(self.asked_entitlement(&word, &context, &entitlement))
            }
            Wanted::Subscription(sku, _) => {
                let subscription = Subscription::new(Object(&value)).ok_or_else(|| no_answer("a subscription"))?;
                Ok(subscribed(&word, sku, &context, &subscription))
            }
            Wanted::Skus => skus(&word, &context, &value),
        }
    }

    /// A page of everybody's entitlements: each leads to its subscription or its kind, the outer ids to the next pages.
    fn page(&self, wanted: Wanted<'_>, context: &Context, value: &Value) -> Result<Reading, Rejection> {
        let all = list(value, "a list of entitlements")?;
        let entitlements: Vec<Entitlement<'_>> = all.filter_map(Entitlement::new).collect();
        let since = context.since.map(|since| since.minus(OVERLAP));
        let is_wanted = |id: &str| since.is_none_or(|since| born_at(id).is_some_and(|born| born >= since));
        // Of several entitlements of one subscription the one that lives counts, else the newest.
        let mut by_purchase: BTreeMap<&str, &Entitlement<'_>> = BTreeMap::new();
        for entitlement in entitlements.iter().filter(|entitlement| is_wanted(entitlement.id)) {
            let rank = |it: &Entitlement<'_>| (!it.is_deleted() && it.ends_at().is_none(), born_at(it.id));
            let best = by_purchase.entry(entitlement.subscription().unwrap_or(entitlement.id)).or_insert(entitlement);
            if rank(entitlement) > rank(best) {
                *best = entitlement;
            }
        }
        let mut lookups: Vec<Lookup> = Vec::new();
        for entitlement in by_purchase.into_values() {
            let about = Context { entitlement: Some(Known::of(entitlement)), ..Context::default() };
            let wanted = match entitlement.subscription() {
                Some(subscription) => Wanted::Subscription(entitlement.sku, subscription),
                None => Wanted::Skus,
            };
            lookups.push(wanted.lookup(&about, "it stands in Discord's list"));
        }
        let ids: Vec<&str> = entitlements.iter().map(|it| it.id).collect();
        let lowest = ids.iter().min_by_key(|id| born_at(id).map(|at| (at, **id)));
        let highest = ids.iter().max_by_key(|id| born_at(id).map(|at| (at, **id)));
        let is_full = ids.len() >= PAGE;
        let follow = |wanted: Wanted<'_>| wanted.lookup(context, "the next page of Discord's list");
        if let Some(lowest) = lowest.filter(|id| is_full && is_wanted(id) && !matches!(wanted, Wanted::PageAbove(_))) {
            lookups.push(follow(Wanted::PageBelow(lowest)));
        }
        if let Some(highest) = highest.filter(|_| is_full && !matches!(wanted, Wanted::PageBelow(_))) {
            lookups.push(follow(Wanted::PageAbove(highest)));
        }
        Ok(Reading { lookups, note: Some(Note::Informative), ..Reading::default() })
    }

    /// One entitlement that was asked for: how a one-time purchase stands, or what somebody claims.
    fn asked_entitlement(&self, word: &Word, context: &Context, entitlement: &Entitlement<'_>) -> Reading {
        let known = Known::of(entitlement);
        if context.find.is_some() || entitlement.subscription().is_some() {
            let entitled = Entitled { known: &known, subscription: entitlement.subscription() };
            return Reading { observations: Vec::new(), ..self.entitlement(word, &entitled) };
        }
        let mut reading = Reading::observed(word.bought_once(&known, None));
        reading.same.extend(ids_of(known.user.as_deref()));
        reading
    }
}

/// A Discord user is known by the bare id and by the alias that links made here have.
fn ids_of(user: Option<&str>) -> Option<Vec<String>> {
    user.map(|user| vec![format!("{}{user}", paidup_lifecycle::customer::DISCORD_ALIAS), user.to_owned()])
}

/// A subscription as Discord's API answered.
fn subscribed(word: &Word, asked_sku: &str, context: &Context, subscription: &Subscription<'_>) -> Reading {
    let skus = subscription.skus();
    let sku = if skus.contains(&asked_sku) { Some(asked_sku) } else { skus.first().copied() };
    let dated = |value: &str| word.dated('c', value.to_owned());
    let mut facets = Facets {
        kind: Some(word.dated('c', Kind::Subscription)),
        product: sku.map(dated),
        ask_with: sku.map(dated),
        owner: subscription.user().map(|user| word.dated('c', Some(user.to_owned()))),
        country: subscription.country().map(|code| word.dated('c', Some(code))),
        ..Facets::default()
    };
    let ended = context.entitlement.as_ref().filter(|known| !known.is_live(word.at));
    let living = context.entitlement.as_ref().filter(|known| known.is_live(word.at));
    let own = living.map(|known| known.id.as_str()).or_else(|| subscription.entitlements().first().copied());
    facets.entitlement_id = own.map(dated);
    let next = subscription.renewal_sku().filter(|next| Some(*next) != sku);
    facets.pending = Some(word.dated(
        'c',
        next.map(|next| PendingProduct { product_id: next.to_owned(), effective_at: subscription.ends_at() }),
    ));
    if let (Some(starts_at), Some(ends_at)) = (subscription.starts_at(), subscription.ends_at())
        && ends_at > starts_at
    {
        // The first one as its entitlement tells it.
        let is_near = |born: &Timestamp| {
            starts_at.since(*born).max(born.since(starts_at)) < ends_at.since(starts_at) / FIRST_PART
        };
        let born = born_at(subscription.id).filter(|_| is_of_first_period(subscription.id, starts_at)).filter(is_near);
        let transaction_id = born.map(|_| subscription.id.to_owned());
        let starts_at = born.unwrap_or(starts_at);
        facets.period = Some(word.dated('c', Period { transaction_id, starts_at, ends_at: Some(ends_at) }));
    }
    let standing = standing(word, subscription, living.is_some(), ended);
    facets.will_renew = match subscription.status() {
        Some(Status::Active) => Some(word.dated('c', true)),
        Some(Status::Ending) => Some(word.dated('c', false)),
        Some(Status::Inactive) | None => None,
    };
    facets.standing = standing.ok().map(|standing| word.dated('c', standing));
    let period = facets.period.as_ref().map(|period| period.value.clone());
    let environment = Environment::Production;
    let mut reading = Reading::observed(word.observation(subscription.id, environment, Hint::Answered, facets));
    if let (Err(Some(is_charged)), Some(user)) = (standing, subscription.user()) {
        let decides = Some(Decides { subscription: subscription.id.to_owned(), is_charged, period });
        let context = Context { decides, ..Context::default() };
        reading.lookups.push(Wanted::EntitlementsOf(user).lookup(&context, "whether it still gives access"));
    }
    reading.same.extend(ids_of(subscription.user()));
    reading
}

/// A subscription that is not under the SKU that it had: its user's entitlements say under which it is, else each SKU is tried.
fn not_there(word: &Word, context: &Context, id: &str) -> Reading {
    if context.is_one_of_many {
        return Reading::noted(Note::Informative);
    }
    let elsewhere = Context { find: Some(id.to_owned()), is_one_of_many: true, ..Context::default() };
    let user = context.entitlement.as_ref().and_then(|known| known.user.as_deref());
    let wanted = user.map_or(Wanted::Skus, Wanted::EntitlementsOf);
    let lookup = wanted.lookup(&elsewhere, "the subscription has another SKU now");
    let reading = match context.is_known {
        // Its answer has to be about it, and says nothing.
        true => Reading::observed(word.observation(id, Environment::Production, Hint::Answered, Facets::default())),
        false => Reading::noted(Note::Informative),
    };
    Reading { lookups: vec![lookup], ..reading }
}

/// What a subscription's status says of access. `Err(Some(...))`: only the user's entitlements can say, and whether it is still
/// charged; `Err(None)`: nothing yet.
fn standing(
    word: &Word,
    subscription: &Subscription<'_>,
    is_entitled: bool,
    ended: Option<&Known>,
) -> Result<Standing, Option<bool>> {
    // An event may come late: what it says of an entitlement of an earlier period decides nothing.
    let ended = ended.filter(|known| known.deleted || known.ends_at > subscription.starts_at());
    let over_for = subscription.ends_at().map(|end| word.at.since(end)).unwrap_or_default();
    let is_over = subscription.ends_at().is_some_and(|end| end <= word.at);
    let has_another =
        ended.is_some_and(|ended| subscription.entitlements().iter().any(|other| *other != ended.id.as_str()));
    let changes_plan = subscription.renewal_sku().is_some_and(|next| !subscription.skus().contains(&next));
    match subscription.status().ok_or(None)? {
        Status::Active if !is_over || has_another => Ok(Standing::Active),
        // Where another plan is to follow, the old one's entitlement ends before the new one's begins.
        Status::Active if changes_plan && over_for < RENEWAL_TAKES => Err(None),
        Status::Active if ended.is_some() => Ok(Standing::BillingRetry),
        Status::Active => Err(Some(true)),
        Status::Ending if !is_over => Ok(Standing::Active),
        // Discord turns it into INACTIVE with a delay.
        Status::Ending if ended.is_some() => Ok(Standing::Expired),
        Status::Ending => Err(Some(false)),
        // It was made before its entitlement was given, and is about to become ACTIVE.
        Status::Inactive if is_entitled && !is_over => Err(None),
        Status::Inactive if ended.is_some_and(|ended| ended.deleted) => Ok(Standing::Revoked),
        Status::Inactive if ended.is_some() => Ok(Standing::Expired),
        // Its period ran out, or it was refunded before.
        Status::Inactive => Err(Some(false)),
    }
}

/// All entitlements of a user, which decide the access of one subscription.
fn decided(word: &Word, context: &Context, value: &Value) -> Result<Reading, Rejection> {
    let all = list(value, "a list of entitlements")?;
    if let Some(id) = &context.find {
        return Ok(elsewhere(id, all.filter_map(Entitlement::new)));
    }
    let Some(decides) = &context.decides else { return Ok(Reading::noted(Note::Informative)) };
    let own: Vec<Known> = all
        .filter_map(Entitlement::new)
        .filter(|it| it.subscription() == Some(&decides.subscription))
        .map(|it| Known::of(&it))
        .collect();
    let living = own.iter().find(|known| known.is_live(word.at));
    let newest = own.iter().max_by_key(|known| born_at(&known.id));
    let standing = match (living, decides.is_charged) {
        (Some(_), _) => Standing::Active,
        (None, true) => Standing::BillingRetry,
        (None, false) if newest.is_some_and(|known| known.deleted) => Standing::Revoked,
        (None, false) => Standing::Expired,
    };
    let facets = Facets {
        standing: Some(word.dated('d', standing)),
        entitlement_id: living.map(|known| word.dated('d', known.id.clone())),
        // Said together: it goes on, but not for ever, and is asked about again.
        period: decides.period.clone().map(|period| word.dated('d', period)),
        // Not charged, but entitled until the end of the period: its SKU was taken off sale.
        will_renew: (living.is_some() && !decides.is_charged).then(|| word.dated('d', false)),
        ..Facets::default()
    };
    let hint = if standing == Standing::Revoked { Hint::Revoked } else { Hint::Answered };
    Ok(Reading::observed(word.observation(&decides.subscription, Environment::Production, hint, facets)))
}

/// The subscription under the SKU of its entitlement that lives, else of its newest.
fn elsewhere<'a>(id: &str, all: impl Iterator<Item = Entitlement<'a>>) -> Reading {
    let rank = |it: &Entitlement<'_>| (!it.is_deleted() && it.ends_at().is_none(), born_at(it.id));
    let Some(best) = all.filter(|it| it.subscription() == Some(id)).max_by_key(rank) else {
        return Reading::noted(Note::Informative);
    };
    let context = Context { entitlement: Some(Known::of(&best)), is_one_of_many: true, ..Context::default() };
    let lookup = Wanted::Subscription(best.sku, id).lookup(&context, "its entitlement says that it has this SKU now");
    Reading { lookups: vec![lookup], note: Some(Note::Informative), ..Reading::default() }
}

/// What is for sale: the kind of what was bought once, or where a claimed subscription may be found.
fn skus(word: &Word, context: &Context, value: &Value) -> Result<Reading, Rejection> {
    let all: Vec<Sku<'_>> = list(value, "a list of SKUs")?.filter_map(Sku::new).collect();
    if let Some(found) = &context.find {
        let subscriptions = all.iter().filter(|sku| sku.kind() == Some(Kind::Subscription));
        let lookups = subscriptions.map(|sku| {
            let context = Context { is_one_of_many: context.is_one_of_many, ..Context::default() };
            Wanted::Subscription(sku.id, found).lookup(&context, "whose SKU the subscription is of")
        });
        return Ok(Reading { lookups: lookups.collect(), note: Some(Note::Informative), ..Reading::default() });
    }
    let Some(known) = &context.entitlement else { return Ok(Reading::noted(Note::Informative)) };
    let kind = all.iter().find(|sku| sku.id == known.sku).and_then(Sku::kind);
    // What was told of a living one is of its beginning, however late it is looked up: it may have been deleted since.
    let told_at = if known.is_live(word.at) { born_at(&known.id).unwrap_or(word.at).min(word.at) } else { word.at };
    let word = Word { at: told_at, id: word.id.clone(), ..*word };
    let mut reading = Reading::observed(word.bought_once(known, Some(kind.unwrap_or(Kind::NonConsumable))));
    reading.same.extend(ids_of(known.user.as_deref()));
    Ok(reading)
}

fn list<'a>(value: &'a Value, expected: &str) -> Result<impl Iterator<Item = Object<'a>> + use<'a>, Rejection> {
    let all = value.as_array().ok_or_else(|| no_answer(expected))?;
    Ok(all.iter().take(PAGE).filter(|it| it.is_object()).map(Object))
}

fn no_answer(expected: &str) -> Rejection {
    Rejection::new(RejectionKind::Malformed, "no_answer", format!("the answer is not {expected}"))
}
