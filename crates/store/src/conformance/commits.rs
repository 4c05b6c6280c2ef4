//! The one door.

use super::*;
use crate::records::QuestionRecord;
use crate::*;
use paidup_lifecycle::catalogue::Entitlement;
use paidup_lifecycle::event::EventType;
use paidup_lifecycle::ids::PurchaseId;
use parking_lot::Mutex;

cases! {
    what_was_saved_is_there_before_the_next_decision,
    a_refusal_undoes_one_decision_only,
    a_panic_undoes_one_decision_only,
    a_broken_rule_undoes_one_decision_only,
    what_is_kept_by_name_holds_together_with_its_decision,
    what_was_undone_is_not_seen_again,
    before_follows_owners_and_merges,
    a_decision_may_want_more_of_what_it_sees,
    an_alias_moves,
    repeats_without_a_purchase_are_kept_once,
    the_catalogue_is_the_one_of_the_last_commit,
    the_listener_hears_every_event_in_order,
    many_commits_at_once_number_without_gaps,
    a_closed_store_answers_unavailable,
    health_counts,
}

async fn what_was_saved_is_there_before_the_next_decision(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    let committed = step(&*store, &owner, "sub-1", 10).await;
    assert_eq!(committed.entry, Some(1));
    assert_eq!(committed.events.len(), 1);
    assert_eq!(committed.events[0].position, 1);
    let bought = purchase("sub-1", &owner);
    let question = QuestionRecord {
        purchase_id: bought.id,
        source_id: SOURCE,
        store_purchase_id: "sub-1".to_owned(),
        why: "a test".to_owned(),
        asked_since: at(1),
        ask_at: at(2),
        attempts: 0,
        last_error: None,
    };
    save(&*store, Changes { questions: vec![question.clone()], ..Changes::default() }).await;
    let unknown = PurchaseId([1; 16]);
    let wants = Wants {
        purchases: vec![bought.id, unknown],
        aliases: vec!["user-1".to_owned(), owner.id.to_string(), "nobody".to_owned()],
        question_of: Some(bought.id),
        ..Wants::default()
    };
    let before = look(&*store, wants).await;
    assert_eq!(before.entry, 2);
    assert_eq!(before.purchases.values().map(|known| &**known).collect::<Vec<_>>(), [&bought]);
    let owners: Vec<_> = before.customers.values().map(|known| &**known).collect();
    assert_eq!(owners, [&owner], "the owner comes along");
    assert_eq!(before.aliases.get("user-1"), Some(&owner.id));
    assert_eq!(before.aliases.get(&owner.id.to_string()), Some(&owner.id), "by its own id too");
    assert_eq!(before.aliases.len(), 2);
    assert_eq!(before.question, Some(question));
}

/// Runs `bad` between two good commits, all handed in at once, and checks that only it failed and left nothing.
async fn only_the_bad_one_fails(store: Arc<dyn Store>, bad: Box<dyn Decision>) -> StoreError {
    let owner = customer("user-1");
    let (first, failed, second) = tokio::join!(
        step(&*store, &owner, "sub-1", 10),
        store.commit(Urgency::Intake, bad),
        step(&*store, &owner, "sub-2", 11),
    );
    assert_eq!((first.entry, second.entry), (Some(1), Some(2)), "numbers have no gap where the bad one was");
    assert_eq!(log(&*store).await.len(), 2);
    assert_eq!(store.journal_after(0, 0, 10).await.unwrap().len(), 2);
    assert_eq!(store.verify_journal(10).await.unwrap(), []);
    failed.unwrap_err()
}

async fn a_refusal_undoes_one_decision_only(store: Arc<dyn Store>) {
    let refused = Refused { status: 409, detail: "taken".to_owned() };
    let answer = refused.clone();
    let bad = deciding(Wants::default(), move |_| Err(answer.clone()));
    assert_eq!(only_the_bad_one_fails(store, bad).await, StoreError::Refused(refused));
}

async fn a_panic_undoes_one_decision_only(store: Arc<dyn Store>) {
    let bad = deciding(Wants::default(), |_| panic!("a bug in deciding"));
    let error = only_the_bad_one_fails(store, bad).await;
    assert_eq!(error, StoreError::DecisionPanicked("a bug in deciding".to_owned()));
}

/// Two events of one id: the second breaks a unique key after the first, the journal and the purchase were written.
async fn a_broken_rule_undoes_one_decision_only(store: Arc<dyn Store>) {
    let stranger = customer("stranger");
    let bought = purchase("sub-9", &stranger);
    let twice = event(EventType::Activate, &bought, 5);
    let kept = notification("sub-9-5", Some(bought.id));
    let changes = Changes {
        journal: Some(journal(&[&kept], 5)),
        notifications: vec![kept.clone()],
        events: vec![twice.clone(), twice],
        purchases: vec![bought.clone()],
        customers: vec![stranger.clone()],
        ..Changes::default()
    };
    let bad = deciding(Wants::default(), move |_| Ok(changes.clone()));
    let error = only_the_bad_one_fails(store.clone(), bad).await;
    assert!(matches!(error, StoreError::Refused(Refused { status: 500, .. })), "{error}");
    assert_eq!(store.purchase(bought.id).await.unwrap(), None);
    assert_eq!(store.customer(&stranger.id.to_string()).await.unwrap(), None);
    assert_eq!(store.notification(kept.id).await.unwrap(), None);
}

async fn what_is_kept_by_name_holds_together_with_its_decision(store: Arc<dyn Store>) {
    let named = |value: &[u8]| Some(("told", value.to_vec()));
    save(&*store, Changes { meta: named(b"one"), ..Changes::default() }).await;
    assert_eq!(store.meta("told").await.unwrap().as_deref(), Some(b"one".as_slice()));
    let stranger = customer("stranger");
    let twice = event(EventType::Activate, &purchase("sub-9", &stranger), 5);
    let changes = Changes { meta: named(b"two"), events: vec![twice.clone(), twice], ..Changes::default() };
    let bad = deciding(Wants::default(), move |_| Ok(changes.clone()));
    only_the_bad_one_fails(store.clone(), bad).await;
    assert_eq!(store.meta("told").await.unwrap().as_deref(), Some(b"one".as_slice()));
}

/// What a failed command wrote is not what the next decision sees, whether its neighbours' writes stayed or not.
async fn what_was_undone_is_not_seen_again(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    step(&*store, &owner, "sub-1", 10).await;
    let (mut renamed, mut changed) = (owner.clone(), purchase("sub-1", &owner));
    let stranger = customer("stranger");
    renamed.revision = 77;
    changed.customer = stranger.id;
    let twice = event(EventType::Activate, &changed, 12);
    let wants = Wants { purchases: vec![changed.id], aliases: vec!["user-1".to_owned()], ..Wants::default() };
    let changes = Changes {
        purchases: vec![changed.clone()],
        customers: vec![renamed, stranger.clone()],
        aliases: vec![("user-1".to_owned(), stranger.id)],
        events: vec![twice.clone(), twice],
        ..Changes::default()
    };
    let bad = deciding(wants.clone(), move |_| Ok(changes.clone()));
    let (good, failed) = tokio::join!(step(&*store, &owner, "sub-2", 11), store.commit(Urgency::Intake, bad));
    assert_eq!(good.entry, Some(2));
    failed.unwrap_err();
    let before = look(&*store, wants).await;
    assert_eq!(before.purchases.values().map(|known| &**known).collect::<Vec<_>>(), [&purchase("sub-1", &owner)]);
    assert_eq!(before.customers.values().map(|known| &**known).collect::<Vec<_>>(), [&owner]);
    assert_eq!(before.aliases.get("user-1"), Some(&owner.id));
    // The chains of events go on from what was kept: the next event follows the one before the failed ones.
    step(&*store, &owner, "sub-1", 13).await;
    let query = EventQuery { purchase: Some(changed.id), limit: 10, ..EventQuery::default() };
    let told: Vec<u64> = store.events(query).await.unwrap().iter().map(|logged| logged.position).collect();
    assert_eq!(told, [3, 1]);
}

async fn before_follows_owners_and_merges(store: Arc<dyn Store>) {
    let (mut gave, mut middle, took) = (customer("gave"), customer("middle"), customer("took"));
    gave.merged_into = Some(middle.id);
    middle.merged_into = Some(took.id);
    let bought = purchase("sub-1", &gave);
    let changes = Changes {
        purchases: vec![bought.clone()],
        customers: vec![gave.clone(), middle.clone(), took.clone()],
        aliases: vec![("gave".to_owned(), gave.id)],
        ..Changes::default()
    };
    save(&*store, changes).await;
    let before = look(&*store, Wants { purchases: vec![bought.id], ..Wants::default() }).await;
    assert_eq!(before.customers.len(), 3, "the owner and all whom it was merged into");
    let before = look(&*store, Wants { aliases: vec!["gave".to_owned()], ..Wants::default() }).await;
    assert_eq!(before.aliases.get("gave"), Some(&took.id), "an alias answers as the last of them");
    assert_eq!(before.customers.len(), 3);
}

async fn a_decision_may_want_more_of_what_it_sees(store: Arc<dyn Store>) {
    struct Curious(Wants, Vec<PurchaseId>, Arc<Mutex<Option<Before>>>);
    impl Decision for Curious {
        fn wants(&self) -> Wants {
            self.0.clone()
        }
        fn wants_also(&self, before: &Before) -> Vec<PurchaseId> {
            if before.purchases.is_empty() { Vec::new() } else { self.1.clone() }
        }
        fn decide(&mut self, before: &Before) -> Result<Changes, Refused> {
            *self.2.lock() = Some(before.clone());
            Ok(Changes::default())
        }
    }
    let (one, two) = (customer("one"), customer("two"));
    let (first, second) = (purchase("sub-1", &one), purchase("sub-2", &two));
    step(&*store, &one, "sub-1", 10).await;
    step(&*store, &two, "sub-2", 11).await;
    let seen = Arc::new(Mutex::new(None));
    let wants = Wants { purchases: vec![first.id], ..Wants::default() };
    let decision = Curious(wants, vec![second.id, first.id, PurchaseId([9; 16])], seen.clone());
    store.commit(Urgency::Intake, Box::new(decision)).await.unwrap();
    let before = seen.lock().take().unwrap();
    assert_eq!(before.purchases.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from([first.id, second.id]));
    assert!(before.customers.contains_key(&two.id), "their owners come along");
}

async fn an_alias_moves(store: Arc<dyn Store>) {
    let (one, two) = (customer("one"), customer("two"));
    let alias = |owner: CustomerId| vec![("shared".to_owned(), owner)];
    let customers = vec![one.clone(), two.clone()];
    save(&*store, Changes { customers, aliases: alias(one.id), ..Changes::default() }).await;
    assert_eq!(store.customer("shared").await.unwrap(), Some(one));
    save(&*store, Changes { aliases: alias(two.id), ..Changes::default() }).await;
    assert_eq!(store.customer("shared").await.unwrap(), Some(two));
}

async fn repeats_without_a_purchase_are_kept_once(store: Arc<dyn Store>) {
    let test = notification("test-1", None);
    let wants = || Wants { notifications: vec![test.id], ..Wants::default() };
    assert!(look(&*store, wants()).await.notifications.is_empty());
    for _ in 0..2 {
        save(&*store, Changes { notifications: vec![test.clone()], ..Changes::default() }).await;
    }
    assert!(look(&*store, wants()).await.notifications.contains(&test.id));
    let listed = store.notifications(NotificationQuery { limit: 10, ..NotificationQuery::default() }).await.unwrap();
    assert_eq!(listed.len(), 1);
    // About a purchase: a repeat that the purchase has forgotten is kept once more.
    let repeated = notification("renewal-1", Some(PurchaseId([1; 16])));
    for _ in 0..2 {
        save(&*store, Changes { notifications: vec![repeated.clone()], ..Changes::default() }).await;
    }
    let listed = store.notifications(NotificationQuery { limit: 10, ..NotificationQuery::default() }).await.unwrap();
    assert_eq!(listed.len(), 3);
}

async fn the_catalogue_is_the_one_of_the_last_commit(store: Arc<dyn Store>) {
    assert_eq!(*store.catalogue(), Catalogue::default());
    let mut catalogue = Catalogue { revision: 1, ..Catalogue::default() };
    catalogue.entitlements.insert("pro".to_owned(), Entitlement { id: "pro".to_owned(), name: None, sku_id: None });
    save(&*store, Changes { catalogue: Some(catalogue.clone()), ..Changes::default() }).await;
    assert_eq!(*store.catalogue(), catalogue);
    assert_eq!(*look(&*store, Wants::default()).await.catalogue, catalogue);
    // One that was undone is not the catalogue.
    let twice = event(EventType::Activate, &purchase("sub-1", &customer("user-1")), 5);
    let changes = Changes {
        catalogue: Some(Catalogue { revision: 2, ..Catalogue::default() }),
        notifications: vec![notification("n", None)],
        events: vec![twice.clone(), twice],
        ..Changes::default()
    };
    try_save(&*store, changes).await.unwrap_err();
    assert_eq!(*store.catalogue(), catalogue);
    assert_eq!(*look(&*store, Wants::default()).await.catalogue, catalogue);
}

async fn the_listener_hears_every_event_in_order(store: Arc<dyn Store>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = heard.clone();
    store.listen(Box::new(move |events| ear.lock().extend(events.iter().map(|event| event.position))));
    let owner = customer("user-1");
    let names: Vec<String> = (0..20).map(|number| format!("sub-{number}")).collect();
    let mut steps = tokio::task::JoinSet::new();
    for (number, name) in names.into_iter().enumerate() {
        let (store, owner) = (store.clone(), owner.clone());
        steps.spawn(async move { step(&*store, &owner, &name, i64::try_from(number).unwrap()).await });
    }
    steps.join_all().await;
    assert_eq!(*heard.lock(), (1..=20).collect::<Vec<u64>>());
    // One that panics is no reason to stop.
    store.listen(Box::new(|_| panic!("a bug in the listener")));
    step(&*store, &owner, "sub-20", 20).await;
    assert_eq!(store.head(0).await.unwrap(), 21);
}

async fn many_commits_at_once_number_without_gaps(store: Arc<dyn Store>) {
    let mut steps = tokio::task::JoinSet::new();
    for number in 0..300_i64 {
        let store = store.clone();
        steps.spawn(async move {
            let owner = customer(&format!("user-{}", number % 40));
            step(&*store, &owner, &format!("sub-{number}"), number).await
        });
    }
    let committed = steps.join_all().await;
    let mut entries: Vec<u64> = committed.iter().filter_map(|committed| committed.entry).collect();
    entries.sort_unstable();
    assert_eq!(entries, (1..=300).collect::<Vec<u64>>());
    let log = log(&*store).await;
    assert_eq!(log.iter().map(|event| event.position).collect::<Vec<u64>>(), (1..=300).collect::<Vec<u64>>());
    for committed in &committed {
        let event = &committed.events[0];
        let logged = &log[usize::try_from(event.position).unwrap() - 1];
        assert_eq!((&event.event, &event.json), (&logged.event, &logged.json), "what was answered is what is kept");
    }
    assert_eq!(store.head(0).await.unwrap(), 300);
    assert_eq!(store.verify_journal(10).await.unwrap(), []);
}

async fn a_closed_store_answers_unavailable(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    let (committed, closed) = tokio::join!(step(&*store, &owner, "sub-1", 1), store.close());
    assert_eq!(committed.entry, Some(1), "what was handed in before is done");
    closed.unwrap();
    let late = try_save(&*store, Changes::default()).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    let late = store.customer("user-1").await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    store.close().await.unwrap();
}

async fn health_counts(store: Arc<dyn Store>) {
    step(&*store, &customer("user-1"), "sub-1", 1).await;
    let health = store.health().await.unwrap();
    assert_eq!((health.heads, health.commands, health.queued, health.failing), (vec![(0, 1)], 1, 0, None));
    assert!(health.bytes > 0 && health.transactions == 1);
}
