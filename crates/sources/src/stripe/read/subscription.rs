//! The subscription: the one object that says all about how a purchase stands. Also its schedule, which says what comes.

use super::{About, Rank, Word, invoice, lookup};
use crate::stripe::PastDueAccess;
use crate::stripe::ask::Wanted;
use crate::stripe::wire::{self, Event, Object, Running};
use crate::{Note, Reading};
use paidup_lifecycle::observation::{
    Dated, Facets, Hint, Kind, Offer, OfferType, Pause, PendingProduct, Period, PeriodType, Reason, Standing,
};
use paidup_lifecycle::time::Timestamp;
use std::time::Duration;

/// What spoke of the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Created,
    Updated,
    Deleted,
    Paused,
    Resumed,
    Answer,
}

/// A subscription in the words of one event or answer.
struct Told<'a, 'r> {
    word: &'a Word<'r>,
    subscription: Object<'a>,
    cause: Cause,
    /// What changed, in an update.
    previous: Option<Object<'a>>,
    by_request: bool,
}

/// An event about a subscription.
pub(super) fn event(word: &Word<'_>, event: &Event<'_>, subscription: Object<'_>) -> Reading {
    let cause = match event.kind() {
        "customer.subscription.created" => Cause::Created,
        "customer.subscription.deleted" => Cause::Deleted,
        "customer.subscription.paused" => Cause::Paused,
        "customer.subscription.resumed" => Cause::Resumed,
        _ => Cause::Updated,
    };
    let Some(id) = subscription.id() else { return Reading::noted(Note::Unknown) };
    let told = Told { word, subscription, cause, previous: event.previous(), by_request: event.has_request() };
    let mut observation = word.observation(id, told.hint(), told.facets());
    if cause == Cause::Deleted {
        // `canceled_at` is when it was asked for.
        observation.observed_at = subscription.time("ended_at").unwrap_or(word.at).min(word.at);
    }
    let mut reading = Reading::observed(observation);
    let is_owned = word.reader.policy.customer(subscription).is_some();
    let is_asked = word.reader.policy.asks && cause == Cause::Created && !is_owned;
    if let Some(customer) = subscription.id_of("customer").filter(|_| is_asked) {
        let context = word.context(About::Subscription { id: id.to_owned() });
        reading.lookups.push(lookup(Wanted::Customer(customer), context, "whose customer it is"));
    }
    reading
}

/// A subscription as Stripe's API answered, with its latest invoice where that came along.
pub(super) fn answer(word: &Word<'_>, subscription: Object<'_>) -> Reading {
    let Some(id) = subscription.id() else { return Reading::noted(Note::Unknown) };
    let told = Told { word, subscription, cause: Cause::Answer, previous: None, by_request: false };
    let mut reading = Reading::observed(word.observation(id, Hint::Answered, told.facets()));
    match subscription.object("latest_invoice") {
        Some(latest) => reading.observations.extend(invoice::observation_of_answer(word, latest)),
        None => {
            if let Some(latest) = subscription.id_of("latest_invoice") {
                let context = word.context(About::Subscription { id: id.to_owned() });
                reading.lookups.push(lookup(Wanted::Invoice(latest), context, "what the running period cost"));
            }
        }
    }
    reading
}

impl Told<'_, '_> {
    fn status(&self) -> &str {
        match self.cause {
            // The event says it, whatever the object does.
            Cause::Deleted => "canceled",
            Cause::Created | Cause::Updated | Cause::Paused | Cause::Resumed | Cause::Answer => {
                self.subscription.text("status").unwrap_or_default()
            }
        }
    }

    fn was(&self) -> Option<&str> {
        self.previous?.text("status")
    }

    fn changed(&self, names: &[&str]) -> bool {
        self.previous.is_some_and(|previous| names.iter().any(|name| previous.0.get(name).is_some()))
    }

    /// The order of this word among those of its second.
    fn rank(&self, names: &[&str]) -> Rank {
        match self.cause {
            Cause::Deleted => Rank::Final,
            Cause::Created => Rank::Made,
            Cause::Answer | Cause::Paused | Cause::Resumed => Rank::Changed,
            Cause::Updated if self.changed(names) => Rank::Changed,
            Cause::Updated => Rank::Repeated,
        }
    }

    fn facets(&self) -> Facets {
        let running = wire::running(self.subscription);
        let mut facets = Facets { kind: Some(self.word.dated(Rank::Made, Kind::Subscription)), ..Facets::default() };
        self.tell_period(running.as_ref(), &mut facets);
        self.tell_standing(running.as_ref(), &mut facets);
        self.tell_renewal(&mut facets);
        self.tell_pending(&mut facets);
        self.tell_owner(&mut facets);
        facets
    }

    /// Items change with the period since basil, and with the price always.
    const PERIOD: [&'static str; 5] = ["current_period_start", "current_period_end", "items", "trial_end", "plan"];

    fn tell_period(&self, running: Option<&Running<'_>>, facets: &mut Facets) {
        let rank = self.rank(&Self::PERIOD);
        if let Some(running) = running {
            let period = Period { transaction_id: None, starts_at: running.starts_at, ends_at: Some(running.ends_at) };
            facets.period = Some(self.word.dated(rank, period));
        }
        let price = self.subscription.list("items").next().and_then(wire::price_of);
        let price = price.or_else(|| self.subscription.id_of("plan"));
        facets.product = price.map(|price| self.word.dated(rank, price.to_owned()));
        // A trial's own period ends with it; the status tells that only as long as it runs.
        let is_trial = self.status() == "trialing"
            || running.is_some_and(|running| self.subscription.time("trial_end") >= Some(running.ends_at));
        let discount = self.discount();
        let (period_type, offer) = match (is_trial, discount) {
            (true, _) => (PeriodType::Trial, Some(Offer { offer_type: OfferType::FreeTrial, id: None, code: None })),
            (false, Some(offer)) => (PeriodType::Promo, Some(offer)),
            (false, None) => (PeriodType::Normal, None),
        };
        facets.period_type = Some(self.word.dated(rank, period_type));
        facets.offer = Some(self.word.dated(rank, offer));
    }

    /// ASSUMPTION: a coupon or promotion code on the subscription is a promo code in use.
    fn discount(&self) -> Option<Offer> {
        let runs = |discount: &wire::Discount<'_>| discount.end.is_none_or(|end| end > self.word.at);
        let discount = wire::discounts(self.subscription).into_iter().find(runs)?;
        Some(Offer {
            offer_type: OfferType::PromoCode,
            id: discount.id.map(str::to_owned),
            code: discount.code.map(str::to_owned),
        })
    }

    fn tell_standing(&self, running: Option<&Running<'_>>, facets: &mut Facets) {
        let rank = self.rank(&["status", "pause_collection"]);
        let access_ends_at = self.access_ends_at(running);
        let Some(standing) = self.standing(access_ends_at) else { return };
        facets.billing_retry = Some(self.word.dated(rank, matches!(self.status(), "past_due" | "unpaid")));
        match standing {
            Standing::Grace if access_ends_at.is_some() => {
                facets.grace_ends_at = Some(self.word.dated(rank, access_ends_at));
            }
            // The invoice's failed attempt says when Stripe tries next.
            Standing::Grace => {}
            Standing::Pending
            | Standing::Active
            | Standing::BillingRetry
            | Standing::Paused
            | Standing::Expired
            | Standing::Revoked => facets.grace_ends_at = Some(self.word.dated(rank, None)),
        }
        if matches!(standing, Standing::Expired | Standing::Revoked) {
            facets.expiration_reason = Some(self.word.dated(rank, Some(self.reason_of_end())));
        }
        let is_paused = self.tell_pause(running, rank, facets);
        // Stripe says `active` all through a pause of the collection: that would end it.
        if !(is_paused && standing == Standing::Active) {
            facets.standing = Some(self.word.dated(rank, standing));
        }
    }

    /// Until when access is kept while past due, where the operator set a length.
    fn access_ends_at(&self, running: Option<&Running<'_>>) -> Option<Timestamp> {
        let days = self.word.reader.policy.past_due_days?;
        let due_at = running.map_or(self.word.at, |running| running.starts_at);
        Some(due_at.plus(Duration::from_secs(u64::from(days) * 86_400)))
    }

    fn standing(&self, access_ends_at: Option<Timestamp>) -> Option<Standing> {
        let is_over = access_ends_at.is_some_and(|end| end <= self.word.at);
        Some(match self.status() {
            "incomplete" => Standing::Pending,
            "trialing" | "active" => Standing::Active,
            "past_due" if self.word.reader.policy.past_due_access == PastDueAccess::Drop || is_over => {
                Standing::BillingRetry
            }
            "past_due" => Standing::Grace,
            "unpaid" => Standing::BillingRetry,
            "paused" => Standing::Paused,
            "incomplete_expired" => Standing::Expired,
            // ASSUMPTION: what a dispute ended is taken back, not merely over.
            "canceled" if self.cancellation() == Some("payment_disputed") => Standing::Revoked,
            "canceled" => Standing::Expired,
            // A status of the future changes nothing until this version knows it.
            _ => return None,
        })
    }

    /// A pause of the collection that voids invoices is a pause of the service from the end of the period on in which it
    /// was set (ASSUMPTION; the other behaviours change no access). Says whether the standing is to be left as it is:
    /// an event that only repeats the pause does not tell when it was set.
    fn tell_pause(&self, running: Option<&Running<'_>>, rank: Rank, facets: &mut Facets) -> bool {
        let pause = self.subscription.object("pause_collection");
        let Some(pause) = pause.filter(|pause| pause.text("behavior") == Some("void")) else {
            facets.pause = Some(self.word.dated(rank, None));
            return false;
        };
        let Some(running) = running else { return true };
        let is_set_now = self.cause == Cause::Created || self.changed(&["pause_collection"]);
        let starts_at = match () {
            () if is_set_now => running.ends_at,
            () if self.period_moved() => running.starts_at,
            () => return true,
        };
        let pause = Pause { starts_at: Some(starts_at), resumes_at: pause.time("resumes_at") };
        facets.pause = Some(self.word.dated(rank, Some(pause)));
        if !is_set_now {
            // Told together with the pause, `active` does not end it.
            facets.standing = Some(self.word.dated(rank, Standing::Active));
        }
        !is_set_now
    }

    /// The update is (also) of a new period.
    fn period_moved(&self) -> bool {
        let Some(previous) = self.previous else { return false };
        let of_item = |object: Object<'_>| object.list("items").find_map(|item| item.time("current_period_start"));
        let starts = |object: Object<'_>| object.time("current_period_start").or_else(|| of_item(object));
        let (before, now) = (starts(previous), starts(self.subscription));
        before.is_some() && before < now
    }

    fn price_changed(&self) -> bool {
        let price = |object: Object<'_>| {
            let of_items = object.list("items").next().and_then(wire::price_of);
            of_items.or_else(|| object.id_of("plan")).map(str::to_owned)
        };
        let before = self.previous.and_then(price);
        before.is_some() && before != price(self.subscription)
    }

    fn tell_renewal(&self, facets: &mut Facets) {
        let rank = self.rank(&["cancel_at_period_end", "cancel_at"]);
        let ends = matches!(self.status(), "canceled" | "incomplete_expired");
        let will_renew = !(ends || self.subscription.is("cancel_at_period_end") || self.subscription.has("cancel_at"));
        facets.will_renew = Some(self.word.dated(rank, will_renew));
        let reason = (!will_renew).then(|| if ends { self.reason_of_end() } else { self.reason_of_switch() });
        facets.cancel_reason = Some(self.word.dated(rank, reason));
    }

    fn cancellation(&self) -> Option<&str> {
        self.subscription.object("cancellation_details")?.text("reason")
    }

    /// ASSUMPTION: who switches renewal off and gives no reason is the customer.
    fn reason_of_switch(&self) -> Reason {
        self.cancellation().map_or(Reason::Unsubscribe, reason)
    }

    fn reason_of_end(&self) -> Reason {
        match self.cancellation() {
            Some(told) => reason(told),
            None if self.subscription.is("cancel_at_period_end") => Reason::Unsubscribe,
            // ASSUMPTION: ended by a call, without a customer's request.
            None if self.by_request => Reason::DeveloperInitiated,
            None => Reason::Unknown,
        }
    }

    /// A price that waits: for its payment (`pending_update`), or in a schedule, which has events of its own.
    fn tell_pending(&self, facets: &mut Facets) {
        let rank = self.rank(&["pending_update", "schedule"]);
        let now = self.subscription.list("items").next().and_then(wire::price_of);
        let waiting = self.subscription.object("pending_update");
        let next = waiting.and_then(|update| update.list("subscription_items").next()).and_then(wire::price_of);
        match next.filter(|next| Some(*next) != now) {
            Some(next) => {
                let pending = PendingProduct { product_id: next.to_owned(), effective_at: None };
                facets.pending = Some(self.word.dated(rank, Some(pending)));
            }
            None if self.subscription.has("schedule") => {}
            None => facets.pending = Some(self.word.dated(rank, None)),
        }
    }

    fn tell_owner(&self, facets: &mut Facets) {
        let policy = self.word.reader.policy;
        let in_customer = || self.subscription.object("customer").and_then(|customer| policy.customer(customer));
        facets.owner = if let Some(owner) = policy.customer(self.subscription) {
            Some(self.word.dated(self.rank(&["metadata"]), Some(owner.to_owned())))
        } else if let Some(owner) = in_customer() {
            Some(self.word.by_reference(owner))
        } else {
            self.subscription.id_of("customer").map(|customer| self.word.by_customer(customer))
        };
    }

    fn hint(&self) -> Hint {
        match self.cause {
            Cause::Created => Hint::Purchased,
            Cause::Deleted => Hint::Expired,
            Cause::Paused => Hint::Paused,
            Cause::Resumed => Hint::Resumed,
            Cause::Answer => Hint::Answered,
            Cause::Updated => self.hint_of_update(),
        }
    }

    fn hint_of_update(&self) -> Hint {
        match (self.was(), self.status()) {
            (Some("incomplete"), "active" | "trialing") => return Hint::Purchased,
            (Some("past_due" | "unpaid"), "active") => return Hint::Recovered,
            (Some("paused"), "active" | "trialing") => return Hint::Resumed,
            (Some(_), "past_due") => return Hint::GraceStarted,
            (Some(_), "unpaid") => return Hint::BillingRetryStarted,
            (Some(_), "paused") => return Hint::Paused,
            (Some(_), "canceled") => return Hint::Expired,
            (_, _) => {}
        }
        if self.price_changed() {
            Hint::ProductChanged
        } else if self.period_moved() {
            Hint::Renewed
        } else if self.changed(&["cancel_at_period_end", "cancel_at"]) {
            let off = self.subscription.is("cancel_at_period_end") || self.subscription.has("cancel_at");
            if off { Hint::RenewalDisabled } else { Hint::RenewalEnabled }
        } else if self.changed(&["pause_collection"]) {
            if self.subscription.has("pause_collection") { Hint::PauseScheduled } else { Hint::PauseCancelled }
        } else if self.changed(&["pending_update"]) {
            let waits = self.subscription.has("pending_update");
            if waits { Hint::ProductChangeScheduled } else { Hint::ProductChangeCancelled }
        } else if self.changed(&["trial_end"]) {
            Hint::Extended
        } else {
            Hint::Answered
        }
    }
}

/// Stripe's reasons in RevenueCat's words.
fn reason(told: &str) -> Reason {
    match told {
        "cancellation_requested" => Reason::Unsubscribe,
        "payment_failed" => Reason::BillingError,
        "payment_disputed" => Reason::CustomerSupport,
        "canceled_by_retention_policy" => Reason::DeveloperInitiated,
        _ => Reason::Unknown,
    }
}

/// A schedule: the price of its next phase is what will be in force. One that is over schedules nothing.
pub(super) fn schedule(word: &Word<'_>, schedule: Object<'_>) -> Reading {
    let of = schedule.id_of("subscription").or_else(|| schedule.id_of("released_subscription"));
    let Some(of) = of else { return Reading::noted(Note::Informative) };
    let is_over = matches!(schedule.text("status"), Some("released" | "canceled" | "completed"));
    let pending = next_phase(schedule).filter(|_| !is_over);
    let hint = if pending.is_some() { Hint::ProductChangeScheduled } else { Hint::ProductChangeCancelled };
    let dated: Dated<Option<PendingProduct>> = word.dated(Rank::Changed, pending);
    let facets = Facets { pending: Some(dated), ..Facets::default() };
    Reading::observed(word.observation(of, hint, facets))
}

fn next_phase(schedule: Object<'_>) -> Option<PendingProduct> {
    let current_ends_at = schedule.object("current_phase")?.time("end_date")?;
    let price = |phase: Object<'_>| phase.list("items").next().and_then(wire::price_of).map(str::to_owned);
    let starts_at = |phase: &Object<'_>| phase.time("start_date");
    let current = schedule.list("phases").filter(|phase| starts_at(phase) < Some(current_ends_at)).last();
    let next = schedule.list("phases").find(|phase| starts_at(phase) >= Some(current_ends_at))?;
    let product_id = price(next)?;
    let is_other = current.and_then(price).is_none_or(|now| now != product_id);
    is_other.then(|| PendingProduct { product_id, effective_at: next.time("start_date") })
}
