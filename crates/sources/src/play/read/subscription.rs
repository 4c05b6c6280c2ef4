//! A subscription as Google's API answers: the one word that says all about how it stands.

use super::{Word, environment, no_answer, refund_fact};
use crate::play::ask::{About, Context, Place, Refund, Waiting, Wanted};
use crate::play::wire::{self, Amount, ItemReplacement, LineItem, PriceChangeDetails, SubscriptionPurchase};
use crate::{Lookup, Note, Reading, Rejection};
use paidup_lifecycle::money::Money;
use paidup_lifecycle::observation::{
    Consent, Dated, Facets, Hint, Kind, Observation, Offer, OfferType, Origin, Pause, PendingProduct, Period,
    PeriodType, PriceIncrease, Reason, Stamp, Standing,
};
use paidup_lifecycle::time::Timestamp;
use std::time::Duration;

/// Most products of one token that are read: Google allows 50.
const MAX_ITEMS: usize = 50;
/// How far back a chain of unknown tokens is walked.
const MAX_CHAIN: usize = 7;
/// A subscription whose end lies later than this after money went back was not ended by that; nor one whose end lies later
/// than this part of its length, for tests in which a month is minutes.
const ENDS_WITH_REFUND: Duration = Duration::from_secs(3600);
const ENDS_WITH_REFUND_PART: u32 = 50;
/// What ended before a token began, ended at least so long before it.
const A_MOMENT: Duration = Duration::from_millis(1);

/// Google's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Active,
    Paused,
    Grace,
    Hold,
    Cancelled,
    Expired,
    Withdrawn,
}

impl State {
    fn of(name: &str) -> Option<State> {
        Some(match name.strip_prefix("SUBSCRIPTION_STATE_")? {
            "PENDING" => State::Pending,
            "ACTIVE" => State::Active,
            "PAUSED" => State::Paused,
            "IN_GRACE_PERIOD" => State::Grace,
            "ON_HOLD" => State::Hold,
            "CANCELED" => State::Cancelled,
            "EXPIRED" => State::Expired,
            "PENDING_PURCHASE_CANCELED" => State::Withdrawn,
            _ => return None,
        })
    }

    fn standing(self) -> Standing {
        match self {
            State::Pending => Standing::Pending,
            State::Active | State::Cancelled => Standing::Active,
            State::Paused => Standing::Paused,
            State::Grace => Standing::Grace,
            State::Hold => Standing::BillingRetry,
            State::Expired | State::Withdrawn => Standing::Expired,
        }
    }

    /// Nothing was ever paid with this token.
    fn is_unpaid(self) -> bool {
        matches!(self, State::Pending | State::Withdrawn)
    }
}

/// The answer to a question of ours.
pub(super) fn answer(word: &Word<'_>, place: Place<'_>, purchase: &SubscriptionPurchase) -> Result<Reading, Rejection> {
    let context = Context { walked: true, ..Context::of(About::Asked) };
    let mut reading = read(word, place.token, &context, purchase)?;
    let is_there = |observation: &Observation| observation.key.store_purchase_id == place.id();
    if place.product.is_some() && !reading.observations.iter().any(is_there) {
        // The token goes on without this product: it was taken out.
        let key = word.key(environment(purchase.test_purchase.is_some()), place);
        let facets = Facets {
            standing: Some(word.dated(Standing::Expired)),
            will_renew: Some(word.dated(false)),
            ..Facets::default()
        };
        reading.observations.push(word.observation(key, Hint::Answered, word.at, facets));
    }
    Ok(reading)
}

/// The answer that a notification, a list or a claim asked for.
pub(super) fn looked_up(
    word: &Word<'_>,
    token: &str,
    context: &Context,
    purchase: &SubscriptionPurchase,
) -> Result<Reading, Rejection> {
    let mut reading = read(word, token, context, purchase)?;
    let product = purchase.line_items.first().and_then(product_of);
    if context.about == About::Replaced {
        reading.lookups.extend(forward(&context.waiting, product));
    }
    Ok(reading)
}

/// The next answer that was put aside, asked for again; `former` is the product of the token before it.
pub(super) fn forward(waiting: &[Waiting], former: Option<String>) -> Option<Lookup> {
    let (next, waiting) = waiting.split_last()?;
    let context =
        Context { about: next.about.clone(), waiting: waiting.to_vec(), walked: true, former_product: former };
    Some(Wanted::Subscription(&next.token).lookup(&context, "its predecessor is known now"))
}

fn read(
    word: &Word<'_>,
    token: &str,
    context: &Context,
    purchase: &SubscriptionPurchase,
) -> Result<Reading, Rejection> {
    let state = purchase.subscription_state.as_deref().ok_or_else(|| no_answer("a subscription with its state"))?;
    let Some(state) = State::of(state) else { return Ok(Reading::noted(Note::Unknown)) };
    let former = predecessor(token, purchase);
    if state.is_unpaid() && former.is_some() {
        // The subscription that it would replace goes on as it is until this is paid for.
        return Ok(Reading::noted(Note::Informative));
    }
    if let About::Claimed { product: Some(claimed) } = &context.about
        && !purchase.line_items.iter().any(|item| is_of(item, claimed))
    {
        return Ok(Reading::noted(Note::Informative));
    }
    let told = Told { word, token, context, purchase, state, former };
    let Some(main) = told.main() else { return Err(no_answer("a subscription with its products")) };
    let mut reading = Reading::default();
    for (place, item) in purchase.line_items.iter().take(MAX_ITEMS).enumerate() {
        let is_main = std::ptr::eq(item, main);
        if is_main || (item.expiry_time.is_some() && place != 0) {
            reading.observations.extend(told.observations(item, is_main));
        }
    }
    reading.lookups.extend(told.lookups(main));
    reading.first = told.asks_first();
    Ok(reading)
}

/// The token that this one replaced, or revived.
fn predecessor<'a>(token: &str, purchase: &'a SubscriptionPurchase) -> Option<&'a str> {
    let revived = || purchase.out_of_app_purchase_context.as_ref()?.expired_purchase_token.as_deref();
    let former = purchase.linked_purchase_token.as_deref().or_else(revived)?;
    (wire::is_id(former) && former != token).then_some(former)
}

/// The product: with its base plan, where it has one, because plans of one subscription are bought, mapped and changed
/// like products. RevenueCat writes it like that too.
fn product_of(item: &LineItem) -> Option<String> {
    let product = item.product_id.as_deref().filter(|product| wire::is_id(product))?;
    Some(match item.offer_details.as_ref().and_then(|offer| offer.base_plan_id.as_deref()) {
        Some(plan) if wire::is_id(plan) => format!("{product}:{plan}"),
        Some(_) | None => product.to_owned(),
    })
}

fn is_of(item: &LineItem, claimed: &str) -> bool {
    item.product_id.as_deref() == Some(claimed) || product_of(item).as_deref() == Some(claimed)
}

/// What a period costs and is.
struct Terms {
    period_type: PeriodType,
    offer: Option<Offer>,
    price: Option<Money>,
    /// Something was paid, and the answer does not say how much.
    asks_price: bool,
}

/// One answer about one token.
struct Told<'a, 'r> {
    word: &'a Word<'r>,
    token: &'a str,
    context: &'a Context,
    purchase: &'a SubscriptionPurchase,
    state: State,
    former: Option<&'a str>,
}

impl<'a> Told<'a, '_> {
    /// The product that the purchase under the token's own name is of. ASSUMPTION: the first that is in force; the others
    /// are add-ons, purchases of their own.
    fn main(&self) -> Option<&'a LineItem> {
        let items = &self.purchase.line_items;
        items.iter().find(|item| item.expiry_time.is_some()).or(items.first())
    }

    fn number(&self) -> Option<i64> {
        match self.context.about {
            About::Told { number, .. } => Some(number),
            _ => None, // nobody spoke of the subscription's course
        }
    }

    fn at(&self) -> Timestamp {
        match &self.context.about {
            About::Told { at, .. } => *at,
            About::Refund(refund) => refund.at,
            // Nobody spoke: what has ended, ended when Google says so.
            _ if self.state == State::Expired => {
                let ended = self.main().and_then(|item| item.expiry_time);
                ended.map_or(self.word.at, |ended| ended.min(self.word.at))
            }
            _ => self.word.at,
        }
    }

    fn is_replaced(&self) -> bool {
        let context = self.purchase.canceled_state_context.as_ref();
        context.is_some_and(|context| context.replacement_cancellation.is_some())
    }

    fn refund(&self) -> Option<&'a Refund> {
        match &self.context.about {
            About::Refund(refund) => Some(refund),
            _ => None, // no other reason to ask speaks of money
        }
    }

    // Observations.

    fn observations(&self, item: &LineItem, is_main: bool) -> Vec<Observation> {
        let product = if is_main { None } else { item.product_id.as_deref() };
        if !is_main && !product.is_some_and(wire::is_id) {
            return Vec::new();
        }
        let place = Place { token: self.token, product };
        let environment = environment(self.purchase.test_purchase.is_some());
        let mut now =
            self.word.observation(self.word.key(environment, place), self.hint(item), self.at(), self.facets(item));
        now.replaces = self.former.map(|token| Place { token, product }.id());
        if is_main && let Some(refund) = self.refund().filter(|refund| !refund.partial) {
            let is_older = order_of(item) != Some(refund.order.as_str());
            now.about_transaction = is_older.then(|| refund.order.clone());
        }
        let lapsed = self.end_of_the_former(is_main).map(|(at, facets)| {
            let hint = Hint::Expired;
            Observation { hint, facets, origin: Origin::Notification, observed_at: at, ..now.clone() }
        });
        let before = self.start_of_what_is_over(item).map(|facets| {
            let hint = self.hint_of_purchase(item);
            Observation { hint, facets, origin: Origin::Notification, ..now.clone() }
        });
        if before.is_some() {
            // The notice was of the start; what came after it is the answer's.
            let end = self.end_of_renewal().unwrap_or(self.word.at);
            now.observed_at = end;
            now.hint = if self.state == State::Expired { Hint::Expired } else { Hint::RenewalDisabled };
        }
        lapsed.into_iter().chain(before).chain([now]).collect()
    }

    /// What was bought again in Google's own shop had expired before: the context names the expired token. Who never heard of
    /// that end hears of it here.
    fn end_of_the_former(&self, is_main: bool) -> Option<(Timestamp, Facets)> {
        let context = self.purchase.out_of_app_purchase_context.as_ref().filter(|_| is_main)?;
        let former = context.expired_purchase_token.as_deref();
        let at = self.purchase.start_time.filter(|_| former.is_some() && former == self.former)?.minus(A_MOMENT);
        let stamp = Stamp { as_of: at, origin: Origin::Notification, by: self.token.into() };
        let facets = Facets { standing: Some(Dated { value: Standing::Expired, stamp }), ..Facets::default() };
        Some((at, facets))
    }

    /// When what the answer says came about, where it is over with or will be.
    fn end_of_renewal(&self) -> Option<Timestamp> {
        if self.state == State::Expired {
            return self.main()?.expiry_time.map(|ended| ended.min(self.word.at));
        }
        self.purchase.canceled_state_context.as_ref()?.user_initiated_cancellation.as_ref()?.cancel_time
    }

    /// A notice of a purchase whose answer came so late that renewal is off, or all is over, still says that it was
    /// bought, as long as the answer speaks of the first period.
    fn start_of_what_is_over(&self, item: &LineItem) -> Option<Facets> {
        let About::Told { number: 4, at } = self.context.about else { return None };
        let is_first = order_of(item).is_some_and(|order| !order.contains(".."));
        if !is_first || self.is_replaced() || !matches!(self.state, State::Cancelled | State::Expired) {
            return None;
        }
        let stamp = Stamp { as_of: at, origin: Origin::Notification, by: self.token.into() };
        let mut facets = Facets {
            kind: Some(self.word.dated(Kind::Subscription)),
            standing: Some(Dated { value: Standing::Active, stamp: stamp.clone() }),
            ..Facets::default()
        };
        self.tell_plan(item, &mut facets);
        self.tell_owner(&mut facets);
        facets.cancel_reason = None;
        facets.will_renew = item.auto_renewing_plan.as_ref().map(|_| Dated { value: true, stamp: stamp.clone() });
        facets.period = self.period(item).map(|value| Dated { value, stamp });
        self.tell_terms(item, &mut facets);
        Some(facets)
    }

    fn hint(&self, item: &LineItem) -> Hint {
        if self.is_replaced() {
            return Hint::Replaced;
        }
        if let Some(refund) = self.refund() {
            return if refund.requested { Hint::RefundRequested } else { Hint::Refunded };
        }
        let is_over = self.state == State::Expired;
        match self.number() {
            Some(4) => self.hint_of_purchase(item),
            Some(2) if self.is_deferred_change(item) => Hint::Downgraded,
            Some(2) => Hint::Renewed,
            Some(1) => Hint::Recovered,
            Some(3) if is_over || self.state == State::Cancelled => Hint::RenewalDisabled,
            Some(18) => Hint::RenewalDisabled,
            Some(7) => Hint::RenewalEnabled,
            Some(6) => Hint::GraceStarted,
            Some(5) => Hint::BillingRetryStarted,
            Some(11) if matches!(self.state, State::Active | State::Cancelled) => Hint::PauseScheduled,
            Some(10) => Hint::Paused,
            Some(9) => Hint::Extended,
            Some(12) if is_over => Hint::Revoked,
            Some(13) if is_over => Hint::Expired,
            Some(8 | 19 | 22) => Hint::PriceIncrease,
            Some(_) | None => Hint::Answered,
        }
    }

    fn hint_of_purchase(&self, item: &LineItem) -> Hint {
        if item.deferred_item_replacement.is_some() {
            return Hint::ProductChangeScheduled;
        }
        // The token before it was not known: what is bought is no start, but a change or a renewal of it.
        match (&self.context.former_product, product_of(item)) {
            (Some(former), Some(product)) if *former != product => Hint::ProductChanged,
            (Some(_), _) if item.prepaid_plan.is_some() => Hint::Renewed,
            (Some(_), _) => Hint::RenewalEnabled,
            (None, _) if self.purchase.linked_purchase_token.is_some() => self.hint_of_replacement(item),
            (None, _) => Hint::Purchased,
        }
    }

    /// A linked token takes the place of one that still ran: whatever was not heard of before, nothing had lapsed.
    fn hint_of_replacement(&self, item: &LineItem) -> Hint {
        match &item.item_replacement {
            Some(_) if !self.is_signed_up_again(item) => Hint::ProductChanged,
            _ if item.prepaid_plan.is_some() => Hint::Renewed,
            // Without a word of what it replaced it may be another plan: comparing says so.
            _ => Hint::RenewalEnabled,
        }
    }

    /// The renewal with which a deferred change took effect: the first order of its token. ASSUMPTION: such a change is a
    /// downgrade, as Google advises it for those; a rank in the catalogue says better.
    fn is_deferred_change(&self, item: &LineItem) -> bool {
        let mode = item.item_replacement.as_ref().and_then(|replaced| replaced.replacement_mode.as_deref());
        mode == Some("DEFERRED") && order_of(item).is_some_and(|order| !order.contains(".."))
    }

    // Facets.

    fn facets(&self, item: &LineItem) -> Facets {
        let mut facets = Facets {
            kind: Some(self.word.dated(Kind::Subscription)),
            standing: Some(self.word.dated(self.state.standing())),
            ..Facets::default()
        };
        self.tell_plan(item, &mut facets);
        self.tell_end(item, &mut facets);
        self.tell_trouble(item, &mut facets);
        self.tell_pending(item, &mut facets);
        self.tell_price_increase(item, &mut facets);
        self.tell_owner(&mut facets);
        self.tell_period(item, &mut facets);
        self.tell_refund(item, &mut facets);
        facets
    }

    fn tell_plan(&self, item: &LineItem, facets: &mut Facets) {
        facets.product = product_of(item).map(|product| self.word.dated(product));
        if self.state.is_unpaid() || (item.auto_renewing_plan.is_none() && item.prepaid_plan.is_none()) {
            return;
        }
        // The flag is missing when renewal is off.
        let will_renew = item.auto_renewing_plan.as_ref().is_some_and(|plan| {
            let ends = plan.installment_details.as_ref().is_some_and(|plan| plan.pending_cancellation.is_some());
            plan.auto_renew_enabled && !ends && item.deferred_item_removal.is_none()
        });
        facets.will_renew = Some(self.word.dated(will_renew));
        let is_cancelled = !will_renew && item.prepaid_plan.is_none();
        facets.cancel_reason = Some(self.word.dated(is_cancelled.then(|| self.reason(item))));
    }

    /// Who ended it. ASSUMPTION: instalments and items that will end say so by the customer's wish.
    fn reason(&self, item: &LineItem) -> Reason {
        let Some(context) = &self.purchase.canceled_state_context else {
            return if self.state == State::Expired { Reason::Unknown } else { Reason::Unsubscribe };
        };
        let plan = item.auto_renewing_plan.as_ref();
        let refused_price = plan
            .and_then(|plan| plan.price_change_details.as_ref())
            .is_some_and(|change| change.price_change_state.as_deref() == Some("CANCELED"));
        match context {
            context if context.user_initiated_cancellation.is_some() => Reason::Unsubscribe,
            context if context.developer_initiated_cancellation.is_some() => Reason::DeveloperInitiated,
            context if context.system_initiated_cancellation.is_some() => {
                // ASSUMPTION: Google ends what was not agreed to in its own name.
                if refused_price { Reason::PriceIncrease } else { Reason::BillingError }
            }
            _ => Reason::Unknown,
        }
    }

    fn tell_end(&self, item: &LineItem, facets: &mut Facets) {
        if self.state == State::Expired {
            facets.expiration_reason = Some(self.word.dated(Some(self.reason(item))));
        }
    }

    fn tell_trouble(&self, item: &LineItem, facets: &mut Facets) {
        let in_trouble = matches!(self.state, State::Grace | State::Hold);
        facets.billing_retry = Some(self.word.dated(in_trouble));
        // In grace the expiry is the end of the grace period already.
        let grace = item.expiry_time.filter(|_| self.state == State::Grace);
        facets.grace_ends_at = Some(self.word.dated(grace));
        let begins_period = matches!(self.number(), Some(1 | 2));
        // ASSUMPTION: a change of the plan makes one, the next withdraws it; no field says which.
        if let About::Told { number: 11, at } = self.context.about
            && matches!(self.state, State::Active | State::Cancelled)
        {
            facets.pause_changed_at.insert(at);
        }
        if self.state == State::Paused {
            let resumes_at = self.purchase.paused_state_context.as_ref().and_then(|context| context.auto_resume_time);
            facets.pause = Some(self.word.dated(Some(Pause { starts_at: None, resumes_at })));
        } else if self.state == State::Expired {
            facets.pause = Some(self.word.dated(None));
        } else if let About::Told { at, .. } = self.context.about
            && begins_period
        {
            // It was paid for then, so none ran; what was planned after that counts.
            let stamp = Stamp { as_of: at, origin: Origin::Notification, by: self.token.into() };
            facets.pause = Some(Dated { value: None, stamp });
        }
    }

    fn tell_pending(&self, item: &LineItem, facets: &mut Facets) {
        if self.state.is_unpaid() {
            return;
        }
        let named = item.deferred_item_replacement.as_ref().and_then(|next| next.product_id.as_deref());
        let pending = named.map(|named| {
            // The product that comes may stand there already, with its plan and without an end.
            let items = self.purchase.line_items.iter();
            let whole = items.filter(|other| !std::ptr::eq(*other, item)).find(|other| is_of(other, named));
            let product_id = whole.and_then(product_of).unwrap_or_else(|| named.to_owned());
            PendingProduct { product_id, effective_at: None }
        });
        facets.pending = Some(self.word.dated(pending));
    }

    fn tell_price_increase(&self, item: &LineItem, facets: &mut Facets) {
        let Some(plan) = &item.auto_renewing_plan else { return };
        let money = |amount: &Option<Amount>| amount.as_ref().and_then(Amount::money);
        let consent = |state: Option<&str>| match state {
            Some("OUTSTANDING" | "PENDING") => Some(Consent::Pending),
            Some("CONFIRMED") => Some(Consent::Accepted),
            Some(_) | None => None,
        };
        let is_decrease = |change: &&PriceChangeDetails| change.price_change_mode.as_deref() == Some("PRICE_DECREASE");
        let change = plan.price_change_details.as_ref().filter(|change| !is_decrease(change)).and_then(|change| {
            let consent = consent(change.price_change_state.as_deref())?;
            let effective_at = change.expected_new_price_charge_time;
            Some(PriceIncrease { consent, new_price: money(&change.new_price), effective_at })
        });
        // ASSUMPTION: a step up of the price is agreed to like an increase.
        let step_up = plan.price_step_up_consent_details.as_ref().and_then(|step| {
            let consent = consent(step.state.as_deref())?;
            Some(PriceIncrease { consent, new_price: money(&step.new_price), effective_at: step.consent_deadline_time })
        });
        facets.price_increase = Some(self.word.dated(change.or(step_up)));
    }

    fn tell_owner(&self, facets: &mut Facets) {
        let told = self.purchase.external_account_identifiers.as_ref().and_then(|ids| ids.owner());
        let former = || {
            let context = self.purchase.out_of_app_purchase_context.as_ref()?;
            context.expired_external_account_identifiers.as_ref()?.owner()
        };
        facets.owner = told.or_else(former).map(|owner| self.word.dated(Some(owner.to_owned())));
        let country = self.purchase.region_code.as_deref().filter(|code| code.len() == 2);
        facets.country = country.map(|country| self.word.dated(Some(country.to_ascii_uppercase())));
    }

    /// The period that was paid for last. Google gives no start of a renewal: the token's own start is a moment before it.
    fn period(&self, item: &LineItem) -> Option<Period> {
        let (starts_at, ends_at) = (self.purchase.start_time?, item.expiry_time?);
        let transaction_id = order_of(item).map(str::to_owned);
        (ends_at > starts_at).then_some(Period { transaction_id, starts_at, ends_at: Some(ends_at) })
    }

    /// In trouble and in a pause the expiry is no period's end. While a change is deferred, the period is still that of the
    /// token before. ASSUMPTION: where the item names the order of that, it is the one that paid for it, because nothing is
    /// charged before the change takes effect; where it names none, only the token before can say it.
    fn tell_period(&self, item: &LineItem, facets: &mut Facets) {
        let says_period = matches!(self.state, State::Active | State::Cancelled | State::Expired);
        let is_deferred = item.deferred_item_replacement.is_some();
        if !says_period || (is_deferred && order_of(item).is_none()) {
            return;
        }
        if is_deferred {
            facets.period = self.period(item).map(|period| self.word.dated(period));
            facets.start_is_bound = facets.period.as_ref().map(|_| self.word.dated(true));
            let terms = self.terms(item);
            facets.period_type = Some(self.word.dated(terms.period_type));
            facets.offer = Some(self.word.dated(terms.offer));
            return;
        }
        facets.period = self.period(item).map(|period| self.word.dated(period));
        // The first order of a deferred change pays from the end of the period before, not from the token's start on.
        let is_renewed = order_of(item).is_some_and(|order| order.contains("..")) || self.is_deferred_change(item);
        facets.start_is_bound = facets.period.as_ref().map(|_| self.word.dated(is_renewed));
        if self.state != State::Expired {
            self.tell_terms(item, facets);
        }
    }

    /// What the period costs. A predecessor that nobody asked about before is no news: nothing was heard of its money.
    fn tell_terms(&self, item: &LineItem, facets: &mut Facets) {
        let terms = self.terms(item);
        facets.period_type = Some(self.word.dated(terms.period_type));
        facets.offer = Some(self.word.dated(terms.offer));
        let Some(order) = order_of(item) else { return };
        let price = terms.price.filter(|_| self.context.about != About::Replaced);
        if let Some(price) = price {
            let facts = facets.transactions.entry(order.to_owned()).or_default();
            facts.price = Some(self.word.dated(Some(price)));
        }
    }

    fn terms(&self, item: &LineItem) -> Terms {
        let details = item.offer_details.as_ref();
        let offer_id = details.and_then(|details| details.offer_id.clone()).filter(|id| wire::is_id(id));
        let is_first = order_of(item).is_none_or(|order| !order.contains(".."));
        let is_relinked = is_first && self.is_signed_up_again(item);
        let recurring = item.auto_renewing_plan.as_ref().and_then(|plan| plan.recurring_price.as_ref());
        let recurring = recurring.and_then(Amount::money);
        let phase = item.offer_phase.as_ref();
        let is_trial = phase.is_some_and(|phase| phase.free_trial.is_some())
            || (phase.is_none() && is_first && self.is_trial_offer(offer_id.as_deref()));
        let is_intro = phase.is_some_and(|phase| phase.introductory_price.is_some());
        let promotion = item.signup_promotion.as_ref();
        let offer = |offer_type: OfferType| {
            let code = promotion.and_then(|promotion| promotion.vanity_code.as_ref()?.promotion_code.clone());
            let code = code.filter(|code| wire::is_short(code));
            let by_code = promotion.is_some() && is_first;
            let offer_type = if by_code { OfferType::PromoCode } else { offer_type };
            Some(Offer { offer_type, id: offer_id.clone(), code: code.filter(|_| by_code) })
        };
        let (period_type, offer, price) = match () {
            () if is_trial => (PeriodType::Trial, offer(OfferType::FreeTrial), None),
            () if is_intro && promotion.is_some() && is_first => (PeriodType::Promo, offer(OfferType::PromoCode), None),
            () if is_intro => (PeriodType::Intro, offer(OfferType::IntroOffer), None),
            () if item.prepaid_plan.is_some() => (PeriodType::Prepaid, None, None),
            () if phase.is_some_and(|phase| phase.proration_period.is_some()) => (PeriodType::Normal, None, None),
            // Who signs up again before the end pays when that comes: only the order says whether anything was charged now.
            () if is_relinked => (PeriodType::Normal, None, None),
            () if phase.is_some_and(|phase| phase.base_price.is_some()) => (PeriodType::Normal, None, recurring),
            // Without a phase: the regular price, unless an offer may have changed it.
            () => (PeriodType::Normal, None, recurring.filter(|_| offer_id.is_none() || !is_first)),
        };
        Terms { period_type, offer, price, asks_price: price.is_none() && !is_trial }
    }

    /// A running subscription was bought once more, as it was: the token replaced another, and nothing of the plan.
    fn is_signed_up_again(&self, item: &LineItem) -> bool {
        let same = |replaced: &ItemReplacement| {
            replaced.product_id == item.product_id
                && replaced.base_plan_id == item.offer_details.as_ref().and_then(|offer| offer.base_plan_id.clone())
        };
        self.purchase.linked_purchase_token.is_some() && item.item_replacement.as_ref().is_none_or(same)
    }

    fn is_trial_offer(&self, offer_id: Option<&str>) -> bool {
        offer_id.is_some_and(|id| self.word.reader.policy.trial_offers.contains(id))
    }

    /// Money that went back: told by its own notification or list, or as a revocation. The number says "revoked", never
    /// the context beside it, which names a customer or the system.
    fn tell_refund(&self, item: &LineItem, facets: &mut Facets) {
        let is_main = self.main().is_some_and(|main| std::ptr::eq(main, item));
        let mut add = |refund: &Refund, revokes: bool| {
            let facts = facets.transactions.entry(refund.order.clone()).or_default();
            let (id, fact) = refund_fact(refund, revokes);
            facts.refunds.insert(id, fact);
        };
        match &self.context.about {
            About::Told { number: 12, at } if self.state == State::Expired => {
                let Some(order) = order_of(item) else {
                    facets.standing = Some(self.word.dated(Standing::Revoked));
                    return;
                };
                let order = order.to_owned();
                let refund = Refund { order, at: *at, requested: false, partial: false, of_either: false, key: None };
                add(&refund, true);
            }
            About::Refund(refund) if is_main && !refund.partial => add(refund, self.ends_with(item, refund)),
            _ => {} // nothing else speaks of money that went back
        }
    }

    /// Whether a refund is what ended the subscription: it is of the last order, and the end came with it. A token that another
    /// replaced was ended by that.
    fn ends_with(&self, item: &LineItem, refund: &Refund) -> bool {
        let is_last = order_of(item) == Some(refund.order.as_str());
        let ended = item.expiry_time.is_some_and(|ended| {
            let length = self.purchase.start_time.map_or(Duration::ZERO, |from| ended.since(from));
            ended <= refund.at.plus(ENDS_WITH_REFUND.min(length / ENDS_WITH_REFUND_PART))
        });
        is_last && !refund.requested && self.state == State::Expired && !self.is_replaced() && ended
    }

    // What else has to be asked.

    fn lookups(&self, main: &LineItem) -> Vec<Lookup> {
        let mut lookups = Vec::new();
        let is_paid = matches!(self.state, State::Active | State::Cancelled | State::Grace);
        let product = main.product_id.clone().unwrap_or_default();
        let environment = environment(self.purchase.test_purchase.is_some());
        let key = self.word.key(environment, Place { token: self.token, product: None });
        let is_open = self.purchase.acknowledgement_state.as_deref() == Some("ACKNOWLEDGEMENT_STATE_PENDING");
        if is_open && is_paid && self.word.reader.policy.acknowledge && self.context.about != About::Replaced {
            let about = About::Acknowledge { product: product.clone(), renews: true };
            let why = "Google takes back what nobody acknowledges within three days";
            lookups.push(Wanted::Acknowledge(self.token).lookup(&Context::of(about), why));
        }
        if let Some(order) = order_of(main).filter(|_| is_paid && self.begins_period())
            && main.deferred_item_replacement.is_none()
            && self.terms(main).asks_price
        {
            let about = About::Price { key: key.clone(), product, renews: true };
            lookups.push(Wanted::Order(order).lookup(&Context::of(about), "what was paid"));
        }
        if let Some(refund) = self.refund().filter(|refund| refund.partial && wire::is_id(&refund.order)) {
            let about = About::Refund(Refund { key: Some(key), ..refund.clone() });
            lookups.push(Wanted::Order(&refund.order).lookup(&Context::of(about), "how much went back"));
        }
        lookups
    }

    /// What spoke says that something was paid just now, or nobody spoke of it.
    fn begins_period(&self) -> bool {
        matches!(self.context.about, About::Told { number: 1 | 2 | 4, .. } | About::Claimed { .. } | About::Asked)
    }

    /// The token before this one, where nobody knows it: it is asked for before this one counts.
    fn asks_first(&self) -> Option<Box<Lookup>> {
        let former = self.former.filter(|_| !self.context.walked && self.context.waiting.len() < MAX_CHAIN)?;
        let mut waiting = self.context.waiting.clone();
        waiting.push(Waiting { token: self.token.to_owned(), about: self.context.about.clone() });
        let context = Context { waiting, ..Context::of(About::Replaced) };
        let environment = environment(self.purchase.test_purchase.is_some());
        let unless_known = Some(self.word.key(environment, Place { token: former, product: None }));
        let lookup = Wanted::Subscription(former).lookup(&context, "it was replaced, and nobody has told of it");
        Some(Box::new(Lookup { unless_known, ..lookup }))
    }
}

/// The order that paid for the period.
fn order_of(item: &LineItem) -> Option<&str> {
    item.latest_successful_order_id.as_deref().filter(|order| wire::is_id(order))
}
