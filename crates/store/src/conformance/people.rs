//! Who bought what.

use super::*;
use crate::*;
use paidup_lifecycle::ids::SourceId;
use paidup_lifecycle::purchase::FirstPeriod;

cases! {
    every_alias_answers_the_same,
    ids_beside_one_that_is_not_there_are_found_on_both_sides,
    a_purchase_answers_to_its_other_ids,
    merged_customers_answer_as_the_one_they_were_merged_into,
    rows_are_replaced_whole,
    ids_that_begin_alike_are_told_apart,
    customers_are_listed_by_age,
    purchases_are_listed_by_age,
    snowflakes_are_minted_once_and_found_again,
    snowflakes_of_one_start_are_told_apart,
    purchases_are_listed_by_snowflake_in_both_directions,
    customers_are_known_by_their_linked_account_or_their_snowflake,
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

async fn ids_beside_one_that_is_not_there_are_found_on_both_sides(store: Arc<dyn Store>) {
    // Longer than what an index looks at first, and alike up to there.
    let (long, longer) = (format!("n{}a", "x".repeat(80)), format!("n{}b", "x".repeat(80)));
    let owner = customer("m");
    let all = ["Anna", "anna", "bert", "zoë", "ß", long.as_str(), longer.as_str()];
    let aliases = all.iter().map(|alias| ((*alias).to_owned(), owner.id)).collect();
    save(&*store, Changes { customers: vec![owner.clone()], aliases, ..Changes::default() }).await;
    for (asked, limit, expected) in [
        ("b", 2, vec!["bert", &long, "anna", "Anna"]),
        ("bert", 1, vec!["bert", "anna"]),
        ("", 2, vec!["Anna", "anna"]),
        ("Ω", 2, vec!["ß", "zoë"]),
        (&longer, 1, vec![longer.as_str(), &long]),
        ("'; DROP TABLE aliases; --", 1, vec!["Anna"]),
    ] {
        let found = store.aliases_around(asked, limit).await.unwrap();
        assert_eq!(found, expected, "{asked}");
    }
}

async fn a_purchase_answers_to_its_other_ids(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    let (first, later) = (purchase("first", &owner), purchase("later", &owner));
    step(&*store, &owner, "first", 1).await;
    save(&*store, Changes { other_ids: vec![(later.id, first.id)], ..Changes::default() }).await;
    assert_eq!(store.purchase(later.id).await.unwrap().map(|found| found.id), Some(first.id));
    let before = look(&*store, Wants { purchases: vec![later.id], ..Wants::default() }).await;
    assert_eq!(before.other_ids.get(&later.id), Some(&first.id));
    assert!(before.purchases.contains_key(&first.id) && before.customers.contains_key(&owner.id));
    save(&*store, Changes { other_ids: vec![(later.id, purchase("nobody", &owner).id)], ..Changes::default() }).await;
    assert_eq!(store.purchase(later.id).await.unwrap().map(|found| found.id), Some(first.id), "given once");
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

/// A purchase that began at that second.
fn began(name: &str, owner: &Customer, second: i64) -> Purchase {
    let mut bought = purchase(name, owner);
    bought.first_period = Some(FirstPeriod { starts_at: at(second), transaction_id: None });
    bought
}

async fn put(store: &dyn Store, purchases: &[Purchase]) {
    save(store, Changes { purchases: purchases.to_vec(), ..Changes::default() }).await;
}

fn all() -> SnowflakeQuery {
    SnowflakeQuery { customer: None, after: None, before: None, highest: false, limit: 100 }
}

async fn listed(store: &dyn Store, query: SnowflakeQuery) -> Vec<(Snowflake, String)> {
    let rows = store.purchases_by_snowflake(query).await.unwrap();
    rows.into_iter().map(|(id, purchase)| (id, purchase.key.store_purchase_id)).collect()
}

async fn snowflakes_are_minted_once_and_found_again(store: Arc<dyn Store>) {
    let owner = customer("user-1");
    step(&*store, &owner, "early", 1).await;
    assert_eq!(listed(&*store, all()).await, [], "nothing has begun");
    put(&*store, &[began("early", &owner, 5)]).await;
    let first = listed(&*store, all()).await;
    assert_eq!((first.len(), first[0].0.time()), (1, at(5)));
    put(&*store, &[began("early", &owner, 3)]).await;
    assert_eq!(listed(&*store, all()).await, first, "an earlier start that is told later changes nothing");
}

async fn snowflakes_of_one_start_are_told_apart(store: Arc<dyn Store>) {
    const NATIVE: &str = "1278078770116427839";
    let owner = customer("user-1");
    let mut of_discord = Vec::new();
    for source in [1, 2] {
        let mut bought = began(NATIVE, &owner, 1);
        bought.key.source_id = SourceId([source; 16]);
        bought.id = Purchase::id_of(&bought.key);
        bought.store = paidup_lifecycle::observation::Store::Discord;
        of_discord.push(bought);
    }
    put(&*store, &of_discord).await;
    let ids: Vec<Snowflake> = listed(&*store, all()).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0].to_string(), NATIVE, "Discord's own id is kept by whoever came first");
    assert_ne!(ids[1], ids[0].twin());
    let many: Vec<Purchase> = (0..200).map(|number| began(&format!("sub-{number}"), &owner, 2)).collect();
    put(&*store, &many).await;
    let listed = listed(&*store, SnowflakeQuery { limit: 1000, ..all() }).await;
    assert_eq!(listed.len(), 202);
    assert!(listed.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].0.twin() != pair[1].0), "{listed:?}");
}

async fn purchases_are_listed_by_snowflake_in_both_directions(store: Arc<dyn Store>) {
    let (one, other) = (customer("one"), customer("other"));
    for second in 1..=6 {
        let owner = if second % 2 == 0 { &one } else { &other };
        put(&*store, &[began(&second.to_string(), owner, second)]).await;
    }
    let ids: Vec<Snowflake> = listed(&*store, all()).await.into_iter().map(|(id, _)| id).collect();
    type Case<'a> = (&'a str, SnowflakeQuery, &'a [&'a str]);
    let (second, fifth) = (Some(ids[1]), Some(ids[4]));
    let of_one = SnowflakeQuery { customer: Some(one.id), ..all() };
    let cases: [Case<'_>; 9] = [
        ("all", all(), &["1", "2", "3", "4", "5", "6"]),
        ("the first page", SnowflakeQuery { limit: 2, ..all() }, &["1", "2"]),
        ("the next page", SnowflakeQuery { after: second, limit: 2, ..all() }, &["3", "4"]),
        ("the page before", SnowflakeQuery { before: fifth, highest: true, limit: 2, ..all() }, &["3", "4"]),
        ("between", SnowflakeQuery { after: second, before: fifth, ..all() }, &["3", "4"]),
        ("past the end", SnowflakeQuery { after: Some(ids[5]), ..all() }, &[]),
        ("before the beginning", SnowflakeQuery { before: Some(ids[0]), highest: true, ..all() }, &[]),
        ("one customer's", of_one, &["2", "4", "6"]),
        ("one customer's last", SnowflakeQuery { highest: true, limit: 2, ..of_one }, &["4", "6"]),
    ];
    for (name, query, expected) in cases {
        let names: Vec<String> = listed(&*store, query).await.into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, expected, "{name}");
    }
}

async fn customers_are_known_by_their_linked_account_or_their_snowflake(store: Arc<dyn Store>) {
    const ACCOUNT: &str = "1019653849998299136";
    let (mut gave, mut took) = (customer("gave"), customer("took"));
    let both: std::collections::BTreeSet<CustomerId> = [gave.id, took.id].into();
    step(&*store, &gave, "sub-1", 1).await;
    step(&*store, &took, "sub-2", 1).await;
    let own = store.snowflakes_of(both.clone()).await.unwrap();
    assert_ne!(own[&gave.id], own[&took.id]);
    assert_eq!(own[&gave.id].time(), gave.created_at);
    assert_eq!(store.customer_by_snowflake(own[&gave.id]).await.unwrap().as_ref(), Some(&gave));
    assert_eq!(store.customer_by_snowflake(Snowflake::ZERO).await.unwrap(), None);

    gave.merged_into = Some(took.id);
    took.created_at = at(99);
    save(&*store, Changes { customers: vec![gave.clone(), took.clone()], ..Changes::default() }).await;
    let merged = store.snowflakes_of(both.clone()).await.unwrap();
    assert_eq!((merged[&gave.id], merged[&took.id]), (own[&took.id], own[&took.id]), "minted once");
    assert_eq!(store.customer_by_snowflake(own[&gave.id]).await.unwrap().as_ref(), Some(&took));

    took.aliases.push(format!("discord:{ACCOUNT}"));
    save(&*store, Changes { customers: vec![took.clone()], ..Changes::default() }).await;
    let linked = store.snowflakes_of([took.id, CustomerId([0; 16])].into()).await.unwrap();
    assert_eq!(linked.len(), 1, "nobody has no id");
    assert_eq!(linked[&took.id].to_string(), ACCOUNT);
}
