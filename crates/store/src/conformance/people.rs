//! Who bought what.

use super::*;
use crate::*;

cases! {
    every_alias_answers_the_same,
    merged_customers_answer_as_the_one_they_were_merged_into,
    rows_are_replaced_whole,
    ids_that_begin_alike_are_told_apart,
    customers_are_listed_by_age,
    purchases_are_listed_by_age,
}

async fn every_alias_answers_the_same(store: Arc<dyn Store>) {
    let mut owner = customer("user-1");
    owner.aliases.push("discord:42".to_owned());
    step(&*store, &owner, "sub-1", 1).await;
    for id in ["user-1", "discord:42", &owner.id.to_string()] {
        assert_eq!(store.customer(id).await.unwrap().as_ref(), Some(&owner), "{id}");
    }
    for id in ["user-2", "", "cus_00000000000000000000000000", "'; DROP TABLE customers; --"] {
        assert_eq!(store.customer(id).await.unwrap(), None, "{id}");
    }
}

async fn merged_customers_answer_as_the_one_they_were_merged_into(store: Arc<dyn Store>) {
    let (mut gave, mut middle, took) = (customer("gave"), customer("middle"), customer("took"));
    for owner in [&gave, &middle, &took] {
        step(&*store, owner, &owner.aliases[0], 1).await;
    }
    gave.merged_into = Some(middle.id);
    save(&*store, Changes { customers: vec![gave.clone()], ..Changes::default() }).await;
    assert_eq!(store.customer("gave").await.unwrap(), Some(middle.clone()));
    middle.merged_into = Some(took.id);
    save(&*store, Changes { customers: vec![middle], ..Changes::default() }).await;
    for id in ["gave", "middle", "took", &gave.id.to_string()] {
        assert_eq!(store.customer(id).await.unwrap().as_ref(), Some(&took), "{id}");
    }
}

async fn rows_are_replaced_whole(store: Arc<dyn Store>) {
    let mut owner = customer("user-1");
    let mut bought = purchase("sub-1", &owner);
    for revision in 1..=3 {
        owner.revision = revision;
        bought.seq = revision;
        let (purchases, customers) = (vec![bought.clone()], vec![owner.clone()]);
        save(&*store, Changes { purchases, customers, ..Changes::default() }).await;
        assert_eq!(store.purchase(bought.id).await.unwrap().as_ref(), Some(&bought));
        assert_eq!(store.customer(&owner.id.to_string()).await.unwrap().as_ref(), Some(&owner));
    }
    assert_eq!(store.purchases_of(owner.id, 10).await.unwrap(), [bought], "still one row");
    assert_eq!(store.customers(0, 10).await.unwrap().len(), 1);
}

/// Ids are hashes and never begin alike; a store that finds rows by the beginning must still be right.
async fn ids_that_begin_alike_are_told_apart(store: Arc<dyn Store>) {
    for start in [0, 127, 128, 255] {
        let alike = |last: u8| {
            let mut id = [start; 16];
            id[15] = last;
            id
        };
        let (mut owners, mut bought) = (Vec::new(), Vec::new());
        // Not in the order of their ids.
        for last in [3, 1, 2] {
            let mut owner = customer("user");
            owner.id = CustomerId(alike(last));
            let mut one = purchase("sub", &owner);
            one.id = PurchaseId(alike(last));
            owners.push(owner);
            bought.push(one);
        }
        let changes = Changes { purchases: bought.clone(), customers: owners.clone(), ..Changes::default() };
        save(&*store, changes.clone()).await;
        save(&*store, changes).await;
        for (owner, one) in owners.iter().zip(&bought) {
            assert_eq!(store.purchase(one.id).await.unwrap().as_ref(), Some(one));
            assert_eq!(store.customer(&owner.id.to_string()).await.unwrap().as_ref(), Some(owner));
        }
        assert_eq!(store.purchase(PurchaseId(alike(9))).await.unwrap(), None);
    }
    for table in [DerivedTable::Purchases, DerivedTable::Customers] {
        let (mut keys, mut after) = (Vec::new(), None);
        while let Some((key, _)) = store.derived_rows(table, after, 1).await.unwrap().pop() {
            after = Some(key.clone());
            keys.push(key);
        }
        assert_eq!(keys.len(), 12, "{table}: each once, page by page");
        assert!(keys.is_sorted(), "{table}: in the order of ids");
    }
}

async fn customers_are_listed_by_age(store: Arc<dyn Store>) {
    let names = ["c", "a", "b", "d"];
    for name in names {
        save(&*store, Changes { customers: vec![customer(name)], ..Changes::default() }).await;
    }
    let mut listed = Vec::new();
    let mut after = 0;
    loop {
        let page = store.customers(after, 3).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = *last;
        listed.extend(page.into_iter().map(|(_, customer)| customer.aliases[0].clone()));
    }
    assert_eq!(listed, names);
}

async fn purchases_are_listed_by_age(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    for (second, name) in [(1, "c"), (2, "a"), (3, "b"), (4, "c")] {
        step(&*store, &owner, name, second).await;
    }
    let listed = store.purchases_of(owner.id, 2).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|one| one.key.store_purchase_id.as_str()).collect();
    assert_eq!(names, ["c", "a"]);
}
