//! The decision: pure, run by the store inside its transaction. Each command is worked out on a [`Work`], which holds
//! what changed so far, so that the second notification of a request sees what the first one did.

use super::command::{Abilities, Command, Input as JournalInput};
use super::followers;
use super::owners::{Answered, temporary_key};
use super::work::Work;
use super::{Received, Report};
use crate::claims::{ClaimBody, RestorePolicies};
use paidup_lifecycle::alert;
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::engine::{ENGINE_VERSION, Input};
use paidup_lifecycle::ids::{CustomerId, NotificationId, PurchaseId};
use paidup_lifecycle::observation::{DetectedBy, Environment, Kind, PeriodType, PurchaseKey};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::{Note, parse_answer_id, parse_looked_up_id};
use paidup_store::claims::{ClaimRecord, ClaimState};
use paidup_store::records::{JournalRecord, NotificationOutcome};
use paidup_store::{Before, Changes, Decision, Refused, Wants};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// No policy changes what is decided yet; the journal has its place.
const POLICY_REVISION: u64 = 0;

/// A notification that is found later than this in its store's history is from history, not live.
const HISTORY: Duration = Duration::from_secs(86_400);

/// A command with all that its decision needs.
pub(crate) struct Deciding {
    pub(crate) command: Command,
    pub(crate) received: Vec<Received>,
    /// What the hub keeps by name together with it.
    pub(crate) beside: Option<(&'static str, Vec<u8>)>,
    pub(crate) abilities: Arc<Abilities>,
    pub(crate) now: Timestamp,
    pub(crate) seed: [u8; 16],
    /// Whose doing it is.
    pub(crate) by: Option<String>,
    pub(crate) report: Arc<Report>,
}

impl Decision for Deciding {
    fn wants(&self) -> Wants {
        let mut wants = Wants::default();
        match &self.command {
            Command::Observe { .. } => self.want_observed(&mut wants),
            Command::Tick { purchases } | Command::Recompute { purchases } => wants.purchases.clone_from(purchases),
            Command::Unanswered { purchase } => {
                wants.purchases.push(*purchase);
                wants.question_of = Some(*purchase);
            }
            Command::Grant { id, customer, .. } => {
                wants.purchases.push(Purchase::id_of(&crate::grants::key_of(*id)));
                wants.aliases.push(customer.clone());
            }
            Command::ChangeGrant { id, .. } | Command::ExtendGrant { id, .. } | Command::RevokeGrant { id } => {
                wants.purchases.push(Purchase::id_of(&crate::grants::key_of(*id)));
            }
            Command::PutProduct { .. }
            | Command::DeleteProduct { .. }
            | Command::PutEntitlement { .. }
            | Command::DeleteEntitlement { .. } => {}
            Command::Link { customer, alias, purchases } => {
                wants.aliases.extend([customer.clone(), alias.clone()]);
                wants.purchases.clone_from(purchases);
            }
            Command::Bind { purchase, customer } => {
                wants.purchases.push(*purchase);
                wants.aliases.push(customer.clone());
            }
            Command::Claim { id, customer, lookups, purchases, .. } => {
                self.want_observed(&mut wants);
                wants.claims.push(*id);
                wants.aliases.push(customer.clone());
                wants.purchases.extend(purchases);
                wants.purchases.extend(lookups.iter().filter_map(|lookup| lookup.unless_known));
            }
            Command::EndClaim { id, .. } => wants.claims.push(*id),
            Command::GrantTemporarily { claim, source_id, .. } => {
                wants.claims.push(*claim);
                wants.purchases.push(Purchase::id_of(&temporary_key(*source_id, *claim)));
            }
            Command::Transfer { customer, to, purchases } => {
                wants.aliases.extend([customer.clone(), to.clone()]);
                wants.purchases.clone_from(purchases);
            }
            Command::TellAlerts { alerts } => {
                wants.customers.push(alert::customer_id());
                wants.purchases.extend(alerts.iter().map(|told| Purchase::id_of(&alert::key_of(told.kind))));
            }
        }
        wants
    }

    fn wants_also(&self, before: &Before) -> Vec<PurchaseId> {
        match &self.command {
            // All purchases of whoever gives everything away; those that give no access were named by the caller.
            Command::Link { alias, .. } => {
                let other = before.aliases.get(alias).and_then(|id| before.customers.get(id));
                other.map(|customer| customer.holdings.keys().copied().collect()).unwrap_or_default()
            }
            // What an owner buys may convert a trial grant, and whoever turns out to be another gives away all.
            Command::Observe { .. } | Command::Claim { .. } => {
                let mut also = trial_grants(before);
                also.extend(self.united(before));
                also.extend(temporary(before));
                also.extend(self.linked(before).flat_map(|customer| customer.holdings.keys().copied()));
                also.extend(self.moving(before));
                also.extend(followers::beside(self, before));
                also
            }
            Command::Tick { .. }
            | Command::Unanswered { .. }
            | Command::Bind { .. }
            | Command::Transfer { .. }
            | Command::Recompute { .. } => trial_grants(before),
            Command::EndClaim { .. } => temporary(before),
            Command::Grant { .. }
            | Command::ChangeGrant { .. }
            | Command::ExtendGrant { .. }
            | Command::RevokeGrant { .. }
            | Command::GrantTemporarily { .. }
            | Command::PutProduct { .. }
            | Command::DeleteProduct { .. }
            | Command::PutEntitlement { .. }
            | Command::DeleteEntitlement { .. }
            | Command::TellAlerts { .. } => Vec::new(),
        }
    }

    fn decide(&mut self, before: &Before) -> Result<Changes, Refused> {
        self.report.reset();
        let mut work = Work::new(before, self.now, self.seed, &self.abilities);
        let mut changes = Changes::default();
        if !self.work_out(before, &mut work, &mut changes)? {
            return Ok(self.all_known());
        }
        if !changes.lookups.is_empty() || !changes.clues.is_empty() {
            self.report.ask();
        }
        if self.compares() && work.says_nothing_new() {
            // The way on through the store's lists is kept, the answer is not.
            self.report.confirm();
            let Changes { lookups, looked_up, .. } = changes;
            return Ok(Changes { lookups, looked_up, ..Changes::default() });
        }
        let abilities = work.save(&mut changes, &self.report);
        changes.journal = Some(self.journal(before, abilities, &changes));
        changes.meta.clone_from(&self.beside);
        Ok(changes)
    }
}

/// What was given while stores could not be asked about the claims that were loaded.
fn temporary(before: &Before) -> Vec<PurchaseId> {
    before.claims.values().filter_map(|claim| ClaimBody::read(&claim.body).temporary).collect()
}

/// Running trial grants of everybody who was loaded.
fn trial_grants(before: &Before) -> Vec<PurchaseId> {
    before
        .customers
        .values()
        .flat_map(|customer| &customer.holdings)
        .filter(|(_, held)| held.kind == Kind::Grant && held.period_type == Some(PeriodType::Trial))
        .filter(|(_, held)| held.state.has_access())
        .map(|(id, _)| *id)
        .collect()
}

impl Deciding {
    /// Does what the command says; `false`: there is nothing to decide.
    fn work_out(&self, before: &Before, work: &mut Work<'_>, changes: &mut Changes) -> Result<bool, Refused> {
        Ok(match &self.command {
            Command::Observe { .. } => self.observe(work, changes),
            Command::Tick { purchases } => purchases.iter().filter(|id| work.tick(**id)).count() > 0,
            Command::Unanswered { purchase } => {
                if before.question.is_some() {
                    work.answered.push(*purchase);
                    work.apply_to_known(*purchase, &Input::Unanswered);
                }
                before.question.is_some()
            }
            Command::Recompute { purchases } => {
                purchases.iter().for_each(|id| work.recompute(*id));
                !work.is_untouched()
            }
            Command::Link { customer, alias, .. } => {
                work.link(customer, alias)?;
                !work.is_untouched()
            }
            Command::Bind { purchase, customer } => {
                work.bind(*purchase, customer)?;
                !work.is_untouched()
            }
            Command::Claim { .. } => {
                self.claim(work, changes)?;
                !work.is_untouched() || !changes.notifications.is_empty() || !changes.lookups.is_empty()
            }
            Command::EndClaim { id, reason } => work.end_waiting(*id, reason),
            Command::GrantTemporarily { claim, source_id, store, product_id, for_ms } => {
                let key = temporary_key(*source_id, *claim);
                work.grant_temporarily(*claim, key, *store, product_id, Duration::from_millis(*for_ms))?
            }
            Command::Transfer { customer, to, purchases } => {
                work.transfer(customer, to, purchases)?;
                !work.is_untouched()
            }
            Command::TellAlerts { alerts } => {
                alerts.iter().for_each(|alert| work.tell_alert(alert));
                !work.is_untouched()
            }
            Command::Grant { .. }
            | Command::ChangeGrant { .. }
            | Command::ExtendGrant { .. }
            | Command::RevokeGrant { .. }
            | Command::PutProduct { .. }
            | Command::DeleteProduct { .. }
            | Command::PutEntitlement { .. }
            | Command::DeleteEntitlement { .. } => {
                self.by_hand(work)?;
                true
            }
        })
    }

    /// Grants and the catalogue: what is always written.
    fn by_hand(&self, work: &mut Work<'_>) -> Result<(), Refused> {
        match &self.command {
            Command::Grant { id, customer, entitlement, expires_at, period_type } => {
                work.grant(*id, customer, entitlement, *expires_at, *period_type)
            }
            Command::ChangeGrant { id, expires_at } => work.change_grant(*id, *expires_at),
            Command::ExtendGrant { id, by_ms } => work.extend_grant(*id, Duration::from_millis(*by_ms)),
            Command::RevokeGrant { id } => work.revoke_grant(*id),
            Command::PutProduct { product } => {
                work.put_product(product);
                Ok(())
            }
            Command::DeleteProduct { product_id, store } => work.delete_product(product_id, *store),
            Command::PutEntitlement { entitlement } => {
                work.put_entitlement(entitlement);
                Ok(())
            }
            Command::DeleteEntitlement { id } => work.delete_entitlement(id),
            _ => Ok(()), // `work_out` does the others
        }
    }

    /// Customers who may give all that they have to another, because their store's id is also somebody else's.
    fn linked<'b>(&self, before: &'b Before) -> impl Iterator<Item = &'b Customer> {
        let ids: Vec<CustomerId> = self
            .received
            .iter()
            .flat_map(|received| &received.links)
            .filter_map(|link| before.aliases.get(&link.store_customer).copied())
            .collect();
        ids.into_iter().filter_map(|id| before.customers.get(&id).map(|customer| &**customer))
    }

    /// Purchases of customers whom nobody identified, and who may turn out to be another one; of all owners where the
    /// policy makes two customers one.
    fn united<'b>(&self, before: &'b Before) -> impl Iterator<Item = PurchaseId> + 'b {
        let shares = |policies: &RestorePolicies| policies.shares();
        let claimed = before.claims.values().map(|claim| ClaimBody::read(&claim.body).restore);
        let mine = match &self.command {
            Command::Claim { restore, .. } => Some(*restore),
            _ => None, // the others claim nothing
        };
        let any_shares = claimed.chain(mine).any(|policies| shares(&policies));
        let owners = before.purchases.values().filter_map(|purchase| before.customers.get(&purchase.customer));
        owners
            .filter(move |customer| any_shares || !customer.is_identified())
            .flat_map(|customer| customer.holdings.keys().copied())
    }

    /// What was asked for to compare what is known with the store.
    fn compares(&self) -> bool {
        self.received.iter().any(Received::reconciles)
    }

    /// All of it is known: an answer to a lookup ends that all the same.
    fn all_known(&self) -> Changes {
        if !self.compares() {
            return Changes::default();
        }
        self.report.confirm();
        Changes { looked_up: self.received.iter().filter_map(Received::answers).collect(), ..Changes::default() }
    }

    fn want_observed(&self, wants: &mut Wants) {
        for received in &self.received {
            wants.claims_for.extend(received.answers());
            for input in &received.inputs {
                let Input::Observed(observation) = input else { continue };
                let id = Purchase::id_of(&observation.key);
                let former = observation.replaces.as_ref().map(|former| {
                    Purchase::id_of(&PurchaseKey { store_purchase_id: former.clone(), ..observation.key.clone() })
                });
                for id in std::iter::once(id).chain(former) {
                    if !wants.purchases.contains(&id) {
                        wants.purchases.push(id);
                    }
                }
                if let Some(alias) = observation.facets.owner.as_ref().and_then(|owner| owner.value.as_ref())
                    && !wants.aliases.contains(alias)
                {
                    wants.aliases.push(alias.clone());
                }
            }
            for link in &received.links {
                wants.aliases.extend([link.customer.clone(), link.store_customer.clone()]);
            }
            wants.aliases.extend(received.people().cloned());
            let guarded = received
                .lookups
                .iter()
                .chain(received.first.as_deref())
                .filter_map(|lookup| lookup.unless_known.as_ref());
            wants.purchases.extend(guarded.map(Purchase::id_of));
            match &received.note {
                Some(Note::Test { environment, .. }) => {
                    wants.purchases.push(Purchase::id_of(&received.test_key(*environment)));
                }
                Some(Note::Unknown | Note::Informative | Note::Warning(_)) | None if received.inputs.is_empty() => {
                    wants.notifications.push(received.kept.id);
                }
                Some(Note::Unknown | Note::Informative | Note::Warning(_)) | None => {}
            }
        }
    }

    /// Works out what was received; `false` when all of it was known already.
    fn observe(&self, work: &mut Work<'_>, changes: &mut Changes) -> bool {
        // What comes together with what was looked up stood in it: the store's history of what it sent.
        let with_answer = self.received.iter().any(Received::is_looked_up);
        for received in &self.received {
            if work.is_repeat(received) {
                self.report.count_repeat(received);
                continue;
            }
            let claims = work.claims_about(received);
            let claimant = claims.first().map(|claim| claim.customer.clone());
            let answered = self.take_in(received, with_answer, claimant.as_deref(), work, changes);
            for claim in claims {
                work.answer_claim(claim, &answered);
            }
        }
        !changes.notifications.is_empty()
    }

    /// One notification: its observations, and what it wants to know.
    fn take_in(
        &self,
        received: &Received,
        with_answer: bool,
        claimant: Option<&str>,
        work: &mut Work<'_>,
        changes: &mut Changes,
    ) -> Answered {
        let mut kept = received.kept.clone();
        kept.outcome = received.outcome();
        let mut answered = Answered::default();
        if work.put_aside(received, changes, &mut answered) {
            changes.notifications.push(kept);
            return answered;
        }
        for link in &received.links {
            work.same_customer(link);
        }
        for ids in &received.same {
            work.one_customer(ids);
        }
        for input in &received.inputs {
            let input = if with_answer { Cow::Owned(received.found(input)) } else { Cow::Borrowed(input) };
            let purchase = work.observe(received.digest(), &input, claimant);
            kept.purchase_id = kept.purchase_id.or(purchase);
            answered.purchases.extend(purchase);
        }
        for ids in received.same.iter().filter(|_| !received.inputs.is_empty()) {
            // Whoever was made just now has the other ids too.
            work.one_customer(ids);
        }
        for transfer in &received.transfers {
            let first = work.hand_over(received, transfer);
            kept.purchase_id = kept.purchase_id.or(first);
        }
        if let Some(Note::Test { environment, at }) = &received.note {
            kept.purchase_id = Some(work.test(received, *environment, *at));
        }
        work.look_up(received, changes, &mut answered);
        changes.notifications.push(kept);
        answered
    }

    /// An app's backend says that a customer bought something.
    fn claim(&self, work: &mut Work<'_>, changes: &mut Changes) -> Result<(), Refused> {
        let Command::Claim { id, source_id, customer, restore, lookups, purchases, .. } = &self.command else {
            return Ok(());
        };
        let new = ClaimRecord {
            id: *id,
            source_id: *source_id,
            customer: customer.clone(),
            claimed_at: self.now,
            state: ClaimState::Waiting,
            state_since: self.now,
            lookups: BTreeSet::new(),
            purchases: BTreeSet::new(),
            body: ClaimBody { restore: *restore, ..ClaimBody::default() }.write(),
        };
        let mut claim = work.claim_or(new);
        let mut named = purchases.clone();
        for received in &self.received {
            if work.is_repeat(received) {
                named.extend(received.purchases());
            } else {
                named.extend(self.take_in(received, false, Some(customer), work, changes).purchases);
            }
        }
        named.extend(lookups.iter().filter_map(|lookup| lookup.unless_known));
        work.settle(&mut claim, &named)?;
        let settled = ClaimBody::read(&claim.body).purchases;
        self.report.claimed(&settled);
        if !settled.is_empty() {
            // One that waited for the store ends; one that is settled at once leaves nothing behind.
            if work.claim_record(*id).is_some_and(|known| known.state == ClaimState::Waiting) {
                work.end_claim(claim, ClaimState::Settled, None);
            }
            return Ok(());
        }
        claim.purchases.extend(named);
        for lookup in lookups {
            claim.lookups.insert(lookup.id(*source_id));
            changes.lookups.push(work.claimed_lookup(*source_id, lookup));
        }
        if claim.lookups.is_empty() && claim.purchases.is_empty() {
            return Err(Refused { status: 422, detail: "this proof names no purchase".to_owned() });
        }
        work.put_claim(claim);
        Ok(())
    }

    fn journal(&self, before: &Before, abilities: Abilities, changes: &Changes) -> JournalRecord {
        let input = JournalInput { command: self.command.clone(), abilities, by: self.by.clone() };
        JournalRecord {
            decided_at: self.now,
            engine_version: ENGINE_VERSION,
            catalogue_revision: before.catalogue.revision,
            policy_revision: POLICY_REVISION,
            seed: self.seed,
            input: serde_json::to_vec(&input)
                .expect("a command is made of texts, numbers and lists, which JSON can always write")
                .into(),
            notifications: changes.notifications.iter().map(|kept| kept.id).collect(),
        }
    }
}

impl Received {
    /// It is the answer to a question or a lookup.
    pub(crate) fn is_answer(&self) -> bool {
        self.is_looked_up() || parse_answer_id(&self.kept.external_id).is_some()
    }

    /// It is the answer to a lookup.
    fn is_looked_up(&self) -> bool {
        parse_looked_up_id(&self.kept.external_id).is_some()
    }

    /// The same input, marked as found by us and not told by the store, where it stood in an answer.
    fn found(&self, input: &Input) -> Input {
        let mut input = input.clone();
        if let Input::Observed(observation) = &mut input
            && !self.is_looked_up()
        {
            observation.detected_by = Some(DetectedBy::Reconcile);
            observation.backfill |= self.kept.received_at.since(observation.observed_at) > HISTORY;
        }
        input
    }

    /// What is remembered in the purchase, so that a repeat is known as one.
    pub(crate) fn digest(&self) -> u64 {
        digest(self.kept.id)
    }

    /// Tests of a source are told about a purchase of their own, one for each environment: it has no product, unlocks
    /// nothing, and belongs to a customer nobody claims. So a TEST event has a number and a place like every other.
    pub(crate) fn test_key(&self, environment: Environment) -> PurchaseKey {
        PurchaseKey { source_id: self.kept.source_id, environment, store_purchase_id: "test".to_owned() }
    }

    fn outcome(&self) -> NotificationOutcome {
        match &self.note {
            Some(Note::Test { .. }) => NotificationOutcome::Test,
            Some(Note::Unknown) => NotificationOutcome::Unknown,
            Some(Note::Informative | Note::Warning(_)) => NotificationOutcome::Informative,
            None => NotificationOutcome::Observed,
        }
    }

    /// The ids under which this notification names purchases.
    pub(crate) fn told(&self) -> Vec<PurchaseId> {
        let observed = self.inputs.iter().filter_map(|input| match input {
            Input::Observed(observation) => Some(Purchase::id_of(&observation.key)),
            Input::Tick
            | Input::Unanswered
            | Input::Moved { .. }
            | Input::CatalogueChanged { .. }
            | Input::Converted => None,
        });
        observed.collect()
    }

    /// The purchases that this notification concerns.
    pub(crate) fn purchases(&self) -> impl Iterator<Item = PurchaseId> + '_ {
        let observed = self.inputs.iter().filter_map(|input| match input {
            Input::Observed(observation) => Some(Purchase::id_of(&observation.key)),
            Input::Tick
            | Input::Unanswered
            | Input::Moved { .. }
            | Input::CatalogueChanged { .. }
            | Input::Converted => None,
        });
        let tested = match &self.note {
            Some(Note::Test { environment, .. }) => Some(Purchase::id_of(&self.test_key(*environment))),
            Some(Note::Unknown | Note::Informative | Note::Warning(_)) | None => None,
        };
        observed.chain(tested)
    }
}

fn digest(id: NotificationId) -> u64 {
    let (first, _) = id.0.split_at(8);
    first.iter().fold(0, |digest, byte| (digest << 8) | u64::from(*byte))
}
