//! The decision: pure, run by the store inside its transaction. Each command is worked out on a [`Work`], which holds
//! what changed so far, so that the second notification of a request sees what the first one did.

use super::command::{Abilities, Command, Input as JournalInput};
use super::work::Work;
use super::{Received, Report};
use paidup_lifecycle::customer::Customer;
use paidup_lifecycle::engine::{ENGINE_VERSION, Input};
use paidup_lifecycle::ids::{CustomerId, NotificationId, PurchaseId};
use paidup_lifecycle::observation::{Environment, Kind, PeriodType, PurchaseKey};
use paidup_lifecycle::purchase::Purchase;
use paidup_lifecycle::time::Timestamp;
use paidup_sources::Note;
use paidup_store::records::{JournalRecord, NotificationOutcome};
use paidup_store::{Before, Changes, Decision, Refused, Wants};
use std::sync::Arc;
use std::time::Duration;

/// No policy changes what is decided yet; the journal has its place.
const POLICY_REVISION: u64 = 0;

/// A command with all that its decision needs.
pub(crate) struct Deciding {
    pub(crate) command: Command,
    pub(crate) received: Vec<Received>,
    pub(crate) abilities: Arc<Abilities>,
    pub(crate) now: Timestamp,
    pub(crate) seed: [u8; 16],
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
            // What an owner buys may convert a trial grant.
            Command::Observe { .. } => {
                let mut also = trial_grants(before);
                also.extend(self.linked(before).flat_map(|customer| customer.holdings.keys().copied()));
                also
            }
            Command::Tick { .. } | Command::Unanswered { .. } | Command::Bind { .. } | Command::Recompute { .. } => {
                trial_grants(before)
            }
            Command::Grant { .. }
            | Command::ChangeGrant { .. }
            | Command::ExtendGrant { .. }
            | Command::RevokeGrant { .. }
            | Command::PutProduct { .. }
            | Command::DeleteProduct { .. }
            | Command::PutEntitlement { .. }
            | Command::DeleteEntitlement { .. } => Vec::new(),
        }
    }

    fn decide(&mut self, before: &Before) -> Result<Changes, Refused> {
        self.report.reset();
        let mut work = Work::new(before, self.now, self.seed, &self.abilities);
        let mut changes = Changes::default();
        match &self.command {
            Command::Observe { .. } => {
                if !self.observe(&mut work, &mut changes) {
                    return Ok(Changes::default());
                }
            }
            Command::Tick { purchases } => {
                let ticked = purchases.iter().filter(|id| work.tick(**id)).count();
                if ticked == 0 {
                    return Ok(Changes::default());
                }
            }
            Command::Unanswered { purchase } => {
                if before.question.is_none() {
                    return Ok(Changes::default());
                }
                work.answered.push(*purchase);
                work.apply_to_known(*purchase, &Input::Unanswered);
            }
            Command::Grant { id, customer, entitlement, expires_at, period_type } => {
                work.grant(*id, customer, entitlement, *expires_at, *period_type)?;
            }
            Command::ChangeGrant { id, expires_at } => work.change_grant(*id, *expires_at)?,
            Command::ExtendGrant { id, by_ms } => work.extend_grant(*id, Duration::from_millis(*by_ms))?,
            Command::RevokeGrant { id } => work.revoke_grant(*id)?,
            Command::PutProduct { product } => work.put_product(product),
            Command::DeleteProduct { product_id, store } => work.delete_product(product_id, *store)?,
            Command::PutEntitlement { entitlement } => work.put_entitlement(entitlement),
            Command::DeleteEntitlement { id } => work.delete_entitlement(id)?,
            Command::Recompute { purchases } => {
                for id in purchases {
                    work.recompute(*id);
                }
                if work.is_untouched() {
                    return Ok(Changes::default());
                }
            }
            Command::Link { customer, alias, .. } => {
                work.link(customer, alias)?;
                if work.is_untouched() {
                    return Ok(Changes::default());
                }
            }
            Command::Bind { purchase, customer } => {
                work.bind(*purchase, customer)?;
                if work.is_untouched() {
                    return Ok(Changes::default());
                }
            }
        }
        if !changes.lookups.is_empty() || !changes.clues.is_empty() {
            self.report.ask();
        }
        let abilities = work.save(&mut changes, &self.report);
        changes.journal = Some(self.journal(before, abilities, &changes));
        Ok(changes)
    }
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

    fn want_observed(&self, wants: &mut Wants) {
        for received in &self.received {
            for input in &received.inputs {
                let Input::Observed(observation) = input else { continue };
                let id = Purchase::id_of(&observation.key);
                if !wants.purchases.contains(&id) {
                    wants.purchases.push(id);
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
            let guarded = received.lookups.iter().filter_map(|lookup| lookup.unless_known.as_ref());
            wants.purchases.extend(guarded.map(Purchase::id_of));
            match &received.note {
                Some(Note::Test { environment, .. }) => {
                    wants.purchases.push(Purchase::id_of(&received.test_key(*environment)));
                }
                Some(Note::Unknown | Note::Informative) | None if received.inputs.is_empty() => {
                    wants.notifications.push(received.kept.id);
                }
                Some(Note::Unknown | Note::Informative) | None => {}
            }
        }
    }

    /// Works out what was received; `false` when all of it was known already.
    fn observe(&self, work: &mut Work<'_>, changes: &mut Changes) -> bool {
        for received in &self.received {
            if work.is_repeat(received) {
                self.report.count_repeat();
                continue;
            }
            let mut kept = received.kept.clone();
            kept.outcome = received.outcome();
            for link in &received.links {
                work.same_customer(link);
            }
            for input in &received.inputs {
                let purchase = work.observe(received.digest(), input);
                kept.purchase_id = kept.purchase_id.or(purchase);
            }
            if let Some(Note::Test { environment, at }) = &received.note {
                kept.purchase_id = Some(work.test(received, *environment, *at));
            }
            work.look_up(received, changes);
            changes.notifications.push(kept);
        }
        !changes.notifications.is_empty()
    }

    fn journal(&self, before: &Before, abilities: Abilities, changes: &Changes) -> JournalRecord {
        let input = JournalInput { command: self.command.clone(), abilities };
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
            Some(Note::Informative) => NotificationOutcome::Informative,
            None => NotificationOutcome::Observed,
        }
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
            Some(Note::Unknown | Note::Informative) | None => None,
        };
        observed.chain(tested)
    }
}

fn digest(id: NotificationId) -> u64 {
    let (first, _) = id.0.split_at(8);
    first.iter().fold(0, |digest, byte| (digest << 8) | u64::from(*byte))
}
