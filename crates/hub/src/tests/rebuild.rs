use super::*;
use crate::grants::{GrantEnd, GrantRequest};
use paidup_lifecycle::observation::PeriodType;
use proptest::prelude::*;

/// Something of everything that is decided on.
async fn busy() -> TestHub {
    let test = TestHub::new().await;
    for number in 0..5 {
        test.buy(&format!("user-{number}"), &format!("sub-{number}")).await;
        test.clock.advance(Duration::from_secs(60));
    }
    test.map().await;
    let request = GrantRequest {
        entitlement: "beta".to_owned(),
        ends: GrantEnd::After(DAY * 2),
        period_type: PeriodType::Promotional,
    };
    test.hub.grant("user-0", request).await.unwrap();
    test.hub.add_alias("user-1", "user-2").await.unwrap();
    test.hub.bind_purchase(test.source, Environment::Production, "sub-3", "user-9").await.unwrap();
    let now = test.clock.now();
    test.send(&json!([said(now, "renewal_disabled", "sub-4"), said(now, "refund_requested", "sub-0")])).await;
    test.pass(DAY * 40).await;
    test
}

#[tokio::test]
async fn folding_the_journal_gives_the_same_bytes() {
    let test = busy().await;
    let report = test.check_rebuild().await;
    assert_eq!(report.events, test.events().await.len() as u64);
    assert_eq!(report.by_other_versions, 0);
    assert!(report.entries > 10);
}

#[tokio::test]
async fn what_was_pruned_is_named_and_everything_else_is_checked() {
    let test = busy().await;
    let (store, now) = (test.hub.store(), test.clock.now().plus(DAY));
    let events = test.events().await.len() as u64;
    assert_eq!(store.prune_events(now).await.unwrap(), events - 1);
    let report = test.check_rebuild().await;
    assert_eq!((report.unchecked.len(), report.events), (1, events), "folded as a whole, compared as far as it goes");
    assert!(report.unchecked[0].contains("were pruned"), "{:?}", report.unchecked);

    assert!(store.prune_notifications(now).await.unwrap() > 0);
    let into = store_at(&test.dir.path().join("again.db")).await;
    let report = crate::rebuild::verify(&test.hub, &into, &|_, _| {}).await.unwrap();
    assert_eq!((report.mismatches.as_slice(), report.entries), ([].as_slice(), 0));
    assert!(report.unchecked[0].contains("the journal cannot be folded"), "{:?}", report.unchecked);
}

#[tokio::test]
async fn deleting_a_source_does_not_make_its_past_unreadable() {
    let test = busy().await;
    test.hub.delete_source(test.source).await.unwrap();
    let now = test.clock.now();
    let error = test.post(test.source, &bought(now, now.plus(DAY), "user-1", "sub")).await.unwrap_err();
    assert_eq!(error.status(), 404);
    test.check_rebuild().await;
}

#[tokio::test]
async fn a_database_that_says_something_else_is_told_apart() {
    let test = busy().await;
    let into = store_at(&test.dir.path().join("rebuilt.db")).await;
    let stranger = paidup_lifecycle::customer::Customer::new(
        paidup_lifecycle::ids::CustomerId([5; 16]),
        at("2026-01-01T00:00:00Z"),
    );
    struct Put(paidup_lifecycle::customer::Customer);
    impl paidup_store::Decision for Put {
        fn wants(&self) -> paidup_store::Wants {
            paidup_store::Wants::default()
        }
        fn decide(&mut self, _: &paidup_store::Before) -> Result<paidup_store::Changes, paidup_store::Refused> {
            Ok(paidup_store::Changes { customers: vec![self.0.clone()], ..paidup_store::Changes::default() })
        }
    }
    into.commit(paidup_store::Urgency::Rest, Box::new(Put(stranger))).await.unwrap();
    let report = crate::rebuild::verify(&test.hub, &into, &|_, _| {}).await.unwrap();
    assert!(!report.is_equal());
    assert!(report.mismatches.iter().any(|mismatch| mismatch.table == "customers"), "{:#?}", report.mismatches);
}

/// What a test may do; numbers choose among few customers and purchases, so that lives cross.
#[derive(Debug, Clone)]
enum Act {
    Buy(u8, u8),
    Say(u8, &'static str),
    Transfer(u8, u8),
    Bind(u8, u8),
    Link(u8, u8),
    Grant(u8, bool),
    Map(bool),
    Pass(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let words = prop::sample::select(vec![
        "renewal_disabled",
        "renewal_enabled",
        "expired",
        "grace_started",
        "recovered",
        "refunded",
        "paused",
        "resumed",
    ]);
    prop_oneof![
        3 => (0..4u8, 0..4u8).prop_map(|(customer, purchase)| Act::Buy(customer, purchase)),
        3 => (0..4u8, words).prop_map(|(purchase, word)| Act::Say(purchase, word)),
        1 => (0..4u8, 0..4u8).prop_map(|(purchase, to)| Act::Transfer(purchase, to)),
        1 => (0..4u8, 0..4u8).prop_map(|(purchase, to)| Act::Bind(purchase, to)),
        1 => (0..4u8, 0..4u8).prop_map(|(one, two)| Act::Link(one, two)),
        1 => (0..4u8, any::<bool>()).prop_map(|(customer, trial)| Act::Grant(customer, trial)),
        1 => any::<bool>().prop_map(Act::Map),
        2 => (1..20u8).prop_map(Act::Pass),
    ]
}

/// Refusals are as good an outcome as any: only what is decided counts here.
async fn perform(test: &TestHub, act: Act) {
    let user = |number: u8| format!("user-{number}");
    let sub = |number: u8| format!("sub-{number}");
    let now = test.clock.now();
    match act {
        Act::Buy(customer, purchase) => {
            test.send(&bought(now, now.plus(DAY * 10), &user(customer), &sub(purchase))).await;
        }
        Act::Say(purchase, word) => {
            // The generic source refuses what a word lacks (a refund without its transaction).
            let _ = test.post(test.source, &said(now, word, &sub(purchase))).await;
        }
        Act::Transfer(purchase, to) => {
            let mut body = said(now, "transferred", &sub(purchase));
            body["transfer_to"] = user(to).into();
            test.send(&body).await;
        }
        Act::Bind(purchase, to) => {
            let _ = test.hub.bind_purchase(test.source, Environment::Production, &sub(purchase), &user(to)).await;
        }
        Act::Link(one, two) => drop(test.hub.add_alias(&user(one), &user(two)).await),
        Act::Grant(customer, trial) => {
            let period_type = if trial { PeriodType::Trial } else { PeriodType::Promotional };
            let ends = GrantEnd::After(DAY * 5);
            let request = GrantRequest { entitlement: "pro".to_owned(), ends, period_type };
            test.hub.grant(&user(customer), request).await.unwrap();
        }
        Act::Map(mapped) => {
            let entitlements: &[&str] = if mapped { &["pro"] } else { &[] };
            test.hub.put_product(super::catalogue::product("pro_monthly", entitlements), false).await.unwrap();
            test.hub.sweep().await.unwrap();
        }
        Act::Pass(hours) => test.pass(Duration::from_secs(u64::from(hours) * 7 * 3600)).await,
    }
    test.clock.advance(Duration::from_secs(1));
}

/// What must hold whatever happened.
async fn check_all(test: &TestHub) {
    let mut last = std::collections::BTreeMap::new();
    let mut access = std::collections::BTreeMap::new();
    for event in test.events().await {
        let seq = last.insert(event.purchase.id, event.seq).unwrap_or_default() + 1;
        assert_eq!(event.seq, seq, "a purchase's events are numbered without gaps");
        let held: &mut std::collections::BTreeSet<String> = access.entry(event.customer.id).or_default();
        for gone in &event.entitlements.deactivated {
            assert!(held.remove(gone), "{} was told as lost and was not held: {event:?}", gone);
        }
        held.extend(event.entitlements.activated.iter().cloned());
        assert_eq!(held.iter().cloned().collect::<Vec<_>>(), event.entitlements.active, "{event:?}");
    }
    for (id, held) in access {
        let found = test.hub.store().customer(&id.to_string()).await.unwrap().unwrap();
        if found.id == id {
            assert_eq!(held.into_iter().collect::<Vec<_>>(), found.active_entitlements(Environment::Production));
        } else {
            assert!(held.is_empty(), "{id} was merged and was told that it kept {held:?}");
        }
    }
    test.check_rebuild().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Whatever crosses whatever: events add up to what customers may use, and the journal gives the same bytes.
    #[test]
    fn events_add_up_and_the_journal_folds(acts in prop::collection::vec(act(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let test = TestHub::new().await;
            for act in acts {
                perform(&test, act).await;
            }
            check_all(&test).await;
        });
    }
}
