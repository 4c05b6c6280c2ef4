//! Checking the journal, and comparing two stores. What damage is found is each engine's own test.

use super::*;
use crate::*;
use paidup_lifecycle::event::EventType;

cases! {
    a_sound_journal_has_no_mismatch,
    a_store_equals_itself,
    derived_rows_are_paged_in_key_order,
}

async fn a_sound_journal_has_no_mismatch(store: Arc<dyn Store>) {
    assert_eq!(store.verify_journal(10).await.unwrap(), [], "an empty one too");
    let owner = customer("user-1");
    let mut commits = tokio::task::JoinSet::new();
    for second in 1..=1200 {
        let (store, owner) = (store.clone(), owner.clone());
        commits.spawn(async move {
            if second % 3 == 0 {
                step(&*store, &owner, "sub-1", second).await;
            } else {
                save(&*store, Changes { journal: Some(journal(&[], second)), ..Changes::default() }).await;
            }
        });
    }
    commits.join_all().await;
    save(&*store, Changes { notifications: vec![notification("odd", None)], ..Changes::default() }).await;
    assert_eq!(store.verify_journal(10).await.unwrap(), []);
}

async fn a_store_equals_itself(store: Arc<dyn Store>) {
    for number in 0..30 {
        step(&*store, &customer(&format!("user-{number}")), &format!("sub-{number}"), number).await;
    }
    assert_eq!(store.compare(&*store, 10).await.unwrap(), []);
}

async fn derived_rows_are_paged_in_key_order(store: Arc<dyn Store>) {
    for number in 0..25 {
        step(&*store, &customer(&format!("user-{number}")), &format!("sub-{number}"), number).await;
    }
    let owner = customer("user-0");
    let other_ids =
        (0..25).map(|number| (purchase(&format!("later-{number}"), &owner).id, purchase("sub-0", &owner).id)).collect();
    save(&*store, Changes { other_ids, ..Changes::default() }).await;
    let catalogue = Catalogue { revision: 1, ..Catalogue::default() };
    save(&*store, Changes { catalogue: Some(catalogue.clone()), ..Changes::default() }).await;
    for table in DerivedTable::ALL {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let page = store.derived_rows(*table, after, 7).await.unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            rows.extend(page);
        }
        let expected = if *table == DerivedTable::Catalogue { 1 } else { 25 };
        assert_eq!(rows.len(), expected, "{table}");
        assert!(rows.is_sorted(), "{table}");
    }
    let rows = store.derived_rows(DerivedTable::Events, None, 1).await.unwrap();
    let first = event(EventType::SubscriptionRenewed, &purchase("sub-0", &customer("user-0")), 0);
    assert_eq!(rows[0].1, serde_json::to_vec(&first).unwrap(), "an event's bytes are its JSON");
    let rows = store.derived_rows(DerivedTable::Catalogue, None, 1).await.unwrap();
    assert_eq!(rows[0].1, serde_json::to_vec(&catalogue).unwrap());
}
