//! An exhaustive walk over short lives: from refunded there is no way back to access but a new purchase or a reversal.

use paidup_lifecycle::catalogue::Catalogue;
use paidup_lifecycle::engine::{Context, Input, advance};
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::ids::{CustomerId, SourceId};
use paidup_lifecycle::observation::{
    Dated, Environment, Facets, Hint, Observation, Origin, Period, PurchaseKey, RefundFact, RefundStatus, Stamp,
    Standing, Store, TransactionFacts,
};
use paidup_lifecycle::purchase::{Purchase, State};
use paidup_lifecycle::time::Timestamp;

/// What a store can say in this walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// A word on the standing, without a new period.
    Stand(Standing),
    /// A new period.
    Period,
    /// The running period again, active.
    SamePeriod,
    Refund(RefundStatus),
    RenewalOff,
    RenewalOn,
    Extend,
    Grace,
    Tick,
    Unanswered,
}

const MOVES: [Move; 18] = [
    Move::Stand(Standing::Pending),
    Move::Stand(Standing::Active),
    Move::Stand(Standing::Grace),
    Move::Stand(Standing::BillingRetry),
    Move::Stand(Standing::Paused),
    Move::Stand(Standing::Expired),
    Move::Stand(Standing::Revoked),
    Move::Period,
    Move::SamePeriod,
    Move::Refund(RefundStatus::Requested),
    Move::Refund(RefundStatus::Declined),
    Move::Refund(RefundStatus::Refunded),
    Move::RenewalOff,
    Move::RenewalOn,
    Move::Extend,
    Move::Grace,
    Move::Tick,
    Move::Unanswered,
];

const HOUR: i64 = 3_600_000;

fn at(step: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + step * 36 * HOUR).unwrap()
}

struct Walker {
    catalogue: Catalogue,
    key: PurchaseKey,
}

impl Walker {
    fn go(&self, purchase: Purchase, taken: Move, step: i64) -> (Purchase, Vec<EventType>) {
        let now = at(step);
        let context = Context {
            catalogue: &self.catalogue,
            can_ask: true,
            owner: None,
            price_follows: false,
            had_before: false,
            owner_ids: &[],
            new_owner_ids: &[],
            merges: false,
        };
        let input = match taken {
            Move::Tick => Input::Tick,
            Move::Unanswered => Input::Unanswered,
            _ => Input::Observed(self.say(&purchase, taken, step)),
        };
        let outcome = advance(purchase, &input, &context, now);
        (outcome.purchase, outcome.events.iter().map(|draft| draft.event_type).collect())
    }

    fn say(&self, purchase: &Purchase, taken: Move, step: i64) -> Observation {
        let id: std::sync::Arc<str> = format!("n{step:03}").into();
        let stamp = Stamp { as_of: at(step), origin: Origin::Notification, by: id.clone() };
        let mut facets = Facets::default();
        let dated = |value| Some(Dated { value, stamp: stamp.clone() });
        let running = purchase.facets.period.as_ref().map(|period| period.value.clone());
        match taken {
            Move::Stand(standing) => facets.standing = dated(standing),
            Move::Period | Move::SamePeriod => {
                facets.standing = dated(Standing::Active);
                let new = Period {
                    transaction_id: Some(format!("t{step}")),
                    starts_at: at(step),
                    ends_at: Some(at(step + 1)),
                };
                let period = if taken == Move::Period { new } else { running.unwrap_or(new) };
                facets.period = Some(Dated { value: period, stamp: stamp.clone() });
            }
            Move::Refund(status) => {
                let id = running.and_then(|period| period.transaction_id).unwrap_or_default();
                let fact = RefundFact { status, amount: None, revokes: None, family: false };
                let refunds = [("0".to_owned(), Dated { value: fact, stamp: stamp.clone() })].into();
                facets.transactions.insert(id, TransactionFacts { refunds, ..TransactionFacts::default() });
            }
            Move::RenewalOff | Move::RenewalOn => {
                facets.will_renew = Some(Dated { value: taken == Move::RenewalOn, stamp: stamp.clone() });
            }
            Move::Extend => facets.extended_until = Some(Dated { value: Some(at(step + 3)), stamp: stamp.clone() }),
            Move::Grace => facets.grace_ends_at = Some(Dated { value: Some(at(step + 2)), stamp: stamp.clone() }),
            Move::Tick | Move::Unanswered => {}
        }
        Observation {
            key: self.key.clone(),
            store: Store::AppStore,
            id,
            observed_at: at(step),
            origin: Origin::Notification,
            hint: Hint::Answered,
            about_transaction: None,
            facets,
            backfill: false,
            replaces: None,
            detected_by: None,
        }
    }

    /// Every way of `left` more moves from here, none of which is a new purchase or a reversal.
    fn walk(&self, purchase: &Purchase, step: i64, left: u32, ways: &mut u64) {
        assert!(!purchase.state.has_access(), "access came back without a purchase: {purchase:?}");
        if left == 0 {
            *ways += 1;
            return;
        }
        for taken in MOVES {
            // A new purchase gives access, and a word on a refund that undoes the decision to refund is a reversal.
            if matches!(taken, Move::Period | Move::Refund(RefundStatus::Requested | RefundStatus::Declined)) {
                continue;
            }
            let (next, events) = self.go(purchase.clone(), taken, step);
            assert!(!events.contains(&EventType::Activate), "{taken:?} told ACTIVATE");
            self.walk(&next, step + 1, left - 1, ways);
        }
    }
}

#[test]
fn there_is_no_way_from_refunded_to_entitled() {
    let key = PurchaseKey {
        source_id: SourceId::derive(&[b"walk"]),
        environment: Environment::Production,
        store_purchase_id: "walk".to_owned(),
    };
    let walker = Walker { catalogue: Catalogue::default(), key: key.clone() };
    let mut ways = 0;
    // Refunded from every state that a life of two moves can be in.
    for before in MOVES {
        let fresh = Purchase::new(key.clone(), Store::AppStore, CustomerId::derive(&[b"walk"]));
        let (bought, _) = walker.go(fresh, Move::Period, 0);
        assert_eq!(bought.state, State::Active);
        let (then, _) = walker.go(bought, before, 1);
        let (refunded, _) = walker.go(then, Move::Refund(RefundStatus::Refunded), 2);
        if refunded.state == State::Pending {
            continue; // nothing was paid that could be refunded
        }
        assert_eq!(refunded.state, State::Revoked, "after {before:?}");
        walker.walk(&refunded, 3, 3, &mut ways);
    }
    assert!(ways > 20_000, "the walk went {ways} ways");
}

#[test]
fn a_purchase_or_a_reversal_gives_access_back() {
    let key = PurchaseKey {
        source_id: SourceId::derive(&[b"walk"]),
        environment: Environment::Production,
        store_purchase_id: "walk".to_owned(),
    };
    let walker = Walker { catalogue: Catalogue::default(), key: key.clone() };
    for way_back in [Move::Period, Move::Refund(RefundStatus::Reversed)] {
        let fresh = Purchase::new(key.clone(), Store::AppStore, CustomerId::derive(&[b"walk"]));
        let (bought, _) = walker.go(fresh, Move::Period, 0);
        let (refunded, _) = walker.go(bought, Move::Refund(RefundStatus::Refunded), 1);
        assert_eq!(refunded.state, State::Revoked);
        let (back, events) = walker.go(refunded, way_back, 2);
        assert_eq!(back.state, State::Active, "{way_back:?}");
        assert!(events.contains(&EventType::Activate));
    }
}
