use super::*;
use crate::commit::command::Command;
use crate::commit::decide::Deciding;
use crate::grants::{GrantEnd, GrantRequest};
use crate::rebuild::{Difference, Kind, Report};
use paidup_lifecycle::ids::EventId;
use paidup_lifecycle::observation::PeriodType;
use paidup_store::{Before, Changes, Decision, Refused, Urgency, Wants};
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
    assert_eq!(report.preview, crate::rebuild::Preview::default());
    assert!(report.entries > 10);
}

/// More entries than a task may do at once, whole pages of them: they are folded in their order all the same.
#[tokio::test]
async fn a_long_journal_is_folded_in_its_order() {
    let test = TestHub::new().await;
    for number in 0..600 {
        test.buy(&format!("user-{number}"), &format!("sub-{number}")).await;
    }
    let report = test.check_rebuild().await;
    assert_eq!(report.entries, 600);
}

/// An engine of another version: what it decided is what this one decides, but for what `alter` makes of it.
struct Elder<A> {
    entry: u64,
    deciding: Deciding,
    alter: A,
}

impl<A: Fn(u64, &mut Changes) + Send> Decision for Elder<A> {
    fn wants(&self) -> Wants {
        self.deciding.wants()
    }

    fn wants_also(&self, before: &Before) -> Vec<PurchaseId> {
        self.deciding.wants_also(before)
    }

    fn decide(&mut self, before: &Before) -> Result<Changes, Refused> {
        let mut changes = self.deciding.decide(before)?;
        (self.alter)(self.entry, &mut changes);
        Ok(changes)
    }
}

impl TestHub {
    /// The same life on a database of its own, as a hub with another engine would have kept it.
    async fn as_decided_by(&self, alter: impl Fn(u64, &mut Changes) + Copy + Send + 'static) -> TestHub {
        let dir = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.dir.path()).unwrap().map(Result::unwrap) {
            if file.file_name().to_string_lossy().starts_with("paidup.") {
                std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
            }
        }
        let into = store_at(&dir.path().join("hub.db")).await;
        for source in self.hub.store().sources().await.unwrap() {
            into.put_source(source).await.unwrap();
        }
        let sources = self.hub.every_source().await.unwrap();
        for entry in self.hub.store().journal_after(0, 0, 1_000).await.unwrap() {
            let number = entry.entry;
            let deciding = crate::rebuild::decision(&self.hub, &sources, entry).await.unwrap().unwrap();
            into.commit(Urgency::Rest, Box::new(Elder { entry: number, deciding, alter })).await.unwrap();
        }
        into.close().await.unwrap();
        let hub = open(&dir, &self.clock, &self.script, 3).await;
        TestHub { hub, clock: self.clock.clone(), script: self.script.clone(), source: self.source, dir }
    }

    async fn rebuilt(&self) -> Report {
        let into = store_at(&self.dir.path().join("rebuilt.db")).await;
        crate::rebuild::verify(&self.hub, &into, &|_, _| {}).await.unwrap()
    }
}

/// Entries up to this one were decided by version 2: the first two purchases.
const ELDER: u64 = 2;

fn stamp(entry: u64, changes: &mut Changes) {
    if let Some(journal) = changes.journal.as_mut().filter(|_| entry <= ELDER) {
        journal.engine_version = 2;
    }
}

/// What version 2 made of the first entry: another type, and one event less.
fn tell_otherwise(entry: u64, changes: &mut Changes) {
    if entry == 1 {
        changes.events[0].event_type = EventType::SubscriptionRenewed;
        changes.events[0].inferred = true;
        changes.events.pop().unwrap();
    }
}

/// And of the second: one more.
fn tell_more(entry: u64, changes: &mut Changes) {
    if entry == 2 {
        let mut more = changes.events[0].clone();
        let index = u32::try_from(changes.events.len()).unwrap();
        more.id = EventId::of(more.purchase.id, entry, index, more.detected_at);
        changes.events.push(more);
        changes.purchases[0].seq += 1;
    }
}

#[tokio::test]
async fn what_another_version_decided_alike_is_equal() {
    let test = busy().await.as_decided_by(stamp).await;
    let report = test.check_rebuild().await;
    let preview = &report.preview;
    assert_eq!((preview.entries, preview.events()), (ELDER, 0));
    assert_eq!(preview.versions.iter().copied().collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn what_this_version_would_tell_otherwise_is_named() {
    let life = busy().await;
    let all = life.events().await.len() as u64;
    let test = life
        .as_decided_by(|entry, changes| {
            stamp(entry, changes);
            tell_otherwise(entry, changes);
            tell_more(entry, changes);
        })
        .await;
    let told = test.events().await;
    let report = test.rebuilt().await;
    assert_eq!(report.mismatches, [], "what other versions decided is no mistake");
    assert!(report.is_sound() && !report.is_equal());
    assert_eq!(report.events, all);
    let preview = report.preview;
    let (first, entry) = (&preview.first[0], |number| move |one: &&Difference| one.entry == number);
    assert_eq!((first.kind, first.entry, first.engine_version, first.position), (Kind::Changed, 1, 2, Some(1)));
    assert_eq!((first.then, first.now), (Some(EventType::SubscriptionRenewed), Some(EventType::Activate)));
    assert_eq!(
        (first.event, first.fields.as_slice()),
        (told[0].id, ["inferred", "type"].map(str::to_owned).as_slice())
    );
    assert_eq!((first.purchase, first.customer), (told[0].purchase.id, told[0].customer.id));
    assert_eq!(first.app_user_id, "user-0");
    let kinds = |number| preview.first.iter().filter(entry(number)).map(|one| one.kind).collect::<Vec<_>>();
    assert_eq!(kinds(1), [Kind::Changed, Kind::Added]);
    assert_eq!(kinds(2), [Kind::Missing]);
    let added = preview.first.iter().find(|one| one.kind == Kind::Added).unwrap();
    assert!((added.then, added.position) == (None, None) && added.now.is_some());
    // What this version decided later about the second purchase follows from what the other one made of it: its numbers.
    let later: Vec<_> = preview.first.iter().filter(|one| one.entry > ELDER).collect();
    assert!(!later.is_empty() && later.iter().all(|one| one.purchase == test.id("sub-1")), "{later:#?}");
    assert!(later.iter().any(|one| one.fields == ["seq"]), "{later:#?}");
    let counted = (preview.changed - later.len() as u64, preview.missing, preview.added);
    assert_eq!((counted, preview.first.len() as u64), ((1, 1, 1), preview.events()));
    assert_eq!(preview.rows.keys().copied().collect::<Vec<_>>(), ["purchases"], "{:?}", preview.rows);
}

#[tokio::test]
async fn what_this_version_decided_must_be_the_same_whatever_others_did() {
    // Without another version nothing explains it.
    let test = busy().await.as_decided_by(tell_otherwise).await;
    let report = test.rebuilt().await;
    assert!(!report.is_sound() && report.preview.is_empty(), "{report:#?}");
    // Nor does another one that decided about somebody else.
    let test = busy()
        .await
        .as_decided_by(|entry, changes| {
            stamp(entry, changes);
            tell_otherwise(entry, changes);
            if entry == 3 {
                changes.events[0].inferred = true;
            }
        })
        .await;
    let report = test.rebuilt().await;
    let found: Vec<_> = report.mismatches.iter().map(|one| (one.table, one.detail.as_str())).collect();
    assert_eq!(found, [("events", "ACTIVATE is ACTIVATE in the other (inferred); journal entry 3 tells it")]);
    assert_eq!((report.preview.changed, report.preview.missing, report.preview.added), (1, 0, 1));
}

#[tokio::test]
async fn where_the_log_was_pruned_what_is_left_is_compared() {
    let test = busy()
        .await
        .as_decided_by(|entry, changes| {
            stamp(entry, changes);
            tell_otherwise(entry, changes);
            tell_more(entry, changes);
        })
        .await;
    assert!(test.hub.store().prune_events(at("2026-01-01T00:00:30Z")).await.unwrap() > 0);
    let report = test.rebuilt().await;
    assert_eq!((report.mismatches.as_slice(), report.unchecked.len()), ([].as_slice(), 1));
    let preview = report.preview;
    assert_eq!((preview.missing, preview.added), (1, 0), "{:#?}", preview.first);
    assert!(preview.first.iter().all(|one| one.purchase == test.id("sub-1")), "the first purchase's were pruned");
}

#[tokio::test]
async fn an_entry_on_which_nothing_is_decided_any_more_moves_no_other() {
    // Version 2 took in what this one refuses: a grant is ended that was never given.
    let life = TestHub::new().await;
    life.buy("user-0", "sub-0").await;
    let ends = |number| Command::RevokeGrant { id: paidup_lifecycle::ids::GrantId([number; 16]) };
    struct Odd(Command, u32);
    impl Decision for Odd {
        fn wants(&self) -> Wants {
            Wants::default()
        }
        fn decide(&mut self, before: &Before) -> Result<Changes, Refused> {
            let input = crate::commit::command::Input {
                command: self.0.clone(),
                abilities: crate::commit::command::Abilities::default(),
                by: None,
            };
            let journal = paidup_store::records::JournalRecord {
                decided_at: at("2026-01-01T00:00:00Z"),
                engine_version: self.1,
                catalogue_revision: before.catalogue.revision,
                policy_revision: 0,
                seed: [1; 16],
                input: serde_json::to_vec(&input).unwrap().into(),
                notifications: Vec::new(),
            };
            Ok(Changes { journal: Some(journal), ..Changes::default() })
        }
    }
    life.hub.store().commit(Urgency::Rest, Box::new(Odd(ends(7), 2))).await.unwrap();
    life.buy("user-1", "sub-1").await;
    let report = life.rebuilt().await;
    assert_eq!(
        (report.mismatches.as_slice(), report.preview.undecided, report.preview.events()),
        ([].as_slice(), 1, 0)
    );
    assert!(!report.is_equal());
    let current = paidup_lifecycle::engine::ENGINE_VERSION;
    life.hub.store().commit(Urgency::Rest, Box::new(Odd(ends(8), current))).await.unwrap();
    let into = store_at(&life.dir.path().join("again.db")).await;
    let report = crate::rebuild::verify(&life.hub, &into, &|_, _| {}).await.unwrap();
    let rows: Vec<_> = report.mismatches.iter().map(|one| one.row.as_str()).collect();
    assert_eq!(rows, ["entry 4"], "{:?}", report.mismatches);
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
